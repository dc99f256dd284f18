"""validate.py: every check says `name: found X, expected Y`."""

import math

import pytest

from mas_fast.utils.validate import (
    check_choice,
    check_flag,
    check_int,
    check_number,
    check_positive,
    exact_keys,
)


@pytest.mark.parametrize(
    ("check", "value", "options", "message"),
    [
        (check_int, 0, {"low": 1}, "x: found 0, expected an integer >= 1"),
        (check_int, 9, {"low": 1, "high": 8}, "x: found 9, expected an integer in 1..8"),
        (check_int, 2.0, {"low": 1}, "x: found 2.0, expected an integer >= 1"),
        (check_int, True, {"low": 1}, "x: found True, expected an integer >= 1"),
        (
            check_int,
            0,
            {"low": 1, "high": 8, "word": "auto"},
            "x: found 0, expected 'auto' or an integer in 1..8",
        ),
        (
            check_int,
            "automatic",
            {"low": 1, "word": "auto"},
            "x: found 'automatic', expected 'auto' or an integer >= 1",
        ),
        (check_number, math.nan, {}, "x: found nan, expected a finite number"),
        (check_number, math.inf, {"low": 0}, "x: found inf, expected a finite number >= 0"),
        (
            check_number,
            1.5,
            {"low": 0, "high": 1},
            "x: found 1.5, expected a finite number in 0..1",
        ),
        (check_number, False, {"low": 0}, "x: found False, expected a finite number >= 0"),
        (check_positive, 0.0, {}, "x: found 0.0, expected a finite number > 0"),
        (check_positive, math.inf, {}, "x: found inf, expected a finite number > 0"),
        (check_positive, math.nan, {}, "x: found nan, expected a finite number > 0"),
        (check_flag, 1, {}, "x: found 1, expected True or False"),
        (check_choice, "c", {"allowed": "ab"}, "x: found 'c', expected one of ['a', 'b']"),
        (
            check_choice,
            "c",
            {"allowed": "ab", "condition": "for d"},
            "x: found 'c', expected one of ['a', 'b'] for d",
        ),
        (
            exact_keys,
            5,
            {"expected": ["a"]},
            "x: found int, expected a mapping with the keys ['a']",
        ),
    ],
)
def test_what_is_unfit_is_named(check, value, options, message) -> None:
    with pytest.raises(ValueError) as error:
        check("x", value, **options)
    assert str(error.value) == message


def test_what_fits_passes() -> None:
    check_int("x", 8, 1, 8)
    check_int("x", "auto", 1, 8, word="auto")
    check_number("x", 1, 0, 1)
    check_number("x", -1e308)
    check_positive("x", 5e-324)
    check_flag("x", False)
    check_choice("x", "b", ("a", "b"))
