"""drawing.py: rows in blocks, their steps, and which of several rows a picture becomes."""

import re

import numpy as np
import pytest

from built import needs_engine
from mas_fast.bundle import shipped
from mas_fast.data.storybook.source import StorySource
from mas_fast.generation.cpp import CppEngine
from mas_fast.generation.eager import EagerEngine
from mas_fast.generation.request import request
from mas_fast.pipelines.drawing import draw
from mas_fast.pipelines.torch_pipeline import load
from mas_fast.scene.open import square
from random_gpt import peaked

GUIDED = {"guidance": 2.0, "top_k": 8}


def eager():
    return EagerEngine(peaked())


def cpp():
    return CppEngine(peaked(), threads=1, dtype="fp32", kv_dtype="fp32")


@pytest.fixture(scope="module", params=[eager, pytest.param(cpp, marks=needs_engine)])
def engine(request):
    return request.param()


def captions(count: int = 1) -> np.ndarray:
    given = np.full((count, 40), -1)
    given[:, :8] = np.arange(count)[:, None] + 1
    return given


def no_score(index, tokens):
    raise AssertionError("nothing is to be scored")


def finals(engine, given, **options) -> np.ndarray:
    steps = [*draw(engine, given, score=no_score, **options)]
    assert [step.index for step in steps] == [*range(len(steps))]
    assert all(step.final and step.share == 1 for step in steps)
    return np.stack([step.tokens for step in steps])


def drawn(engine, given, **options) -> np.ndarray:
    """The rows of one run."""
    run = engine.start(request(engine.streams, given[:, :8], forced=given, **options))
    run.advance()
    return np.asarray(run.tokens)


def test_pictures_are_the_rows_of_runs(engine) -> None:
    found = finals(engine, captions(2), num_images=3, seed=4, **GUIDED)
    assert np.array_equal(found, drawn(engine, captions(2), num_samples=3, seed=4, **GUIDED))


def test_steps_are_rows_of_the_grids(engine) -> None:
    """The scene has 4 x 4 tokens, and so has the picture."""
    whole = finals(engine, captions(), seed=1)[0]
    steps = [*draw(engine, captions(), score=no_score, every=3, seed=1)]
    ends = [20, 24, 36, 40]  # after three rows, and after all, of each
    assert [int((step.tokens >= 0).sum()) for step in steps] == ends
    assert [step.share for step in steps] == [(end - 8) / 32 for end in ends]
    assert [step.final for step in steps] == [False, False, False, True]
    for step, end in zip(steps, ends, strict=True):
        assert np.array_equal(step.tokens[:end], whole[:end])
        assert (step.tokens[end:] == -1).all()


def test_what_is_given_later_is_seen_at_once(engine) -> None:
    given = captions()
    given[0, 30:34] = 7
    first, *_ = draw(engine, given, score=no_score, every=1)
    assert first.tokens[30:34].tolist() == [7] * 4
    assert (first.tokens[12:30] == -1).all()


def test_the_likeliest_candidate_goes_on(engine) -> None:
    given = captions(2)
    given[:, 14:18] = 5  # of the scene; what comes later is drawn for the winners alone
    options = {"seed": 2, **GUIDED}
    rows = drawn(engine, given, num_samples=8, **options)
    scored = engine.start(
        request(
            engine.streams, given[:, :8], forced=given, num_samples=8, score_forced=True, **options
        )
    )
    scored.advance()
    likelihood = np.asarray(scored.forced_log_likelihood).reshape(2, 2, 4)
    assert len(np.unique(likelihood)) > 8
    best = likelihood.argmax(2).reshape(-1) + np.arange(4) * 4
    found = finals(engine, given, num_images=2, candidates=4, **options)
    assert np.array_equal(found, rows[best])
    steps = [*draw(engine, given, score=no_score, every=1, candidates=4, num_images=2, **options)]
    assert np.array_equal([step.tokens for step in steps if step.final], rows[best])


def test_one_candidate_is_none(engine) -> None:
    given = captions()
    given[:, 14:18] = 5
    assert np.array_equal(finals(engine, given, candidates=1), finals(engine, given))


