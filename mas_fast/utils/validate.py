"""Checks of arguments: each says what it found and what is allowed. No torch."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from typing import TypeGuard

from mas_fast.utils.documents import short


def exact_keys(
    name: str, values: Mapping, expected: Iterable[str], optional: Iterable[str] = ()
) -> Mapping:
    """Check that a mapping has exactly the expected keys.

    Args:
        name: what the error calls the mapping.
        values: the mapping; anything else is refused.
        expected: keys that must be there.
        optional: keys that may be there.

    Returns:
        The mapping.

    Raises:
        ValueError: if it is no mapping, or keys are missing or unknown; names the difference.
    """
    required = list(expected)
    expected = [*required, *optional]
    if not isinstance(values, Mapping):
        raise ValueError(
            f"{name}: found {type(values).__name__}, expected a mapping with the keys {expected}"
        )
    unknown = [key for key in values if key not in expected]
    missing = [key for key in required if key not in values]
    if unknown or missing:
        problems = [f"unknown keys {short(unknown)}"] if unknown else []
        problems += [f"no keys {missing}"] if missing else []
        raise ValueError(f"{name}: found {' and '.join(problems)}, expected {expected}")
    return values


def check_choice(
    name: str, value: object, allowed: Iterable[object], condition: str | None = None
) -> None:
    """Check that a value is one of those allowed.

    Args:
        name: what the error calls the value.
        value: anything.
        allowed: the values, which the error lists.
        condition: when they are allowed, as "for the engine 'cpp'".

    Raises:
        ValueError: if the value is none of them.
    """
    allowed = list(allowed)
    if value not in allowed:
        when = f" {condition}" if condition else ""
        raise ValueError(f"{name}: found {short(value)}, expected one of {allowed}{when}")


def check_flag(name: str, value: object) -> None:
    """Check that a value is True or False.

    Args:
        name: what the error calls the value.
        value: anything.

    Raises:
        ValueError: if it is something else.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name}: found {short(value)}, expected True or False")


def check_int(
    name: str, value: object, low: int, high: int | None = None, *, word: str | None = None
) -> None:
    """Check that a value is an int in a range.

    Args:
        name: what the error calls the value.
        value: anything.
        low: the least value allowed.
        high: the largest value allowed; None: no limit.
        word: a string that is allowed too, as "auto".

    Raises:
        ValueError: if the value is no such int.
    """
    if word is not None and isinstance(value, str) and value == word:
        return
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or value < low
        or (high is not None and value > high)
    ):
        allowed = "" if word is None else f"{word!r} or "
        allowed += f"an integer >= {low}" if high is None else f"an integer in {low}..{high}"
        raise ValueError(f"{name}: found {short(value)}, expected {allowed}")


def check_number(name: str, value: object, low: float = -math.inf, high: float = math.inf) -> None:
    """Check that a number is in a range and can be held by a float: neither infinite nor NaN.

    Args:
        name: what the error calls the value.
        value: anything.
        low: the least value allowed.
        high: the largest value allowed.

    Raises:
        ValueError: if the value is no such number.
    """
    largest = sys.float_info.max
    if not _is_number(value) or not max(low, -largest) <= value <= min(high, largest):
        allowed = f" in {low}..{high}" if high < math.inf else f" >= {low}"
        if low == -math.inf:
            allowed = ""
        raise ValueError(f"{name}: found {short(value)}, expected a finite number{allowed}")


def check_positive(name: str, value: object) -> None:
    """Check that a value is a finite number above 0.

    Args:
        name: what the error calls the value.
        value: anything.

    Raises:
        ValueError: if the value is no such number.
    """
    if not _is_number(value) or not 0 < value <= sys.float_info.max:
        raise ValueError(f"{name}: found {short(value)}, expected a finite number > 0")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
