"""cli/sampling.py: settings of sampling as they are typed, in the form of a painter."""

import pytest

from mas_fast.cli.sampling import by_stream, settings


def test_settings_are_numbers_or_schedules() -> None:
    assert settings("", None, top_k=None, top_p=None) == {}
    assert settings("", "3", temperature=0, top_k=4) == {
        "guidance": 3.0,
        "temperature": 0,
        "top_k": 4,
    }
    assert settings("", "5:2.5:-1") == {"guidance": [5.0, 2.5, -1.0]}


@pytest.mark.parametrize("prefix", ["", "seg_"])
@pytest.mark.parametrize(
    ("guidance", "top_k", "message"),
    [
        ("", None, "guidance: found '', expected a number, or several for a schedule, as 5:2"),
        ("1:2:", None, "guidance: found '1:2:', expected a number, or several for a schedule"),
        ("1:inf", None, "guidance: found inf, expected a finite number"),
        ("1", 0, "top_k: found 0, expected an integer >= 1"),
    ],
)
def test_what_was_typed_is_named(prefix, guidance, top_k, message) -> None:
    with pytest.raises(ValueError) as error:
        settings(prefix, guidance, top_k=top_k)
    assert str(error.value).startswith(prefix + message)


def test_those_of_the_scene_leave_the_others_to_the_picture() -> None:
    both = {"guidance": 4.0, "top_k": 9}
    assert by_stream(both, {}) == both
    found = by_stream(both, {"guidance": [3.0, 1.0], "top_p": 0.5})
    assert found == {
        "guidance": {"seg": [3.0, 1.0], "img": 4.0},
        "top_k": 9,
        "top_p": {"seg": 0.5},
    }
