"""Checks of arguments: each says what it found and what is allowed. No torch."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from typing import TypeGuard

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
    name: str, value: object, allowed: Iterable[object], condition: str | None = None
) -> None:
    """Raise a ValueError unless `value` is one of those allowed.

    Args:
        name: how the error calls the value.
        value: anything.
        allowed: the values, which the error lists.
        condition: when they are allowed, as "for the engine 'cpp'".
    """
    allowed = list(allowed)
    if value not in allowed:
        when = f" {condition}" if condition else ""
        raise ValueError(f"{name}: found {short(value)}, expected one of {allowed}{when}")


def check_flag(name: str, value: object) -> None:
    """Raise a ValueError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}: found {short(value)}, expected True or False")


def check_int(name: str, value: object, low: int, high: int | None = None) -> None:
    """Raise a ValueError unless `value` is an int in low..high, both inclusive."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or value < low
        or (high is not None and value > high)
    ):
        allowed = f">= {low}" if high is None else f"in {low}..{high}"
        raise ValueError(f"{name}: found {short(value)}, expected an integer {allowed}")


def check_number(name: str, value: object, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise a ValueError unless `value` is a number in low..high, both inclusive, that a float can
    hold: neither infinite nor NaN."""
    largest = sys.float_info.max
    if not _is_number(value) or not max(low, -largest) <= value <= min(high, largest):
        allowed = f" in {low}..{high}" if high < math.inf else f" >= {low}"
        if low == -math.inf:
            allowed = ""
        raise ValueError(f"{name}: found {short(value)}, expected a finite number{allowed}")


def check_positive(name: str, value: object) -> None:
    """Raise a ValueError unless `value` is a finite number above 0."""
    if not _is_number(value) or not 0 < value <= sys.float_info.max:
        raise ValueError(f"{name}: found {short(value)}, expected a finite number > 0")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
