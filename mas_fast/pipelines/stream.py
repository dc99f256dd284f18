"""What a stream of pictures yields. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from PIL import Image

from mas_fast.pipelines.drawing import Step
from mas_fast.pipelines.preview import Previews
from mas_fast.scene import Scene
from mas_fast.utils.documents import short


@dataclass(frozen=True, eq=False)
class Event(Step):
    """How far one of the pictures is.

    Scene and picture are decoded when they are first looked at: what nobody looks at takes no time.

    Attributes:
        index: which picture, b * num_images + n for picture n of caption b.
        tokens: int64 [S], all streams; -1 where they are neither given nor drawn.
        rows: int64 [N, S], the tokens of the pictures that are drawn with it.
        row: which of them it is.
        share: of the tokens that are to be drawn, those that are, 0 to 1.
        final: whether the picture is whole; then it is the one that `generate` gives.
    """

    _previews: Previews = field(repr=False)

    @cached_property
    def scene(self) -> Scene | None:
        """The scene, as soon as it is whole; None before, and where the model has none."""
        return self._previews.scene(self.rows, self.row)

    @cached_property
    def image(self) -> Image.Image | None:
        """The picture so far, RGB: below the last row that is drawn, the scene's colours, blurred.

        Of a model without scenes, the last row goes on, blurred. None while nothing is drawn. The
        last one is the picture of the generation itself: draw on a copy.
        """
        return self._previews.image(self.rows, self.row)


def watch(
    steps: Iterator[Step], previews: Previews, callback: Callable[[Event], object] | None
) -> Iterator[Event]:
    """Make events of steps.

    Args:
        steps: of a drawing.
        previews: decode them.
        callback: is called with each event before it is yielded; None: nothing is.

    Returns:
        The events.

    Raises:
        TypeError: at the call, if the callback cannot be called.
    """
    if callback is not None and not callable(callback):
        raise TypeError(f"callback: found {short(callback)}, expected a function")

    def events() -> Iterator[Event]:  # apart, so that this raises at the call
        for step in steps:
            event = Event(**vars(step), _previews=previews)
            if callback is not None:
                callback(event)
            yield event

    return events()
