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


def test_a_schedule_is_spread_over_the_positions() -> None:
    schedule = Sampling(guidance=[5, 2])
    assert schedule == Sampling(guidance=(5, 2))
    assert hash(schedule) == hash(Sampling(guidance=(5, 2)))
    assert schedule.guidance_at(4).tolist() == [5, 4, 3, 2]
    assert Sampling(guidance=[1, 3, 2]).guidance_at(5).tolist() == [1, 2, 3, 2.5, 2]
    for count in (2, 3, 7, 256):
        values = [0.1 * n * n for n in range(count)]
        assert Sampling(guidance=values).guidance_at(count).tolist() == values
        for value in (0.1, 3.0, -7.3):
            assert set(Sampling(guidance=[value] * count).guidance_at(256)) == {value}
            assert set(Sampling(guidance=value).guidance_at(count)) == {value}


def test_a_schedule_may_not_be_longer_than_its_stream() -> None:
    with pytest.raises(ValueError) as error:
        Sampling(guidance=[1, 2, 3]).guidance_at(2)
    assert str(error.value) == (
        "guidance: found a schedule of 3 numbers, expected at most 2, as many as the stream has "
        "positions"
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"guidance": math.nan}, "guidance: found nan, expected a finite number"),
        ({"guidance": [1, math.inf]}, "guidance: found inf, expected a finite number"),
        ({"guidance": [3]}, "guidance: found [3], expected a number, or two or more in a list"),
        ({"guidance": ([1], 2)}, "guidance: found [1], expected a finite number"),
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
