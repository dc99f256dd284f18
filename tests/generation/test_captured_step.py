"""captured_step.py: what is launched, captured and replayed."""

import contextlib
import importlib.util
from types import SimpleNamespace

import pytest
import torch

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

from mas_fast.generation import captured_step
from mas_fast.generation.captured_step import STEPS, CapturedStep, capture


def test_passes_are_captured_alone_and_many_in_a_row(monkeypatch) -> None:
    """The first one of a kind is made directly: kernels cannot be compiled during a capture."""
    made = []

    def capture(launch, size, device):
        made.append(("capture", size))
        return lambda: made.append(("replay", size))

    monkeypatch.setattr(captured_step, "capture", capture)
    step = SimpleNamespace(weights=SimpleNamespace(device=torch.device("cuda")))
    captured = CapturedStep(step)
    captured.run("img", lambda: made.append("launch"), STEPS + 3)
    assert made == [
        "launch", ("capture", STEPS), ("replay", STEPS), ("capture", 1), *[("replay", 1)] * 2,
    ]  # fmt: skip
    made.clear()
    captured.run("img", lambda: made.append("launch"), STEPS)
    captured.run("seg", lambda: made.append("launch"), 1)
    assert made == [("replay", STEPS), "launch"]


def test_a_capture_is_a_cuda_graph(monkeypatch) -> None:
    made = []

    @contextlib.contextmanager
    def capturing(graph, **options):
        made.append("begin")
        yield
        made.append("end")

    class Graph:
        def replay(self):
            made.append("replay")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", capturing)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    replay = capture(lambda: made.append("launch"), 3, torch.device("cuda"))
    assert made == ["begin", *["launch"] * 3, "end"]
    made.clear()
    replay()
    assert made == ["replay"]


def test_on_a_cpu_launches_are_repeated() -> None:
    made = []
    replay = capture(lambda: made.append("launch"), 3, torch.device("cpu"))
    assert not made
    replay()
    assert made == ["launch"] * 3
