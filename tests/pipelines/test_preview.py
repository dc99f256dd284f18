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
    assert previews.image(whole.tokens[0]).tobytes() == whole.images[0].tobytes()
    assert np.array_equal(previews.scene(whole.tokens[0]).labels, whole.scenes[0].labels)


def test_whoever_has_a_scene_may_change_it(previews, whole) -> None:
    previews.scene(whole.tokens[0]).labels[:] = 3
    assert np.array_equal(previews.scene(whole.tokens[0]).labels, whole.scenes[0].labels)


def test_nothing_is_seen_of_a_caption(previews, whole) -> None:
    assert previews.image(cut(whole.tokens[0], 32)) is None
    assert previews.scene(cut(whole.tokens[0], 95)) is None


def test_the_scene_stands_where_the_picture_is_not_drawn(previews, whole) -> None:
    """Rows that are drawn are nearly the final ones away from the border; the rest are not the
    picture's, and not those of another preview."""
    tokens, final = whole.tokens[0], np.asarray(whole.images[0]).astype(int)
    scene = np.asarray(previews.image(cut(tokens, 96))).astype(int)
    assert scene.shape == final.shape
    later = np.asarray(previews.image(cut(tokens, 96 + 12 * 16))).astype(int)
    half = np.asarray(previews.image(cut(tokens, 96 + 8 * 16))).astype(int)  # eight of 16 rows
    assert alike(half[:40], final[:40])
    assert np.array_equal(half[64:], scene[64:])
    assert np.abs(half[64:96] - final[64:96]).mean() > 10
    assert alike(later[:72], final[:72])
    assert np.array_equal(np.asarray(previews.image(cut(tokens, 96 + 8 * 16))), half)


def test_a_part_of_a_scene_ends_in_grey(previews, whole) -> None:
    part = np.asarray(previews.image(cut(whole.tokens[0], 32 + 32)))  # four of eight rows
    assert (part[-16:] == 128).all()
    assert not (part[:32] == 128).all()


def test_tokens_that_are_given_below_are_shown(previews, whole) -> None:
    """As of an edit: the hole shows the scene, and the rest the picture."""
    tokens, final = whole.tokens[0].copy(), np.asarray(whole.images[0]).astype(int)
    tokens[96 : 96 + 64] = -1  # the four upper rows
    seen = np.asarray(previews.image(tokens)).astype(int)
    assert alike(seen[64:], final[64:])
    assert np.abs(seen[:24] - final[:24]).mean() > 4


def test_a_model_without_scenes_goes_on_blurred(model, whole) -> None:
    previews = Previews(model.streams, None, model.img)
    assert previews.scene(whole.tokens[0]) is None
    assert previews.image(cut(whole.tokens[0], 96)) is None
    half = np.asarray(previews.image(cut(whole.tokens[0], 96 + 128))).astype(int)
    assert alike(half[:40], np.asarray(whole.images[0]).astype(int)[:40])
    rows = np.abs(np.diff(half[80:], axis=0)).mean()  # the last row of tokens, again and again
    assert rows < 4
