"""Joints of people: the feet are on the ground, the proportions are those of the build."""

import math

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.world2.skeleton import BUILDS, FOOT, NECK, POSES, bones  # noqa: E402


def length(a, b) -> float:
    return math.dist(a, b)


@pytest.mark.parametrize("kind", BUILDS)
@pytest.mark.parametrize("pose", POSES)
def test_bones_have_their_lengths_and_the_feet_touch_the_ground(kind: str, pose: str) -> None:
    build = BUILDS[kind]
    joints = bones(build, POSES[pose], np.random.default_rng(1))
    for leg in joints.legs:
        assert length(leg[0], leg[1]) == pytest.approx(build.leg[0] * POSES[pose].drawn)
        assert length(leg[1], leg[2]) == pytest.approx(build.leg[1])
    for arm in joints.arms:
        assert length(arm[0], arm[1]) == pytest.approx(build.arm[0])
        assert length(arm[1], arm[2]) == pytest.approx(build.arm[1])
    lowest = max(leg[2][1] for leg in joints.legs)
    assert lowest + FOOT - 0.03 <= joints.rise <= lowest + 0.1


@pytest.mark.parametrize("kind", BUILDS)
def test_a_standing_person_is_one_high(kind: str) -> None:
    build = BUILDS[kind]
    rises = [bones(build, POSES["stand"], np.random.default_rng(n)).rise for n in range(8)]
    tall = np.mean(rises) + build.torso + NECK + 2.12 * build.head
    assert tall == pytest.approx(1.0, abs=0.015)


def test_who_sits_always_sits_at_the_same_height() -> None:
    for pose, same in (("sit", True), ("ride", True), ("walk", False)):
        rises = {bones(BUILDS["man"], POSES[pose], np.random.default_rng(n)).rise for n in range(8)}
        assert (len(rises) == 1) == same, pose


def test_arms_hang_in_several_ways() -> None:
    hands = {
        tuple(round(x, 1) for arm in joints.arms for x in arm[2])
        for joints in (
            bones(BUILDS["man"], POSES["stand"], np.random.default_rng(n)) for n in range(30)
        )
    }
    assert len(hands) >= 3
