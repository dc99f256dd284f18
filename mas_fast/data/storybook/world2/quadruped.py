"""Legs of four-footed animals, which look to the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import skia

from mas_fast.data.storybook.canvas import Canvas, Color, Point, together
from mas_fast.data.storybook.world2.forms import dim, outline, tube

# How far the feet swing forward, as shares of a stride: hind far, hind near, fore far, fore near.
Steps = tuple[float, float, float, float]
STEPS: dict[str, Steps] = {"stand": (0.35, -0.15, -0.3, 0.15), "walk": (1.0, -1.0, -1.0, 1.0)}


@dataclass(frozen=True)
class Leg:
    """A leg.

    Attributes:
        joints: from the body down to the ankle.
        widths: at the joints.
        foot: length and height of the foot.
        hoof: whether the foot is a hoof rather than a paw.
    """

    joints: tuple[Point, ...]
    widths: tuple[float, ...]
    foot: tuple[float, float]
    hoof: bool = False

    def moved(self, shift: float, swing: float = 0.0) -> Leg:
        """Return the leg elsewhere: its foot `shift` to the right and `swing` further.

        Its upper end, which the body covers, moves only by a part of `shift`.
        """
        top, low = self.joints[0][1], self.joints[-1][1]
        joints = []
        for x, y in self.joints:
            share = (y - top) / (low - top)
            joints.append((x + shift * (0.3 + 0.7 * share) + swing * share, y))
        return Leg(tuple(joints), self.widths, self.foot, self.hoof)

    def bent(self, *joints: Point) -> Leg:
        """Return the leg with other joints."""
        return Leg(joints, self.widths, self.foot, self.hoof)

    @property
    def path(self) -> skia.Path:
        """The shape of the leg without its foot."""
        return tube(self.joints, self.widths, flat=True)

    @property
    def sole(self) -> skia.Path:
        """The shape of the foot, below the last joint, in the direction of the last bone."""
        (ax, ay), (x, y) = self.joints[-2:]
        long, high = self.foot
        half = 0.5 * self.widths[-1]
        lean = min(max((x - ax) / max(abs(y - ay), 0.02), -1.2), 1.2) * high
        if self.hoof:
            return outline([(x - half, y), (x - half, y), (x + half, y), (x + half, y),
                            (x + lean + 0.5 * long, y + high), (x + lean + 0.5 * long, y + high),
                            (x + lean - 0.5 * long, y + high),
                            (x + lean - 0.5 * long, y + high)])  # fmt: skip
        return outline([(x - half, y - 0.3 * high), (x - half, y + high), (x - half, y + high),
                        (x - half + long, y + high), (x - half + long, y + high),
                        (x - half + long, y + 0.45 * high),
                        (x + half, y - 0.2 * high)])  # fmt: skip


def four(hind: Leg, fore: Leg, gap: float, stride: float, pose: str) -> tuple[Leg, Leg, Leg, Leg]:
    """Return legs on the ground: hind far, hind near, fore far, fore near.

    Args:
        hind: the nearer hind leg.
        fore: the nearer foreleg.
        gap: how far to the right the farther legs are.
        stride: how far the feet swing in a step.
        pose: one of STEPS.
    """
    a, b, c, d = (stride * step for step in STEPS[pose])
    return hind.moved(gap, a), hind.moved(0, b), fore.moved(gap, c), fore.moved(0, d)


def far_legs(canvas: Canvas, legs: Sequence[Leg], color: Color, foot: Color | None = None) -> None:
    """Draw the legs on the far side, in shadow: all that `legs` has."""
    tone = dim(color, 0.3) if sum(color) > 0.75 else dim(color, 0.35)
    canvas.fill(together(leg.path for leg in legs), tone)
    soles = together(leg.sole for leg in legs)
    canvas.fill(soles, tone if foot is None else dim(foot, 0.3))


def coat_of(legs: Sequence[Leg], *others: skia.Path, paws: bool = True) -> skia.Path:
    """Return the near legs and other shapes as one, to be shaded as one; with their paws."""
    soles = [leg.sole for leg in legs] if paws else []
    return together([*(leg.path for leg in legs), *soles, *others])


def hooves(canvas: Canvas, legs: Sequence[Leg], color: Color) -> None:
    """Draw the hooves of the near legs."""
    canvas.fill(together(leg.sole for leg in legs), color)
