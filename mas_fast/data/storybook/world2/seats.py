"""Who can sit, ride or stand on what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PEOPLE = ("man", "woman", "boy", "girl")
_ADULT, _CHILD = {"sit": 0.225, "ride": 0.342}, {"sit": 0.184, "ride": 0.283}
LEGS = {"man": _ADULT, "woman": _ADULT, "boy": _CHILD, "girl": _CHILD}


@dataclass(frozen=True)
class Seat:
    """What somebody or something can be on.

    Attributes:
        poses: who can be on it, and in which pose; None for things without poses.
        y: how high the seat is, ratio to the thing's height.
        x: where it is, in the thing's own frame, which faces right.
    """

    poses: Mapping[str, str | None]
    y: float
    x: float = 0.0

    def rest(self, kind: str) -> float:
        """Return how far somebody hangs below the seat: legs, ratio to the height."""
        return LEGS.get(kind, {}).get(self.poses[kind] or "", 0.0)


_ON_TABLES = ("potted plant", "laptop", "book", "clock", "vase", "bottle", "cup", "bowl", "pizza",
              "cake")  # fmt: skip
_RIDERS = dict.fromkeys(PEOPLE, "ride")
_SITTERS = dict.fromkeys(PEOPLE, "sit")
_BIRD = {"bird": "perch"}

SEATS = {
    "horse": Seat(_RIDERS, 0.665),
    "bicycle": Seat(_RIDERS, 0.88, -0.27),
    "motorcycle": Seat(_RIDERS, 0.64, -0.24),
    "skateboard": Seat({"boy": "stand", "girl": "stand", "dog": "stand"}, 0.76),
    "bench": Seat({**_SITTERS, "cat": "sit", **_BIRD}, 0.46),
    "chair": Seat({**_SITTERS, "cat": "sit", "teddy bear": None}, 0.46, 0.03),
    "couch": Seat({**_SITTERS, "cat": "lie", "dog": "sit", "teddy bear": None}, 0.5),
    "bed": Seat({"cat": "lie", "dog": "sit", "teddy bear": None, "suitcase": None}, 0.6, 0.15),
    "table": Seat({**dict.fromkeys(_ON_TABLES, None), "cat": "sit"}, 0.95),
    "fire hydrant": Seat(_BIRD, 1.0),
    "stop sign": Seat(_BIRD, 1.0),
}


def sits(kind: str, other: str) -> bool:
    """Tell whether a kind of thing can be on another."""
    return other in SEATS and kind in SEATS[other].poses