def test_the_best_of_several_has_the_highest_score(engine) -> None:
    calls = []

    def score(index, tokens):
        calls.append(index)
        return tokens[:, 8:].sum(1) * (-1) ** index

    rows = drawn(engine, captions(2), num_samples=6, seed=3).reshape(2, 2, 3, 40)
    steps = [*draw(engine, captions(2), num_images=2, best_of=3, score=score, every=1, seed=3)]
    assert calls == [0, 1, 2, 3]
    sums = rows[..., 8:].sum(-1)
    best = np.stack([sums[:, 0].argmax(1), sums[:, 1].argmin(1)], 1)
    expected = np.take_along_axis(rows, best[..., None, None], 2).reshape(4, 40)
    assert np.array_equal([step.tokens for step in steps], expected)
    assert [step.index for step in steps] == [0, 1, 2, 3]


def test_blocks_of_candidates_have_no_more_rows(engine, monkeypatch) -> None:
    asked, start = [], type(engine).start
    monkeypatch.setattr(type(engine), "start", lambda self, r: asked.append(r) or start(self, r))
    given = captions(3)
    given[:, 14:18] = 5
    one_by_one = [finals(engine, row[None], candidates=6, seed=8)[0] for row in given]
    asked.clear()
    assert np.array_equal(finals(engine, given, candidates=6, seed=8), one_by_one)
    assert [len(each.forced) * each.samples for each in asked] == [12, 6]
    assert max(len(each.forced) * each.samples for each in asked) <= engine.rows


def test_an_engine_says_how_many_rows_are_drawn_at_once(engine, monkeypatch) -> None:
    asked, start = [], type(engine).start
    monkeypatch.setattr(type(engine), "start", lambda self, r: asked.append(r) or start(self, r))
    found = []
    for rows, expected in ((16, [15, 15]), (64, [30]), (4, [4, 1] * 6)):
        monkeypatch.setattr(engine, "rows", rows)
        asked.clear()
        found.append(finals(engine, captions(6), num_images=5, seed=8))
        assert [len(each.forced) * each.samples for each in asked] == expected
    if isinstance(engine, CppEngine):  # PyTorch's products may round otherwise
        assert all(np.array_equal(each, found[0]) for each in found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_images": 0}, "num_images: found 0"),
        ({"candidates": 0}, "candidates: found 0, expected an integer in 1..16"),
        ({"candidates": 17}, "candidates: found 17, expected an integer in 1..16"),
        ({"candidates": 2}, "candidates: found 2, expected 1: no token is given after one that is"),
        ({"best_of": 0}, "best_of: found 0"),
        ({"every": 0}, "every: found 0"),
        ({"seed": -1}, "seed: found -1"),
    ],
)
def test_mistakes_raise_at_the_call(engine, options, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        draw(engine, captions(), score=no_score, **options)


def test_what_is_whole_is_drawn_at_once(engine) -> None:
    whole = finals(engine, captions(), seed=1)
    again = [*draw(engine, whole, score=no_score, every=1, seed=2)]
    assert len(again) == 1
    assert np.array_equal(again[0].tokens, whole[0])


@pytest.mark.slow
def test_candidates_fit_what_is_given() -> None:
    """The lower rows of scenes that training never saw are given to the model that ships."""
    model = load(shipped(), device="cpu", engine="cpp", dtype="int8")
    stories = StorySource(16, model.size, "validation", world=1)
    samples = [stories.read(index) for index in range(16)]
    scenes = [square(sample.layers, model.seg.config.resolution).clean() for sample in samples]
    true = model.seg.encode(scenes).reshape(16, -1)
    given = np.full((16, 352), -1)
    given[:, :32] = model.bpe.encode([sample.captions[0] for sample in samples]).ids
    given[:, 32 + 40 : 96] = true[:, 40:]  # three of eight rows
    decoded = np.stack([scene.labels for scene in model.seg.decode(true.reshape(16, 8, 8))])

    def drawn(candidates: int) -> tuple[float, float]:
        """How likely what is given is, and how well whole scenes agree with the true ones."""
        steps = draw(
            model.engine, given, candidates=candidates, score=no_score, stop=96, **model.sampling
        )
        tokens = np.stack([step.tokens for step in steps])
        logits = model.engine.logits(tokens[:, :96])["seg"].astype(np.float64)
        each = np.take_along_axis(logits, tokens[:, 32:96, None], 2)[..., 0]
        likelihood = (each - np.logaddexp.reduce(logits, 2))[:, 40:].sum(1).mean()
        found = model.seg.decode(tokens[:, 32:96].reshape(16, 8, 8))
        agree = [
            (scene.labels == labels).mean() for scene, labels in zip(found, decoded, strict=True)
        ]
        return float(likelihood), float(np.mean(agree))

    (one, one_agrees), (eight, eight_agree) = drawn(1), drawn(8)
    assert eight > one + 10
    assert eight_agree > one_agrees
