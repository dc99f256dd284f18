"""The bones of people: builds, poses, and where the joints are in a pose.

x to the right, y down, the middle of the hips at (0, 0). The nearer side is the person's right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mas_fast.data.storybook.canvas import Point

FOOT = 0.035  # height of the ankles above the ground
TOE = 0.085  # from the ankle to the tip of a shoe
NECK = 0.022


@dataclass(frozen=True)
class Build:
    """Measures of a person who stands 1 high.

    Attributes:
        head: radius of the head.
        shoulder: half the width of the shoulders.
        waist: half the width of the waist.
        hips: half the width of the hips.
        torso: from the hips to the shoulders.
        arm: lengths of upper arm and forearm.
        leg: lengths of thigh and shin.
        limb: width of an arm; a thigh is twice as wide.
    """

    head: float
    shoulder: float
    waist: float
    hips: float
    torso: float
    arm: tuple[float, float]
    leg: tuple[float, float]
    limb: float


BUILDS = {
    "man": Build(0.114, 0.122, 0.1, 0.096, 0.281, (0.145, 0.13), (0.215, 0.205), 0.058),
    "woman": Build(0.112, 0.099, 0.076, 0.094, 0.278, (0.138, 0.125), (0.22, 0.207), 0.048),
    "boy": Build(0.148, 0.112, 0.098, 0.094, 0.276, (0.122, 0.105), (0.182, 0.17), 0.058),
    "girl": Build(0.148, 0.1, 0.086, 0.09, 0.276, (0.12, 0.103), (0.182, 0.17), 0.052),
}


@dataclass(frozen=True)
class Pose:
    """Angles of a pose, in degrees from straight down, forward (to the right) is positive.

    Attributes:
        lean: of the upper body, forward.
        legs: thigh and shin of the nearer leg, then of the farther.
        arms: upper arm and forearm of the nearer arm, then of the farther.
        turned: how much of the breadth of the body is seen.
        drawn: share of a thigh's length that is seen.
        seated: whether the hips rest on something, always at the same height.
    """

    lean: float
    legs: tuple[tuple[float, float], tuple[float, float]]
    arms: tuple[tuple[float, float], tuple[float, float]]
    turned: float = 0.86
    drawn: float = 1.0
    seated: bool = False


POSES = {
    "stand": Pose(0, ((-3, -3), (6, 4)), ((-17, 4), (18, 8)), 1.0),
    "wave": Pose(-1, ((-4, -3), (7, 4)), ((-17, -3), (128, 172)), 1.0),
    "walk": Pose(3, ((25, 12), (-15, -40)), ((-30, -10), (28, 52))),
    "run": Pose(11, ((66, -20), (-20, -86)), ((-52, 42), (42, 122))),
    "sit": Pose(-3, ((84, 2), (80, 9)), ((12, 58), (26, 70)), 0.92, 0.84, True),
    "ride": Pose(5, ((46, -12), (50, -8)), ((38, 72), (46, 78)), 0.86, 1.0, True),
}


# Other ways to hold the arms while standing: a hand on the hip, hands that meet in front.
ARMS = (POSES["stand"].arms, ((-52, 42), (16, 12)), ((-30, 62), (32, -18)), ((-20, 8), (24, 46)))


@dataclass(frozen=True)
class Bones:
    """Joints of a person in a pose; of the nearer side, then of the farther.

    Attributes:
        rise: height of the hips above the ground.
        lean: of the upper body, degrees.
        legs: hip, knee and ankle.
        pitch: degrees that the feet are turned by.
        arms: shoulder, elbow and wrist, in the frame of the upper body.
        turned: share of the breadth of the body that is seen.
    """

    rise: float
    lean: float
    legs: tuple[list[Point], list[Point]]
    pitch: tuple[float, float]
    arms: tuple[list[Point], list[Point]]
    turned: float


def _chain(start: Point, angles: tuple[float, float], lengths: tuple[float, float]) -> list[Point]:
    points = [start]
    for angle, length in zip(angles, lengths, strict=True):
        (x, y), turn = points[-1], math.radians(angle)
        points.append((x + length * math.sin(turn), y + length * math.cos(turn)))
    return points


def _depth(ankle: Point, pitch: float) -> float:
    """Return how far a foot reaches below the hips."""
    turn = math.radians(pitch)
    toe = FOOT * math.cos(turn) + TOE * math.sin(turn)
    heel = FOOT * math.cos(turn) - 0.3 * TOE * math.sin(turn)
    return ankle[1] + max(toe, heel)


def bones(build: Build, pose: Pose, generator: np.random.Generator) -> Bones:
    """Return the joints in a pose; each person holds it a little differently."""
    loose = generator.uniform(-4, 4, 6).tolist()
    thigh, shin = build.leg
    spread = 0.5 * build.hips * pose.turned
    legs = []
    for n, (x, (a, b)) in enumerate(zip((-spread, spread), pose.legs, strict=True)):
        bend = 0.0 if pose.seated else 0.5 * loose[n]
        angles = (a + bend, b + bend)
        legs.append(_chain((x, 0.0), angles, (thigh * pose.drawn, shin)))
    pitch = (-0.8 * pose.legs[0][1], -0.8 * pose.legs[1][1])
    if max(abs(b) for _, b in pose.legs) < 15:  # both feet are flat
        pitch = (0.0, 0.0)
    if pose == POSES["stand"]:
        pose = replace(pose, arms=ARMS[int(generator.integers(len(ARMS)))])
    side, top = build.shoulder * pose.turned, -build.torso + 0.035
    arms = []
    for n, (x, (a, b)) in enumerate(zip((-side, side), pose.arms, strict=True)):
        angles = (a + loose[2 + n], b + loose[4 + n])
        arms.append(_chain((x * 0.86, top), angles, build.arm))
    rise = max(_depth(leg[-1], turn) for leg, turn in zip(legs, pitch, strict=True))
    return Bones(rise, pose.lean, (legs[0], legs[1]), pitch, (arms[0], arms[1]), pose.turned)
