"""base.py: what is asked of a runtime, and what becomes of its answers. See also
test_torch_pipeline.py and test_onnx_pipeline.py."""

import numpy as np
import pytest

from mas_fast.bundle import Bundle, read_vq_config
from mas_fast.models.codec import Codec
from mas_fast.pipelines.base import Painter
from mas_fast.scene import Scene
from mas_fast.text.hints import CELLS, MARK

ROWS = 16


class Flat(Codec):
    """A picture has the grey of its first code, and a scene its label."""

    def _encode(self, item):
        return np.full((1, 4, 4), item.labels[0, 0], np.int64)

    def _decode(self, codes):
        labels = [np.full((16, 16), grid[0, 0], np.uint8) for grid in codes]
        if self.config.layout:
            return [Scene(each, each > 99) for each in labels]
        return [np.stack([each] * 3, -1) for each in labels]


class Numbers:
    """An engine: the tokens of sample n of a caption are all n, but those that are forced."""

    rows = ROWS

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


def test_only_a_model_that_knows_hints_is_told_what_is_given(painter) -> None:
    labels = np.full((16, 16), 255, np.uint8)
    labels[:4, :4] = labels[8:] = 16  # dogs: in the first cell, and below
    scene = Scene(labels, np.zeros((16, 16), bool))
    told, words = [], painter.words

    class Listening:
        """The tokenizer, overheard."""

        def __getattr__(self, name):
            return getattr(bpe, name)

        def encode(self, captions):
            told.extend(captions)
            return bpe.encode([text.partition(";")[0] for text in captions])

    bpe, painter.bpe = painter.bpe, Listening()
    painter.generate("a", scene=scene)
    assert told[0] == "a"
    painter.words = frozenset({*(words or ()), MARK, *CELLS})
    told.clear()
    painter.generate("a")
    painter.generate("a", scene=scene)
    assert told[0] == "a"
    assert told[-1] == "a; given dog a5 h8"


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


def test_negative_captions_go_to_the_engine(painter) -> None:
    """Also those of captions that are drawn in another block, and what is said of them."""
    painter.words = frozenset("a b house dogs".split())
    negatives = [f"house {'dogs ' * n}" for n in range(5)]
    out = painter.generate(["a"] * 5, negative=negatives, num_images=4)
    nulls = np.concatenate([request.null for request in painter.engine.asked])
    assert np.array_equal(nulls, painter.bpe.encode(negatives).ids)
    assert [sizes(request)[0] for request in painter.engine.asked] == [4, 1]
    painter.engine.asked.clear()
    assert out.unknown_words == []
    out = painter.generate(["a", "b zebra"], negative="b house " * 99 + "yak")
    (request,) = painter.engine.asked
    assert np.array_equal(request.null, painter.bpe.encode(["b house " * 99]).ids.repeat(2, 0))
    assert out.unknown_words == ["zebra", "yak"]
    assert len(out.truncated) == 1
    assert ("b house " * 99).startswith(out.truncated[0])
    assert out.captions == ["a", "b zebra"]


def test_a_schedule_goes_to_the_engine(painter) -> None:
    painter.generate("a", guidance={"img": [5.0, 2.0]})
    (request,) = painter.engine.asked
    assert request.guidance[:24].tolist() == [1.0] * 8 + [3.0] * 16
    assert request.guidance[24:].tolist() == pytest.approx([5 - n / 5 for n in range(16)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"negative": ["b"] * 3}, "negative: found 3, expected one, or 2 as captions"),
        ({"negative": []}, "negative captions: found none, expected at least one"),
        ({"negative": ""}, "negative caption 1: found '', expected some words"),
        ({"negative": ["b", 7]}, "negative caption 2: found 7, expected some words"),
        ({"negative": "b", "guidance": 1}, "negative: found one with guidance 1, by which no"),
        ({"guidance": {"img": [1.0]}}, r"guidance: found \[1.0\], expected a number, or two or"),
        ({"guidance": [1] * 17}, "guidance: found a schedule of 17 numbers, expected at most 16"),
    ],
)
def test_bad_negatives_and_schedules_are_named(painter, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        painter.generate(["a", "b"], **options)
    assert painter.engine.asked == []


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
