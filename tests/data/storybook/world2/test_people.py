"""People of the second world: parts of the body, poses, clothes that a caption names."""

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("skia")

from living import HIGH, SIZE, check_box, check_seeds, drawn  # noqa: E402
from mas_fast.data.storybook.canvas import rgb  # noqa: E402
from mas_fast.data.storybook.world2 import people  # noqa: E402
from mas_fast.scene.labels import FACE_NAMES  # noqa: E402

PEOPLE = ("man", "woman", "boy", "girl")
COMMON = ("hair", "face", "left-arm", "right-arm", "left-shoe", "right-shoe")
WEARS = {
    "man": ("upper-clothes", "pants"),
    "woman": ("dress", "left-leg", "right-leg"),
    "boy": ("upper-clothes", "pants", "left-leg", "right-leg"),
    "girl": ("dress", "left-leg", "right-leg"),
}
RED, BLUE, WHITE = rgb("cf2a27"), rgb("2c63c9"), rgb("f4f2ec")
POSES = tuple(people.HEIGHTS)


@pytest.mark.parametrize("kind", PEOPLE)
def test_every_pose_is_in_its_box(kind: str) -> None:
    check_box(getattr(people, kind), [RED, WHITE], people.WIDTHS[kind], people.HEIGHTS)


@pytest.mark.parametrize("kind", PEOPLE)
def test_a_seed_is_a_person(kind: str) -> None:
    check_seeds(getattr(people, kind), RED, kinds=24)


def test_an_unknown_pose_is_named() -> None:
    with pytest.raises(ValueError, match="found pose 'fly', expected one of stand, wave, walk"):
        drawn(people.man, RED, pose="fly")


@pytest.mark.parametrize("kind", PEOPLE)
@pytest.mark.parametrize("pose", POSES)
def test_every_part_is_there(kind: str, pose: str) -> None:
    for seed in range(8):
        figure = drawn(getattr(people, kind), WHITE, seed, pose=pose)
        folded = pose in ("sit", "ride", "run")  # a leg or an arm may hide the other
        for name in COMMON + WEARS[kind]:
            if folded and name.startswith(("left-", "right-")):
                continue
            assert figure.part(name).sum() >= 18, (name, seed)
        for name, least in zip(FACE_NAMES, (10, 30, 8, 20, 8), strict=True):
            assert figure.part(name).sum() >= least, (name, seed)
        unworn = {"upper-clothes", "dress", "pants", "coat", "scarf"} - set(WEARS[kind])
        assert not any(figure.part(name).any() for name in unworn)
        assert (figure.shape == (figure.layers.human > 0)).all()


@pytest.mark.parametrize("kind", PEOPLE)
def test_a_persons_own_left_is_at_the_viewers_right(kind: str) -> None:
    """Also where the figure is mirrored."""
    for facing in (1, -1):
        for seed in range(8):
            figure = drawn(getattr(people, kind), RED, seed, pose="stand", facing=facing)
            for name in ("arm", "shoe"):
                left, right = (
                    np.nonzero(figure.part(f"{side}-{name}"))[1].mean()
                    for side in ("left", "right")
                )
                assert left > right + 4, (facing, seed, name)


@pytest.mark.parametrize("kind", PEOPLE)
def test_a_persons_clothes_have_the_colour_asked_for(kind: str) -> None:
    for color in (RED, BLUE, rgb("f3cf34"), rgb("f08bb4")):
        figure = drawn(getattr(people, kind), color, 2)
        garment = figure.part(WEARS[kind][0])
        assert garment.sum() > 0.12 * figure.shape.sum()
        assert figure.share(color, garment) > 0.75


@pytest.mark.parametrize("kind", PEOPLE)
def test_in_the_cold_people_wear_coats_scarves_and_hats(kind: str) -> None:
    figure = drawn(getattr(people, kind), RED, 1, cold=True)
    for name in ("coat", "scarf", "hat", "pants", "hair"):
        assert figure.part(name).sum() >= 10, name
    assert not figure.part("dress").any()
    assert figure.share(RED, figure.part("coat")) > 0.75


@pytest.mark.parametrize("kind", ["man", "boy"])
def test_whoever_sits_rests_on_the_seat(kind: str) -> None:
    """Trousers end there behind the legs; a dress hangs lower."""
    for pose in ("sit", "ride"):
        for seed in range(6):
            figure = drawn(getattr(people, kind), RED, seed, pose=pose)
            column = int(SIZE / 2 - 0.03 * HIGH)
            rows = np.nonzero(figure.shape[:, column])[0]
            seat = (0.75 * SIZE - rows.max()) / HIGH
            assert abs(seat - people.SEATS[kind][pose]) < 0.06, (pose, seed)


def test_whoever_waves_has_a_hand_above_the_shoulders() -> None:
    for kind in PEOPLE:
        hands = {
            pose: np.nonzero(drawn(getattr(people, kind), RED, 1, pose=pose).part("left-arm"))[0]
            for pose in ("wave", "stand")
        }
        assert hands["wave"].min() < hands["stand"].min() - 0.15 * HIGH


def test_children_have_bigger_heads() -> None:
    def head(kind: str) -> float:
        faces = [drawn(getattr(people, kind), RED, n).part("face") for n in range(8)]
        return float(np.median([np.ptp(np.nonzero(face)[1]) for face in faces]))

    assert head("boy") > 1.12 * head("man")
    assert head("girl") > 1.12 * head("woman")


def test_variety() -> None:
    """Hats, hair and skins: some of each among forty."""
    hats, skins = Counter(), set()
    for seed in range(40):
        for kind in PEOPLE:
            figure = drawn(getattr(people, kind), RED, seed)
            hats[kind] += figure.part("hat").any()
            skins.add(tuple(np.median(figure.pixels[figure.part("face")], axis=0).astype(int)))
    assert all(3 <= hats[kind] <= 24 for kind in PEOPLE), hats
    assert len(skins) >= 5
