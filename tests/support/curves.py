"""The curves of a run, as TensorBoard reads them."""

from pathlib import Path


def scalars(folder: Path, name: str) -> dict[int, float]:
    """step -> value."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(Path(folder) / "tensorboard"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(name)}
