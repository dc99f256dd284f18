"""faithfulness.py: true scenes and pictures score near 1, wrong ones low, and each metric alone."""

import numpy as np
import pytest

from mas_fast.data.storybook.world import WORLDS
from mas_fast.data.storybook.world1.captions import captions, read_caption
from mas_fast.data.storybook.world1.paint import paint
from mas_fast.data.storybook.world1.story import story
from mas_fast.evaluation.faithfulness import (
    METRICS,
    class_map,
    colors_of,
    count,
    faithfulness,
    has_color,
    lab,
    rates,
)
from mas_fast.scene import Scene
from mas_fast.scene.open import square
from mas_fast.scene.rules import find_edges

STORIES = 150
SKY, GRASS, TREE, DOG, HORSE, HOUSE, BENCH = 119, 125, 116, 16, 17, 91, 13
BROWN = (128, 80, 44)
BROWN_PICTURE = np.full((64, 64, 3), BROWN, np.uint8)
BLACK_PICTURE = np.zeros((8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def truth() -> list[tuple[str, Scene, np.ndarray]]:
    """Captions, scenes of 64 pixels as a tokenizer sees them, pictures of 128."""
    found = []
    for told in (story("test", index) for index in range(STORIES)):
        pixels, layers = paint(told, 128)
        found.append((captions(told)[0], square(layers.clean(), 64), pixels))
    return found


def test_captions_are_read_back() -> None:
    for index in range(400):
        told = story("test", index)
        first, *others = captions(told)
        claims = read_caption(first)
        found = claims.groups, claims.relation, claims.place, claims.hour, claims.weather
        assert found == (told.groups, told.relation, told.place, told.hour, told.weather), first
        for caption in others:
            claims = read_caption(caption)
            assert claims.place in (None, told.place)
            assert claims.hour in ("day", told.hour)
            assert claims.weather in ("clear", told.weather)
    claims = read_caption("in the fog, at sunset, two red boats in the north")
    assert (claims.place, claims.hour, claims.weather) == (None, "dusk", "fog")
    assert read_caption("a car on a bridge over a river").place == "bridge"
    assert read_caption("a dog on the sand by the sea").place == "beach"


def test_the_truth_scores_near_one(truth) -> None:
    found = rates(faithfulness(*one, WORLDS[1]) for one in truth)
    assert list(found) == list(METRICS)
    for name in ("recall", "recall, seen", "recall, unseen", "precision", "left, right"):
        assert found[name] >= 0.99, name
    assert found["other relations"] >= 0.99
    assert found["counts"] >= 0.98
    assert found["colours"] >= 0.96
    assert found["joint"] >= 0.95


def test_the_truth_of_the_second_world() -> None:
    """At the size of its scenes; two that touch are one now and then."""
    world, scores = WORLDS[2], []
    for told in (world.story("test", index, 0) for index in range(STORIES)):
        pixels, layers = world.paint(told, 256)
        scene = square(layers.clean(), 128)
        scores.append(faithfulness(world.captions(told)[0], scene, pixels, world))
    found = rates(scores)
    for name in ("recall", "precision", "left, right", "without"):
        assert found[name] >= 0.99, name
    for name in ("counts", "other relations", "colours"):
        assert found[name] >= 0.97, name
    assert found["joint"] >= 0.94


def test_other_captions_score_low(truth) -> None:
    others = [caption for caption, *_ in truth[7:] + truth[:7]]
    found = rates(
        faithfulness(caption, scene, picture, WORLDS[1])
        for caption, (_, scene, picture) in zip(others, truth, strict=True)
    )
    assert np.nanmax(list(found.values())) < 0.25
    assert np.isnan(found["without"])  # no caption of this world denies anything


def test_mirrored_scenes_turn_left_and_right_alone(truth) -> None:
    scores = [faithfulness(c, s.flip(), p[:, ::-1], WORLDS[1]) for c, s, p in truth]
    found = rates(scores)
    assert found["left, right"] == 0
    assert sum(s["left, right"][1] for s in scores) > 20
    assert found["recall"] >= 0.99
    assert found["counts"] >= 0.98
    assert found["colours"] >= 0.96


# ------------------------------------------------------------------ one metric at a time


def scene_of(*boxes: tuple[int, int, int, int, int]) -> Scene:
    """(label, top, left, bottom, right), later ones over earlier ones, each an instance."""
    labels = np.full((64, 64), GRASS, np.uint8)
    instances = np.zeros((64, 64), np.int32)
    labels[:30] = SKY
    for number, (label, top, left, bottom, right) in enumerate(boxes, 1):
        labels[top:bottom, left:right] = label
        instances[top:bottom, left:right] = number
    return Scene(labels, find_edges(labels, instances))


def score(caption: str, *boxes, color=BROWN) -> dict[str, tuple[int, int]]:
    picture = np.full((128, 128, 3), color, np.uint8)
    return faithfulness(caption, scene_of(*boxes), picture, WORLDS[1])


def test_recall_and_precision() -> None:
    dog, horse, house = (DOG, 40, 4, 50, 18), (HORSE, 40, 40, 56, 60), (HOUSE, 10, 20, 40, 36)
    caption = "a dog and a horse in a meadow"
    assert score(caption, dog, horse)["recall"] == (2, 2)
    assert score(caption, dog)["recall"] == (1, 2)
    assert score(caption, dog, horse, (BENCH, 20, 20, 30, 30))["precision"] == (2, 3)
    assert score(caption, dog, house)["precision"] == (1, 1)  # a house is stuff
    assert score("a house in a meadow", house)["recall"] == (1, 1)
    tiny = (DOG, 40, 4, 44, 8)  # 16 pixels of 4096: under 0.4%
    assert score(caption, tiny, horse)["recall"] == (1, 2)
    assert score("a horse in a meadow", tiny, horse)["precision"] == (1, 1)


def test_people_are_all_their_parts() -> None:
    boxes = [(132 + part, top, 20, top + 8, 30) for part, top in ((2, 8), (13, 16), (5, 24))]
    scene = scene_of(*boxes, (154, 18, 24, 20, 26), (0, 32, 20, 40, 30))
    assert (class_map(scene) == 0).sum() == 320
    for layout in ("mini158", "mas159"):
        found = faithfulness("a man in a brown shirt", scene.to(layout), BROWN_PICTURE, WORLDS[1])
        assert found["counts"] == found["colours"] == found["precision"] == (1, 1)
        dressed = faithfulness(
            "a woman in a brown dress", scene.to(layout), BROWN_PICTURE, WORLDS[1]
        )
        assert dressed["recall"] == (1, 1)
        assert dressed["colours"] == (0, 1)


def test_unseen_triples_are_apart() -> None:
    told = next(s for s in (story("test", i) for i in range(1, 99, 2)) if len(s.groups) == 1)
    unseen = faithfulness(captions(told)[0], scene_of(), BLACK_PICTURE, WORLDS[1])
    assert unseen["recall, unseen"] == (0, 1)
    assert unseen["recall, seen"] == (0, 0)
    told = story("test", 0)
    seen = faithfulness(captions(told)[0], scene_of(), BLACK_PICTURE, WORLDS[1])
    assert seen["recall, seen"][1] == len(told.groups)
    assert seen["recall, unseen"] == (0, 0)


def test_counts() -> None:
    apart = [(DOG, 40, left, 50, left + 12) for left in (4, 24, 44)]
    assert score("three dogs in a meadow", *apart)["counts"] == (1, 1)
    assert score("two dogs in a meadow", *apart)["counts"] == (0, 1)
    assert score("a dog in a meadow")["counts"] == (0, 1)  # none is not one


def test_instances_that_touch_are_parted_by_edges() -> None:
    touching = scene_of((DOG, 40, 4, 50, 18), (DOG, 40, 18, 50, 32))
    mask = touching.labels == DOG
    assert count(mask, touching.edges) == 2
    assert count(mask, touching.edges, parted=False) == 1
    assert count(mask, np.zeros_like(mask)) == 1


def test_pieces_of_one_thing_are_joined() -> None:
    mask = np.zeros((64, 64), bool)
    none = np.zeros_like(mask)
    mask[20:30, 10:20] = mask[32:36, 6:24] = True  # a sail, two pixels above its hull
    assert count(mask, none) == 1
    mask[30:32] = False
    mask[20:30] = np.roll(mask[20:30], -2, 0)  # four
    mask[28:30] = False
    assert count(mask, none) == 2
    mask[:] = False
    mask[20:40, 10:30] = True
    mask[20:24, 40:45] = True  # 20 pixels beside 400
    assert count(mask, none) == 1
    mask[:] = False
    mask[20:26, 10:16] = mask[26:32, 16:22] = True  # that touch at a corner
    assert count(mask, none) == 1
    assert count(none, none) == 0


def test_relations() -> None:
    left, right = (DOG, 40, 4, 50, 18), (HORSE, 40, 40, 56, 60)
    assert score("a dog left of a horse", left, right)["left, right"] == (1, 1)
    assert score("a dog to the right of a horse", left, right)["left, right"] == (0, 1)
    assert score("a horse to the right of a dog", left, right)["left, right"] == (1, 1)
    assert score("a dog beside a horse", left, right)["left, right"] == (0, 0)
    assert score("a dog beside a horse", left, right)["other relations"] == (1, 1)
    assert score("a horse right of a dog", right)["left, right"] == (0, 1)
    assert score("a dog left of a horse", left, right)["other relations"] == (0, 0)
    assert score("a dog behind a horse", left, right)["other relations"] == (1, 1)
    assert score("a dog in front of a horse", left, right)["other relations"] == (0, 1)


def test_joint_is_all_of_it() -> None:
    left, right = (DOG, 40, 4, 50, 18), (HORSE, 40, 40, 56, 60)
    assert score("a brown dog left of a horse", left, right)["joint"] == (1, 1)
    assert score("a gray dog left of a horse", left, right)["joint"] == (0, 1)
    assert score("a brown dog right of a horse", left, right)["joint"] == (0, 1)
    assert score("two brown dogs left of a horse", left, right)["joint"] == (0, 1)
    assert score("a brown dog", left, right)["joint"] == (1, 1)  # precision is not asked


def test_what_is_denied() -> None:
    def judged(caption: str, *boxes) -> dict:
        return faithfulness(caption, scene_of(*boxes), BROWN_PICTURE, WORLDS[2])

    dog, tree = (DOG, 40, 4, 50, 18), (TREE, 20, 40, 32, 50)
    assert judged("a brown dog in a meadow without trees", dog)["without"] == (1, 1)
    assert judged("a brown dog in a meadow without trees", dog, tree)["without"] == (0, 1)
    assert judged("a brown dog in a meadow without trees", dog, tree)["joint"] == (0, 1)
    assert judged("a brown dog in a meadow without clouds", dog)["without"] == (0, 0)  # no class
    assert judged("a brown dog in a meadow", dog, tree)["without"] == (0, 0)


def test_far_is_of_the_last_thing() -> None:
    def judged(caption: str, *boxes) -> dict:
        return faithfulness(caption, scene_of(*boxes), BROWN_PICTURE, WORLDS[2])

    dog, near, far = (DOG, 40, 4, 50, 18), (HOUSE, 10, 30, 36, 60), (HOUSE, 26, 40, 34, 50)
    caption = "a dog in a meadow and a house in the distance"
    assert WORLDS[2].read_caption(caption).relation == "far"
    assert judged(caption, dog, far)["other relations"] == (1, 1)
    assert judged(caption, dog, near)["other relations"] == (0, 1)
    assert judged(caption, dog)["other relations"] == (0, 1)


def test_colours_are_those_of_the_light() -> None:
    dog = (DOG, 36, 4, 56, 40)
    assert score("a brown dog", dog)["colours"] == (1, 1)
    assert score("a gray dog", dog)["colours"] == (0, 1)
    assert score("a dog", dog)["colours"] == (0, 0)
    assert score("a brown dog")["colours"] == (0, 1)
    assert score("a brown dog", (DOG, 40, 4, 44, 7))["colours"] == (0, 1)  # too small to be there
    white_at_night = (165, 176, 224)
    assert score("a white dog at night", dog, color=white_at_night)["colours"] == (1, 1)
    assert score("a white dog", dog, color=white_at_night)["colours"] == (0, 1)


def test_the_rim_has_no_say() -> None:
    mask = np.zeros((32, 32), bool)
    mask[8:15, 8:15] = True
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[9:14, 9:14] = 255
    picture[11, 11] = 0
    colors = {"black": np.zeros(3), "white": np.ones(3)}
    assert colors_of(mask, picture, colors) == {"black": 1 / 25, "white": 24 / 25}
    mask[9:15, 9:15] = False  # lines, of which nothing would be left
    assert colors_of(mask, picture, colors) == {"black": 1, "white": 0}
    assert colors_of(np.zeros_like(mask), picture, colors) == {"black": 0, "white": 0}


def test_a_thing_has_a_colour_though_its_parts_have_others() -> None:
    bicycle = {"black": 0.5, "green": 0.3, "gray": 0.14, "red": 0.06}
    assert has_color(bicycle, "green", ("red", "green"))  # tyres are black, and no frame is
    assert not has_color(bicycle | {"green": 0.24}, "green", ("red", "green", "black"))
    assert not has_color(bicycle, "red", ("red", "green"))
    assert not has_color({"green": 0.0, "red": 0.09}, "red", ("red", "green"))
    assert has_color({"green": 0.4, "red": 0.2}, "red", ("red", "green"))
    assert not has_color({"green": 0.5, "red": 0.2}, "red", ("red", "green"))


def test_lab() -> None:
    """Against published values (D65)."""
    colors = np.array([[1.0, 1, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0], [0.01, 0.01, 0.01]])
    known = [[100, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86], [0, 0, 0], [0.7, 0, 0]]
    assert np.abs(lab(colors) - known).max() < 0.05


def test_rates_are_of_all_that_was_asked() -> None:
    scores = [dict.fromkeys(METRICS, pair) for pair in ((1, 1), (0, 3))]
    assert set(rates(scores).values()) == {0.25}
    assert np.isnan(rates([dict.fromkeys(METRICS, (0, 0))])["counts"])


@pytest.mark.parametrize(
    ("caption", "picture", "message"),
    [
        ("the sea", np.zeros((8, 8, 3), np.uint8), "caption: found 'the sea', expected one of the"),
        ("a dog", np.zeros((8, 8, 3)), r"picture: found float64 \[8, 8, 3\], expected uint8"),
        ("a dog", np.zeros((8, 8), np.uint8), r"picture: found uint8 \[8, 8\], expected uint8"),
    ],
)
def test_mistakes(caption, picture, message) -> None:
    with pytest.raises(ValueError, match=message):
        faithfulness(caption, scene_of(), picture, WORLDS[1])
