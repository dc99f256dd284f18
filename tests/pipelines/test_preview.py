"""preview.py: what the tokens of a part of a picture look like."""

import numpy as np
import pytest

from mas_fast.bundle import shipped
from mas_fast.pipelines.preview import Previews
from mas_fast.pipelines.torch_pipeline import load


@pytest.fixture(scope="module")
def model():
    return load(shipped(), device="cpu", engine="cpp", dtype="int8")


@pytest.fixture(scope="module")
def whole(model):
    return model.generate("a red house beside a lake", seed=3)


@pytest.fixture
def previews(model) -> Previews:
    return Previews(model.streams, model.seg, model.img)


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """The same but for a shift of its colours: the decoder's norms see the whole picture."""
    return np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.98 and np.abs(one - other).mean() < 10


def cut(tokens: np.ndarray, position: int) -> np.ndarray:
    return np.where(np.arange(len(tokens)) < position, tokens, -1)


def test_of_all_tokens_it_is_the_picture(previews, whole) -> None:
    assert previews.image(whole.tokens, 0).tobytes() == whole.images[0].tobytes()
    assert np.array_equal(previews.scene(whole.tokens, 0).labels, whole.scenes[0].labels)


def test_whoever_has_a_scene_may_change_it(previews, whole) -> None:
    previews.scene(whole.tokens, 0).labels[:] = 3
    assert np.array_equal(previews.scene(whole.tokens, 0).labels, whole.scenes[0].labels)


def test_nothing_is_seen_of_a_caption(previews, whole) -> None:
    assert previews.image(cut(whole.tokens[0], 32)[None], 0) is None
    assert previews.scene(cut(whole.tokens[0], 95)[None], 0) is None


def test_the_scene_stands_where_the_picture_is_not_drawn(previews, whole) -> None:
    """Rows that are drawn are nearly the final ones away from the border; the rest are not the
    picture's, and not those of another preview."""
    tokens, final = whole.tokens[0], np.asarray(whole.images[0]).astype(int)
    scene = np.asarray(previews.image(cut(tokens, 96)[None], 0)).astype(int)
    assert scene.shape == final.shape
    later = np.asarray(previews.image(cut(tokens, 96 + 12 * 16)[None], 0)).astype(int)
    eight = cut(tokens, 96 + 8 * 16)[None]  # of 16 rows
    half = np.asarray(previews.image(eight, 0)).astype(int)
    assert alike(half[:40], final[:40])
    assert np.array_equal(half[64:], scene[64:])
    assert np.abs(half[64:96] - final[64:96]).mean() > 10
    assert alike(later[:72], final[:72])
    assert np.array_equal(np.asarray(previews.image(eight, 0)), half)


def test_a_part_of_a_scene_ends_in_grey(previews, whole) -> None:
    part = np.asarray(previews.image(cut(whole.tokens[0], 32 + 32)[None], 0))  # four of eight rows
    assert (part[-16:] == 128).all()
    assert not (part[:32] == 128).all()


def test_tokens_that_are_given_below_are_shown(previews, whole) -> None:
    """As of an edit: the hole shows the scene, and the rest the picture."""
    tokens, final = whole.tokens[0].copy(), np.asarray(whole.images[0]).astype(int)
    tokens[96 : 96 + 64] = -1  # the four upper rows
    seen = np.asarray(previews.image(tokens[None], 0)).astype(int)
    assert alike(seen[64:], final[64:])
    assert np.abs(seen[:24] - final[:24]).mean() > 4


def test_a_model_without_scenes_goes_on_blurred(model, whole) -> None:
    previews = Previews(model.streams, None, model.img)
    assert previews.scene(whole.tokens, 0) is None
    assert previews.image(cut(whole.tokens[0], 96)[None], 0) is None
    half = np.asarray(previews.image(cut(whole.tokens[0], 96 + 128)[None], 0)).astype(int)
    assert alike(half[:40], np.asarray(whole.images[0]).astype(int)[:40])
    rows = np.abs(np.diff(half[80:], axis=0)).mean()  # the last row of tokens, again and again
    assert rows < 4


def test_whole_ones_are_decoded_together(model, monkeypatch) -> None:
    """Of five rows, of which the second is not yet drawn; the result is that of each alone."""
    rows = model.generate("a boat", num_images=5, seed=6).tokens
    rows[1, 200:] = -1
    alone = Previews(model.streams, model.seg, model.img)
    expected = [alone.image(row[None], 0).tobytes() for row in rows]
    counts = []
    for codec in (model.seg, model.img):
        monkeypatch.setattr(codec, "together", 3)
        decode = codec.decode
        monkeypatch.setattr(codec, "decode", lambda c, d=decode: counts.append(len(c)) or d(c))
    previews = Previews(model.streams, model.seg, model.img)
    assert previews.image(rows, 2).tobytes() == expected[2]
    assert counts == [2]  # with the first, and without the second
    assert previews.image(rows, 0).tobytes() == expected[0]
    assert counts == [2]
    assert previews.image(rows, 4).tobytes() == expected[4]
    assert counts == [2, 2]
    counts.clear()
    scenes = [previews.scene(rows, n) for n in range(5)]
    assert counts == [3, 2]
    assert scenes == [alone.scene(row[None], 0) for row in rows]
    counts.clear()
    assert previews.image(rows, 1).tobytes() == expected[1]
    assert counts == [1]  # the picture; its scene was there
