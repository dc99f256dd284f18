"""json_stream.py: JSON in pieces of any size, and errors that name the line."""

import json
from pathlib import Path

import pytest

from mas_fast.text import json_stream
from mas_fast.text.json_stream import JsonStream

VALUES = {
    "text": 'a "quoted" \\ 빨간 \u2028 one',
    "number": -12.5e3,
    "long": 1234567890123456789,
    "none": None,
    "list": [1, [2, {"a": []}], "x"],
    "": {"b": True},
}


def stream(text: str | bytes, piece: int = 1 << 20) -> JsonStream:
    content = text.encode() if isinstance(text, str) else text
    chunks = (content[i : i + piece] for i in range(0, len(content), piece))
    return JsonStream(Path("a.json"), chunks)


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("indent", [None, 3])
@pytest.mark.parametrize("begin", ["", "\ufeff", " \r\n\t"])
def test_keys_and_values_in_pieces(piece, indent, begin) -> None:
    text = begin + json.dumps(VALUES, ensure_ascii=False, indent=indent) + " \n"
    found = stream(text, piece)
    assert {key: found.value() for key in found.keys()} == VALUES


@pytest.mark.parametrize("piece", [1, 4, 1000])
def test_items_are_given_one_by_one(piece) -> None:
    found = stream('{"a": [1, "two" ,\n[3]], "b":[], "c": 4}', piece)
    given = []
    for key in found.keys():
        given.append((key, found.value() if key == "c" else list(found.items())))
    assert given == [("a", [1, "two", [3]]), ("b", []), ("c", 4)]


def test_empty_objects_and_values_alone() -> None:
    assert list(stream(" { } ").keys()) == []
    assert stream("12", 1).value() == 12  # it might have gone on
    assert stream("", 1).peek() == ""


def test_it_holds_no_more_than_it_reads() -> None:
    found = stream("{" + ", ".join(f'"{n}": [{n}]' for n in range(1000)) + "}", 10)
    for key in found.keys():
        assert found.value() == [int(key)]
        assert len(found.text) < 40


WRONG = {
    "": "line 1: broken JSON: found '', expected '{'",
    "\n\n[1]": "line 3: broken JSON: found '[', expected '{'",
    "{1: 2}": "line 1: found '1', expected a key",
    '{"a" 1}': "line 1: broken JSON: found '1', expected ':'",
    '{"a": 1\n;}': "line 2: broken JSON: found ';', expected ',' or '}'",
    '{"a": 1': "line 1: broken JSON: found '', expected ',' or '}'",
    '{"a": 1,\n}': "line 2: found '}', expected a key",
    '{"a": 1}\nx': "line 2: found 'x', expected the end of the file",
}


@pytest.mark.parametrize("piece", [1, 1000])
@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_said_with_its_line(text, piece) -> None:
    found = stream(text, piece)
    with pytest.raises(ValueError) as error:
        for _ in found.keys():
            found.value()
    assert str(error.value) == f"a.json: {WRONG[text]}"


@pytest.mark.parametrize("piece", [1, 1000])
def test_broken_values_are_named(piece) -> None:
    found = stream('{"a":\n tru}', piece)
    with pytest.raises(
        ValueError, match=r"^a\.json: line 2: broken JSON, or a value of more than "
    ):
        [found.value() for _ in found.keys()]
    found = stream("[1, 2\n 3]", piece)
    with pytest.raises(ValueError, match="line 2: broken JSON: found '3', expected ',' or '\\]'"):
        list(found.items())
    found = stream("[" * 100_000, piece=1 << 20)
    with pytest.raises(ValueError, match=r"^a\.json: line 1: broken JSON: .*recursion"):
        found.value()
    found = stream(b'{"a": "\xff"}', piece)
    with pytest.raises(ValueError, match=r"^a\.json: line 1: .*0xff.*; expected UTF-8$"):
        [found.value() for _ in found.keys()]


def test_a_value_is_at_most_a_chunk(monkeypatch) -> None:
    monkeypatch.setattr(json_stream, "CHUNK", 10)
    assert stream('"12345678"', 1).value() == "12345678"
    found = stream('"' + "1" * 100 + '"', 1)
    with pytest.raises(ValueError, match="or a value of more than 10 characters: Unterminated str"):
        found.value()
    assert len(found.text) < 15
