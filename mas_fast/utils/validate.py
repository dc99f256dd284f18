"""Checks of arguments: each says what it found and what is allowed. No torch."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping

from mas_fast.utils.documents import short


def exact_keys(
    what: str, found: Mapping, expected: Iterable[str], optional: Iterable[str] = ()
) -> Mapping:
    """`found`, if it is a mapping with exactly the expected keys, and no others but optional ones;
    else a ValueError that names the difference."""
    required = list(expected)
    expected = [*required, *optional]
    if not isinstance(found, Mapping):
        raise ValueError(
            f"{what}: found {type(found).__name__}, expected a mapping with the keys {expected}"
        )
    unknown = [key for key in found if key not in expected]
    missing = [key for key in required if key not in found]
    if unknown or missing:
        raise ValueError(
            f"{what}: unknown keys {short(unknown)}, missing keys {missing}, expected {expected}"
        )
    return found


def check_choice(
    name: str, value: object, allowed: Iterable[str], condition: str | None = None
) -> None:
    """ValueError, with the names that are allowed, unless `value` is one of them. condition: when
    they are, as "for the engine 'cpp'"."""
    allowed = list(allowed)
    if value not in allowed:
        when = f" {condition}" if condition else ""
        raise ValueError(f"{name}: found {short(value)}, expected one of {allowed}{when}")


def check_int(what: str, value: object, low: int, high: int | None = None) -> None:
    """ValueError, naming value and range, unless `value` is an int in low..high (both
    inclusive)."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or value < low
        or (high is not None and value > high)
    ):
        allowed = f">= {low}" if high is None else f"in {low}..{high}"
        raise ValueError(f"{what}: found {short(value)}, expected an integer {allowed}")


def check_finite(what: str, value: object, low: float = -math.inf) -> None:
    """ValueError, naming value and range, unless `value` is a number >= low that a float can
    hold."""
    most = sys.float_info.max
    fine = isinstance(value, int | float) and not isinstance(value, bool)
    if not fine or not max(low, -most) <= value <= most:
        allowed = "" if low == -math.inf else f" >= {low}"
        raise ValueError(f"{what}: found {short(value)}, expected a finite number{allowed}")
