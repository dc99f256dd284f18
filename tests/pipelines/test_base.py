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


class Fake(Painter):
    """The tokens of sample n of a caption are all n, but those that are forced."""

    def __init__(self, path) -> None:
        self.asked = []
        super().__init__(Bundle(path, "gpt"))

    def _codec(self, name):
        return Flat(name, read_vq_config(self.path, name))

    def _tokens(self, text, progress, *, forced, num_samples, first_sample, **options):
        self.asked.append((len(text), num_samples, first_sample, options))
        for position in range(1, 41):
            progress(position, 40)
        numbers = np.tile(np.arange(num_samples) + first_sample, len(text))[:, None]
        tokens = np.where(forced < 0, 0, forced).repeat(num_samples, 0)
        tokens[:, 8:] = np.where(forced.repeat(num_samples, 0)[:, 8:] < 0, numbers, tokens[:, 8:])
        tokens[:, :8] = text.repeat(num_samples, 0)
        return tokens


@pytest.fixture
def painter(tiny_bundle) -> Painter:
    return Fake(tiny_bundle)


def test_rows_are_drawn_in_blocks(painter, capsys, terminal) -> None:
    out = painter.generate(["a", "b", "c"], num_images=ROWS + 3, seed=5, progress=True)
    sizes = [asked[:3] for asked in painter.asked]
    assert sizes == [(1, ROWS, 0), (1, 3, ROWS)] * 3
    assert out.tokens[:, -1].tolist() == [*range(ROWS + 3)] * 3
    assert [image.getpixel((0, 0))[0] for image in out.images] == out.tokens[:, -1].tolist()
    assert [int(scene.labels[0, 0]) for scene in out.scenes] == out.tokens[:, 8].tolist()
    assert out.captions == ["a"] * (ROWS + 3) + ["b"] * (ROWS + 3) + ["c"] * (ROWS + 3)
    assert "192/192" in capsys.readouterr().err  # six blocks of 32 tokens
    both = {"seg": 3.0, "img": 3.0}
    assert painter.asked[0][3]["guidance"] == both
    assert painter.asked[0][3]["seed"] == 5
    assert painter.asked[0][3]["speculate"] == "auto"
    painter.asked.clear()
    painter.generate(["a"] * 7, num_images=5, speculate=3)
    assert painter.asked[0][3]["speculate"] == 3
    assert [asked[:3] for asked in painter.asked] == [(3, 5, 0), (3, 5, 0), (1, 5, 0)]


def test_scenes_are_forced(painter, scene) -> None:
    both = [Scene(scene.labels * 0 + label, scene.edges) for label in (5, 7)]
    out = painter.generate(["a", "b"], scene=both, num_images=2)
    assert out.tokens[:, 8:24].tolist() == [[5] * 16] * 2 + [[7] * 16] * 2
    assert out.tokens[:, 24].tolist() == [0, 1, 0, 1]
    with pytest.raises(ValueError, match="scene: found 1, expected one, or 2 as captions"):
        painter.generate(["a", "b"], scene=[scene])
