"""Where things can be: in which places, on which part of them, and in which relation."""

from __future__ import annotations

from mas_fast.data.storybook.world2.kinds import KINDS, Kind
from mas_fast.data.storybook.world2.seats import SEATS, sits
from mas_fast.data.storybook.world2.words import AIR, PLACES, WATER

LEAST_FAR = 0.27  # height of what can be far away
DEPTH = 0.1  # of a part of a place in which things can be behind one another


def part_of(kind: Kind, pose: str | None, place: str) -> str | None:
    """Return the part of a place that a thing is in: a bird that stands is not in the air.

    Args:
        kind: the kind of thing.
        pose: its pose, None for the usual one.
        place: name of a place.

    Returns:
        The part, None if it cannot be there.
    """
    if kind.places is not None and place not in kind.places:
        return None
    parts = [part for part in kind.heights if part in PLACES[place].parts]
    if pose == "stand":
        parts = [part for part in parts if part not in (AIR, WATER)]
    return next(iter(parts), None)


def places_of(kind: Kind) -> list[str]:
    """List the places in which a thing can be, if need be on another."""
    seats = [KINDS[seat] for seat in SEATS if sits(kind.name, seat)]
    return [
        place
        for place in PLACES
        if part_of(kind, None, place) or any(part_of(seat, None, place) for seat in seats)
    ]


def can_be_far(kind: Kind, place: str, part: str) -> bool:
    """Tell whether a thing that is far away in a place is still seen."""
    return part in PLACES[place].far and (part == AIR or kind.heights[part] >= LEAST_FAR)


def relations(
    place: str, kind: Kind, other: Kind, part: str | None, beyond: str | None
) -> list[str | None]:
    """List the possible relations of a first thing to a second one, likelier ones repeatedly.

    Args:
        place: name of the place.
        kind: kind of the first thing.
        other: kind of the second thing.
        part: where the first is; None if it can only be on another.
        beyond: where the second is; None if it cannot be there.

    Returns:
        Names of `words.RELATIONS`, "far", and None for things that are merely there.
    """
    if beyond is None:
        return []
    found: list[str | None] = ["on"] * 8 if sits(kind.name, other.name) else []
    if part is None:
        return found
    where = PLACES[place]
    if can_be_far(other, place, beyond):
        found += ["far"]
    if AIR in (part, beyond):
        if part != beyond:
            return [*found, None, *(["above"] if part == AIR else ["below"]) * 4]
        return [*found, "left", "right", "beside", None]
    if part == beyond:
        found += ["left", "right", "left", "right", "beside", None]
    else:
        found += [None]
    (far, near), (farther, nearer) = where.parts[part], where.parts[beyond]
    low, high = kind.heights[part], other.heights[beyond]
    seen_behind = part != beyond or high > 0.7 * low, part != beyond or low > 0.7 * high
    if kind.name != "house" and near - farther >= DEPTH and seen_behind[0]:
        found += ["front"] * (4 if other.name == "house" else 1)
    if other.name != "house" and nearer - far >= DEPTH and seen_behind[1]:
        found += ["behind"] * (4 if kind.name == "house" else 1)
    return found
