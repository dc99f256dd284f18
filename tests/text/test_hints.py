"""hints.py: what is given of a scene, in words."""

import numpy as np
import pytest

from mas_fast.scene.labels import COCO_NAMES, MINI158
from mas_fast.text.bpe import BPE
from mas_fast.text.hints import CELLS, MARK, MOST, hinted, hints, knows_hints, random_part

GRASS, SKY, DOG = (COCO_NAMES.index(n) for n in ("grass-merged", "sky-other-merged", "dog"))


def scene() -> np.ndarray:
    """Sky over grass, a dog on it, and a person of parts."""
    labels = np.full((64, 64), SKY, np.uint8)
    labels[32:] = GRASS
    labels[36:52, 8:32] = DOG
    labels[40:48, 40:48] = MINI158.human + 1
    labels[48:56, 40:48] = MINI158.face + 1
    return labels


def test_things_come_first_and_larger_ones_before_smaller() -> None:
    labels = scene()
    found = hints(labels, np.ones((64, 64), bool), MINI158)
    assert found == ["dog b5 d7", "person f6 f7", "sky a1 h4", "grass a5 h8"]


def test_nothing_is_told_of_what_is_not_given() -> None:
    given = np.zeros((64, 64), bool)
    assert hints(scene(), given, MINI158) == []
    given[:, :24] = True
    assert hints(scene(), given, MINI158) == ["dog b5 c7", "sky a1 c4", "grass a5 c8"]
    given[:] = False
    given[0, :2] = True  # too little to be told
    assert hints(scene(), given, MINI158) == []
    void = np.full((64, 64), 255, np.uint8)
    assert hints(void, np.ones((64, 64), bool), MINI158) == []


def test_no_more_than_a_caption_has_room_for(tmp_path) -> None:
    many = np.arange(64, dtype=np.uint8).repeat(64).reshape(64, 64)
    found = hints(many, np.ones((64, 64), bool), MINI158)
    assert len(found) == MOST
    (tmp_path / "text.txt").write_text("a dog; given person a1 h8, dog b2 c3\n" * 40)
    bpe = BPE.train([tmp_path / "text.txt"], vocab_size=270, length=32)
    whole = hinted(bpe, "a dog", ["dog b2 c3", "person a1 h8"])
    assert whole == "a dog; given dog b2 c3, person a1 h8"
    told = [hinted(bpe, "a dog" + " dog" * n, ["dog b2 c3"] * 5) for n in range(40)]
    counts = [text.count("b2") for text in told]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0
    assert {1, 2} <= set(counts)
    assert not any(bpe.encode([text])[1][0] for text, n in zip(told, counts, strict=True) if n)
    assert hinted(bpe, "a dog", []) == "a dog"


def test_a_model_knows_hints_by_its_words() -> None:
    assert knows_hints({MARK, *CELLS, "dog"})
    assert not knows_hints({"dog", "given"})
    assert not knows_hints(None)


def test_random_parts_are_of_all_kinds() -> None:
    labels, generator = scene(), np.random.default_rng(0)
    parts = [random_part(labels, generator) for _ in range(200)]
    things = (labels == DOG) | (labels >= len(COCO_NAMES))
    kinds = {"things": 0, "below": 0, "box": 0, "around": 0}
    for part in parts:
        rows, columns = part.any(1), part.any(0)
        if np.array_equal(part, things):
            kinds["things"] += 1
        elif np.array_equal(part, rows[:, None] & np.ones(64, bool)) and rows[-1]:
            kinds["below"] += 1
        elif np.array_equal(part, rows[:, None] & columns):
            kinds["box"] += 1
        else:
            hole = ~part
            assert np.array_equal(hole, hole.any(1)[:, None] & hole.any(0))
            kinds["around"] += 1
    assert min(kinds.values()) > 20
    again = [random_part(labels, np.random.default_rng(0)) for _ in range(2)]
    assert np.array_equal(*again)
    assert np.array_equal(again[0], parts[0])


@pytest.mark.parametrize("size", [8, 12, 96])
def test_scenes_of_any_size(size) -> None:
    labels = np.full((size, size), GRASS, np.uint8)
    assert hints(labels, np.ones((size, size), bool), MINI158) == ["grass a1 h8"]
