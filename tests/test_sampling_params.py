"""sampling_params.py: how tokens may be drawn, and how not."""

import dataclasses
import math

import pytest

from mas_fast.sampling_params import Sampling


def test_by_default_all_tokens_are_drawn_as_they_are_likely() -> None:
    assert dataclasses.asdict(Sampling()) == {
        "guidance": 1.0,
        "temperature": 1.0,
        "top_k": None,
        "top_p": None,
    }


@pytest.mark.parametrize(
    "values",
    [
        {"guidance": -3.5},
        {"guidance": 0},
        {"temperature": 0},
        {"top_k": 1},
        {"top_k": 10**30},
        {"top_p": 1},
        {"top_p": 1e-300},
    ],
)
def test_the_ends_of_each_range(values) -> None:
    found = dataclasses.asdict(Sampling(**values))
    assert found == dataclasses.asdict(Sampling()) | values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"guidance": math.nan}, "guidance: found nan, expected a finite number"),
        ({"guidance": "2"}, "guidance: found '2', expected a finite number"),
        ({"temperature": -0.1}, "temperature: found -0.1, expected a finite number >= 0"),
        ({"temperature": math.inf}, "temperature: found inf, expected a finite number >= 0"),
        ({"top_k": 0}, "top_k: found 0, expected an integer >= 1"),
        ({"top_k": 2.0}, "top_k: found 2.0, expected an integer >= 1"),
        ({"top_k": True}, "top_k: found True, expected an integer >= 1"),
        ({"top_p": 0}, "top_p: found 0, expected None or a number in (0, 1]"),
        ({"top_p": 1.01}, "top_p: found 1.01, expected None or a number in (0, 1]"),
        ({"top_p": math.nan}, "top_p: found nan, expected a finite number"),
    ],
)
def test_the_value_found_is_named(values, message) -> None:
    with pytest.raises(ValueError) as error:
        Sampling(**values)
    assert str(error.value) == message
