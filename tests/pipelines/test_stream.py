"""stream.py: events of pictures while they are drawn, in both runtimes and with both engines."""

import gc
import threading

import numpy as np
import pytest

from built import needs_engine
from mas_fast.deploy import Pipeline
from mas_fast.pipelines.torch_pipeline import load

CAPTIONS = ["a red house", "a lake at dusk"]


@pytest.fixture(
    scope="module",
    params=[
        "eager",
        pytest.param("cpp", marks=needs_engine),
        pytest.param("onnx", marks=needs_engine),
    ],
)
def model(request, tiny_bundle, deployed):
    if request.param == "onnx":
        pytest.importorskip("onnxruntime")
        return Pipeline(deployed, threads=1)
    return load(tiny_bundle, device="cpu", engine=request.param)


def test_the_last_events_are_the_pictures_of_generate(model) -> None:
    out = model.generate(CAPTIONS, num_images=2, seed=5)
    events = [*model.stream(CAPTIONS, num_images=2, seed=5, every=1)]
    last = {event.index: event for event in events}
    assert sorted(last) == [0, 1, 2, 3]
    for n, event in last.items():
        assert event.final
        assert np.array_equal(event.tokens, out.tokens[n])
        assert event.image.tobytes() == out.images[n].tobytes()
        assert np.array_equal(event.scene.labels, out.scenes[n].labels)
    shares = [event.share for event in events if event.index == 2]
    assert shares == [n / 8 for n in range(1, 9)]  # four rows of each grid
    scenes = [event.scene is not None for event in events if event.index == 2]
    assert scenes == [False] * 3 + [True] * 5  # as soon as it is whole


def test_a_callback_sees_the_events_of_a_stream(model) -> None:
    seen = []
    model.generate(CAPTIONS, seed=5, every=2, callback=seen.append)
    events = [*model.stream(CAPTIONS, seed=5, every=2)]
    assert len(seen) == len(events) == 8
    for one, other in zip(seen, events, strict=True):
        assert (one.index, one.share, one.final) == (other.index, other.share, other.final)
        assert np.array_equal(one.tokens, other.tokens)


def test_an_exception_of_a_callback_ends_the_generation(model) -> None:
    calls = []

    def stop(event):
        calls.append(event)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        model.generate(CAPTIONS, every=1, callback=stop)
    assert len(calls) == 1
    assert len(model.generate("a dog").images) == 1


def test_a_stream_that_is_dropped_leaves_nothing(model) -> None:
    expected = model.generate(CAPTIONS[0], seed=1)
    threads = threading.active_count()
    for n in range(10):
        events = model.stream(CAPTIONS, every=1)
        next(events)
        if n % 2:
            events.close()
            with pytest.raises(StopIteration):
                next(events)
        else:
            del events
    gc.collect()
    assert threading.active_count() == threads
    assert np.array_equal(model.generate(CAPTIONS[0], seed=1).tokens, expected.tokens)


def test_nothing_is_decoded_that_nobody_looks_at(model, monkeypatch) -> None:
    decoded = []
    decode = type(model.img)._decode
    monkeypatch.setattr(
        type(model.img), "_decode", lambda self, codes: decoded.append(self) or decode(self, codes)
    )
    events = [*model.stream("a dog", every=1)]
    assert not decoded
    assert events[-1].image is events[-1].image
    assert decoded == [model.img]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"every": 0}, ValueError, "every: found 0"),
        ({"callback": 5}, TypeError, "callback: found 5, expected a function"),
        ({"colour": "red"}, TypeError, "colour: found an unknown option"),
        ({"candidates": 4}, ValueError, "candidates: found 4, expected 1"),
        ({"num_images": 0}, ValueError, "num_images: found 0"),
    ],
)
def test_mistakes_raise_at_the_call(model, options, error, message) -> None:
    with pytest.raises(error, match=message):
        model.stream("a dog", **options)
