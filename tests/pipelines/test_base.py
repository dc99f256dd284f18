"""base.py: what is asked of a runtime, and what becomes of its answers. See also
test_torch_pipeline.py and test_onnx_pipeline.py."""

import numpy as np
import pytest

from mas_fast.bundle import Bundle, read_vq_config
from mas_fast.models.codec import Codec
from mas_fast.pipelines.base import ROWS, Painter
from mas_fast.scene import Scene


class Flat(Codec):
    """A picture has the grey of its first code, and a scene its label."""

    def _encode(self, item):
        return np.full((1, 4, 4), item.labels[0, 0], np.int64)

    def _decode(self, codes):
        labels = np.full((16, 16), codes[0, 0, 0], np.uint8)
        if self.config.layout:
            return Scene(labels, labels > 99)
        return np.stack([labels] * 3, -1)


class Numbers:
    """An engine: the tokens of sample n of a caption are all n, but those that are forced."""

    def __init__(self, streams) -> None:
        self.streams, self.asked = streams, []

    def start(self, request):
        self.asked.append(request)
        return NumbersRun(request)


class NumbersRun:
    def __init__(self, request) -> None:
        self.position, self.stop = 0, request.stop
        numbers = np.arange(request.samples) + request.first_sample
        forced = request.forced.repeat(request.samples, 0)
        self.tokens = np.where(forced < 0, np.tile(numbers, len(request.forced))[:, None], forced)

    def advance(self, count=0, progress=None):
        while self.position < self.stop:
            self.position += 1
            progress(self.position, self.stop)
        return self.position


class Fake(Painter):
    def __init__(self, path) -> None:
        super().__init__(Bundle(path, "gpt"))
        self.engine = Numbers(self.streams)

    def _codec(self, name):
        return Flat(name, read_vq_config(self.path, name))


@pytest.fixture
def painter(tiny_bundle) -> Painter:
    return Fake(tiny_bundle)


def sizes(request) -> tuple[int, int, int]:
    return len(request.forced), request.samples, request.first_sample


def test_rows_are_drawn_in_blocks(painter, capsys, terminal) -> None:
    out = painter.generate(["a", "b", "c"], num_images=ROWS + 3, seed=5, progress=True)
    asked = painter.engine.asked
    assert [sizes(request) for request in asked] == [(1, ROWS, 0), (1, 3, ROWS)] * 3
    assert out.tokens[:, -1].tolist() == [*range(ROWS + 3)] * 3
    assert [image.getpixel((0, 0))[0] for image in out.images] == out.tokens[:, -1].tolist()
    assert [int(scene.labels[0, 0]) for scene in out.scenes] == out.tokens[:, 8].tolist()
    assert out.captions == ["a"] * (ROWS + 3) + ["b"] * (ROWS + 3) + ["c"] * (ROWS + 3)
    assert "192/192" in capsys.readouterr().err  # six blocks of 32 tokens
    assert [how.guidance for how in asked[0].sampling] == [1.0, 3.0, 3.0]
    assert asked[0].seed == 5
    assert asked[0].speculate == "auto"
    asked.clear()
    painter.generate(["a"] * 7, num_images=5, speculate=3)
    assert asked[0].speculate == 3
    assert [sizes(request) for request in asked] == [(3, 5, 0), (3, 5, 0), (1, 5, 0)]


def test_scenes_are_forced(painter, scene) -> None:
    both = [Scene(scene.labels * 0 + label, scene.edges) for label in (5, 7)]
    out = painter.generate(["a", "b"], scene=both, num_images=2)
    assert out.tokens[:, 8:24].tolist() == [[5] * 16] * 2 + [[7] * 16] * 2
    assert out.tokens[:, 24].tolist() == [0, 1, 0, 1]
    with pytest.raises(ValueError, match="scene: found 1, expected one, or 2 as captions"):
        painter.generate(["a", "b"], scene=[scene])


def test_paint_takes_known_options_alone(painter) -> None:
    with pytest.raises(TypeError, match="colour: found an unknown option"):
        next(painter.paint("a", colour="red"))
