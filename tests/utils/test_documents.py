"""utils/documents.py: whatever a file holds, a plain value or a short ValueError."""

import pytest

from mas_fast.utils.documents import DEPTH, parse_json, read_json, short


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * (DEPTH + 2) + "]" * (DEPTH + 2), "nested deeper than 64"),
        ("[" * 100_000, "nested too deep|nested deeper than 64"),
        ('{"a": {"b": 1, "b": 2}}', "found the key 'b' twice in one object"),
        ("[NaN]", "found NaN, which JSON has not"),
        ("-Infinity", "found -Infinity, which JSON has not"),
        ('["\\ud800"]', r"found the lone surrogate '\\ud800'"),
        ('{"\\ud800": 1}', r"found the lone surrogate '\\ud800'"),
        (b'["\xed\xa0\x80"]', "can't decode byte"),
        ("9" * 5000, "Exceeds the limit"),
        ("[1", "found broken JSON"),
        ("3", "f.json: found int, expected list"),
        ("{}", "f.json: found dict, expected list"),
    ],
)
def test_json_that_is_refused(text, message):
    with pytest.raises(ValueError, match=message) as error:
        parse_json(text, "f.json", list)
    assert str(error.value).startswith("f.json: ")
    assert len(str(error.value)) < 400


def test_json_that_is_read(tmp_path):
    assert parse_json('["\\ud83c\\udfe0"]', "f", list) == ["\U0001f3e0"]
    assert parse_json(b"\xef\xbb\xbf{}", "f") == {}
    assert parse_json('{"a": NaN, "a": "\\ud800"}', "f", strict=False) == {"a": "\ud800"}
    with pytest.raises(ValueError, match="nested deeper"):  # also of others
        parse_json("[" * 70 + "]" * 70, "f", list, strict=False)
    with pytest.raises(ValueError, match="absent.json: No such file"):
        read_json(tmp_path / "absent.json")
    with open(tmp_path / "large.json", "wb") as file:
        file.truncate(1 << 29)
    with pytest.raises(ValueError, match="large.json: found 536870912 bytes, expected at most"):
        read_json(tmp_path / "large.json")


def test_short_is_short():
    for value in ("x" * 10**6, [[["x" * 99] * 9] * 9] * 9, 10**5000, {n: n for n in range(10**5)}):
        assert len(short(value)) <= 200
    assert short([1, "a", None]) == "[1, 'a', None]"
