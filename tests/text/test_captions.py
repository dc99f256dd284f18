"""captions.py: every format, gzipped or not, in constant memory; every broken file is named."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mas_fast.text import captions as module
from mas_fast.text.captions import CHUNK, captions, check_captions, listed, words

EXPECTED = ["A red house", "빨간 집 🏠", 'a "quoted" one']
ROWS = [{"id": i, "image_id": 7, "caption": caption} for i, caption in enumerate(EXPECTED)]
URLS = [f"{scheme}://x.org/{i}" for i, scheme in enumerate(["http", "https", "HTTP"])]


def tsv(*columns) -> str:
    return "".join("\t".join(row) + "\n" for row in zip(*columns, strict=True))


def coco(**values) -> str:
    return json.dumps({"info": {"a": [1]}, "images": [{"id": 7}], "licenses": []} | values)


GOOD = {
    "lines.txt": "\n".join(EXPECTED),
    "more.en": "\ufeff" + "\r\n".join([*EXPECTED, "", " \t", ""]),
    "cc3m.tsv": tsv(EXPECTED, URLS),
    "cc12m.tsv": tsv(URLS, EXPECTED),
    "cc12m_crlf.tsv": tsv(URLS, EXPECTED).replace("\n", "\r\n") + "\r\n",
    "header3.tsv": "caption\turl\n" + tsv(EXPECTED, URLS),
    "header12.tsv": "url\tcaption\n" + tsv(URLS, EXPECTED),
    "old_mac.txt": "\r".join(EXPECTED),
    "blank_lines.txt": "\r\n\r\n\n\n\r\r".join(EXPECTED) + "\r",
    "quoted.tsv": "".join(
        '"{}"\t"{}"\r\n'.format(caption.replace('"', '""'), url)
        for caption, url in zip(["caption", *EXPECTED], ["url", *URLS], strict=True)
    ),
    "quoted_by_need.tsv": tsv([*EXPECTED[:2], '"a ""quoted"" one"'], URLS),
    "coco.json": coco(annotations=ROWS),
    "ascii.json": json.dumps({"annotations": ROWS}, ensure_ascii=True),
    "pretty.json": "\ufeff \n" + json.dumps({"n": 1.5, "annotations": ROWS, "z": None}, indent=2),
    "minimal.json": json.dumps({"annotations": ROWS}, separators=(",", ":")),
}


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("piece", [1, 2, 3, 7, CHUNK])
@pytest.mark.parametrize("name", GOOD)
def test_every_format(tmp_path, monkeypatch, name, piece):
    files = [write(tmp_path / name, GOOD[name]), write(tmp_path / f"{name}.gz", GOOD[name])]
    read = module._chunks

    def pieces(file, report):
        for data in read(file, report):
            yield from (data[i : i + piece] for i in range(0, len(data), piece))

    monkeypatch.setattr(module, "_chunks", pieces)
    assert list(captions(iter(files))) == EXPECTED * 2


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@given(
    st.lists(st.tuples(st.text(), VALUES), max_size=4),
    st.lists(st.text('ab"\\{[,:]}\n é🏠', min_size=1).filter(str.strip), max_size=4),
    st.sampled_from([None, 0, 1]),
    st.integers(1, 9),
    st.integers(0, 100),
)
@settings(max_examples=300, deadline=None)
def test_json_is_read_as_by_the_library(tmp_path_factory, others, texts, indent, piece, cut):
    rows = [{"id": 1, "caption": text} for text in texts]
    values = dict(others) | {"annotations": rows}
    file = tmp_path_factory.getbasetemp() / "any.json"
    text = json.dumps(values, indent=indent, ensure_ascii=bool(piece % 2)).encode()
    file.write_bytes(text)

    def pieces(file, report):
        return (text[i : i + piece] for i in range(0, len(text), piece))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_chunks", pieces)
        assert list(captions([file])) == texts
        text = text[: -1 - cut]
        with pytest.raises(ValueError, match="any.json: "):
            list(captions([file]))


def test_real_captions(coco_captions):
    with gzip.open(coco_captions) as stream:
        expected = [row["caption"] for row in json.load(stream)["annotations"]]
    assert list(captions([str(coco_captions)])) == expected
    assert len(expected) == 25_014


def test_a_table_of_prompts_is_named(tmp_path):
    """PartiPrompts' columns."""
    columns = "Prompt\tCategory\tChallenge\tNote\n"
    file = write(tmp_path / "Prompts.tsv", columns + "bond\tAbstract\tBasic\t\n")
    with pytest.raises(ValueError, match=r"Prompts\.tsv: line 1: found 4 columns in 'Prompt"):
        list(captions([file]))


def test_a_caption_may_look_like_a_url(tmp_path):
    """After a line that shows which column is which."""
    file = write(tmp_path / "a.tsv", tsv(["a house", "http://b"], URLS[:2]))
    assert list(captions([file])) == ["a house", "http://b"]


def test_quotes_that_are_none_of_csv_stay(tmp_path):
    texts = ['"a house"', '"a" and "b"', '"', '""', 'a "b"']
    assert list(captions([write(tmp_path / "a.tsv", tsv(texts, URLS[:1] * 5))])) == texts


def test_bad_rows_are_counted_by_reason(tmp_path):
    rows = [b"a\thttp://x", b"b", b"c\td\te", b"f\tg", b"caf\xe9\thttp://x", b"\0\thttp://x"]
    rows += [b"x" * (3 * CHUNK), b"h\thttp://x", b"y" * (2 * CHUNK) + b"\r", b"i\thttp://x"]
    for end in (b"\n", b"\r\n", b"\r"):
        rejects = module.Rejects()
        file = write(tmp_path / "a.tsv", end.join(rows))
        assert list(captions([file], rejects=rejects)) == ["a", "h", "i"]
        assert rejects.counts == {
            "not of two columns": 2,
            "without a URL in its column": 1,
            "not in UTF-8": 1,
            "with zero bytes": 1,
            "too long": 2,
        }
        assert str(rejects).startswith(f"left out 7 rows: 2 not of two columns ({file}: line 2: ")
        assert "line 7: found more than 1048576 bytes" in rejects.first["too long"]
    annotations = [ROWS[0], {"bbox": [1]}, 3, {"caption": None}, {"caption": "\ud83c"}, ROWS[1]]
    file, rejects = write(tmp_path / "a.json", coco(annotations=annotations)), module.Rejects()
    assert list(captions([file], rejects=rejects)) == EXPECTED[:2]
    assert rejects.counts == {"without a caption": 3, "not in Unicode": 1}
    assert not module.Rejects()


def test_a_damaged_file_is_an_error_all_the_same(tmp_path):
    for name, content in (("a.json", coco(annotations=ROWS)[:-9]), ("b.txt", b"\xff\xfea\0")):
        with pytest.raises(ValueError, match=f"{name}: "):
            list(captions([write(tmp_path / name, content)], rejects=module.Rejects()))


def test_a_flood_of_gzip_is_refused(tmp_path):
    """130 kB that unpack to 136 MB."""
    file = tmp_path / "a.txt.gz"
    with gzip.open(file, "wb", compresslevel=9) as stream:
        for _ in range(130):
            stream.write(b"a" * CHUNK)
    with pytest.raises(ValueError, match=r"a\.txt\.gz: found \d+ bytes unpacked from \d+, exp"):
        list(captions([file], rejects=module.Rejects()))


DEEP = '{"annotations": [' + "[" * 200_000
BAD = {
    "columns.tsv": ("a\thttp://x\nb\n", r"line 2: found 1 columns in 'b', expected two: caption"),
    "three.tsv": ("a\tb\thttp://x\n", "line 1: found 3 columns"),
    "no_url.tsv": (
        "a\tb\nc\td\n",
        r"line 1: found 0 URLs in 'a\\tb', expected a caption and a URL",
    ),
    "two.tsv": ("http://a\thttp://b\n", "line 1: found 2 URLs"),
    "swapped.tsv": (
        "a\thttp://x\n\nhttp://y\tb\n",
        "line 3: found 'b' in column 2, expected a URL as in the lines before",
    ),
    "header.tsv": ("url\tcaption\na\thttp://x\n", "line 2: found 'a' in column 1, expected a URL"),
    "bytes.txt": (b"a\nb\xff\n", "line 2: 'utf-8' codec can't decode byte 0xff .* expected UTF-8"),
    "utf16.txt": ("a house".encode("utf-16"), "found UTF-16LE, expected UTF-8: iconv -f UTF-16"),
    "utf16.tsv": (
        b"\xfe\xff" + "a\thttp://x\n".encode("utf-16-be"),
        "found UTF-16BE, expected UTF-8",
    ),
    "utf16.json": (coco(annotations=ROWS).encode("utf-16"), "found UTF-16LE, expected UTF-8"),
    "unmarked.txt": ("a house".encode("utf-16-le"), "line 1: found a zero byte, as UTF-16 has"),
    "long.txt": (b"a\n" + b"b" * (2 * CHUNK), "line 2: found more than 1048576 bytes without a"),
    "empty.json": ("", "line 1: broken JSON: found '', expected '{'"),
    "list.json": ("\n[]", r"line 2: broken JSON: found '\[', expected '{'"),
    "cut.json": (coco(annotations=ROWS)[:-20], "line 1: broken JSON.*Unterminated string"),
    "open.json": ('{"annotations": []', "line 1: broken JSON: found '', expected ',' or '}'"),
    "comma.json": (
        '{"annotations": [\n{"caption": "a"} {',
        r"line 2: .*found '{', expected ',' or '\]'",
    ),
    "key.json": ('{"annotations": [], 3: 4}', "line 1: found '3', expected a key"),
    "colon.json": ('{"annotations" []}', r"line 1: broken JSON: found '\[', expected ':'"),
    "more.json": ('{"annotations": []}\n{', "line 2: found '{', expected the end of the file"),
    "word.json": ('{"annotations": [{"caption": "a"},\n\nnil]}', "line 3: broken JSON"),
    "deep.json": (DEEP, "line 1: broken JSON: maximum recursion depth"),
    "digits.json": (
        '{"annotations": [' + "1" * 5000 + "]}",
        "line 1: broken JSON: Exceeds the limit",
    ),
    "large.json": (coco(annotations=["a" * 3 * CHUNK]), "a value of more than 1048576 characters"),
    "bytes.json": (b'{"annotations": [{"caption": "\xff"}]}', "line 1: 'utf-8' codec can't decode"),
    "keys.json": (
        coco(),
        r"found the keys \['info', 'images', 'licenses'\], expected a list 'annot",
    ),
    "object.json": (coco(annotations={}), "'annotations'\\], expected a list 'annotations'"),
    "boxes.json": (
        coco(annotations=[ROWS[0], {"bbox": [1]}]),
        r"line 1: annotations\[1\]: found {\"bbox\": \[1\]}, expected an object with a 'caption'",
    ),
    "number.json": (
        coco(annotations=[{"caption": 3}]),
        r"annotations\[0\]: found {\"caption\": 3}",
    ),
    "half.json": (
        '{"annotations": [{"caption": "\\ud83c"}]}',
        "found the lone surrogate '.ud83c' at 0",
    ),
}


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", BAD)
def test_a_broken_file_is_named(tmp_path, name, zipped):
    content, message = BAD[name]
    file = write(tmp_path / (name + ".gz" * zipped), content)
    with pytest.raises(ValueError, match=message) as error:
        list(captions([file]))
    assert str(error.value).startswith(f"{file}: ")
    assert len(str(error.value)) < 500


def test_a_broken_gzip_is_named(tmp_path):
    file = write(tmp_path / "a.txt.gz", "a red house\n" * 1000)
    data = file.read_bytes()
    for broken in (data[:-20], b"a red house\n", data[:20] + b"\xff" * 20 + data[40:]):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match=r"a\.txt\.gz: "):
            list(captions([file]))


def test_what_is_no_caption_file_is_named_at_the_call(tmp_path):
    good = write(tmp_path / "a.txt", "a")
    for wrong in (str(good), good):
        with pytest.raises(TypeError, match=r"files: found the path .*, expected an iterable"):
            captions(wrong)
    with pytest.raises(ValueError, match="files: found none, expected caption files"):
        captions([])
    for absent in (tmp_path / "absent.txt", tmp_path):
        with pytest.raises(ValueError, match=f"{absent}: found no such file"):
            captions([good, absent])
    allowed = r"expected one of \['.txt', '.en', '.tsv', '.json'\], or one of these and .gz"
    for name, suffix in (("a.parquet", ".parquet"), ("a.csv.gz", ".csv"), ("a", ""), ("a.gz", "")):
        with pytest.raises(ValueError, match=f"{name}: found the suffix '{suffix}', {allowed}"):
            captions([good, write(tmp_path / name, "")])


@pytest.mark.parametrize("name", ["a.txt", "a.tsv.gz", "a.json"])
def test_memory_is_constant(tmp_path, name):
    """8 MB are read within the memory of a few chunks."""
    caption, count = "a red house beside a lake at dusk, with a boat " * 20, 8000
    if "json" in name:
        text = coco(images=[{"file": caption}] * 10, annotations=[{"caption": caption}] * count)
    else:
        text = (caption + "\thttp://x" * ("tsv" in name) + "\n") * count
    file = write(tmp_path / name, text)
    del text
    tracemalloc.start()
    try:
        assert sum(1 for _ in captions([file])) == count
        assert tracemalloc.get_traced_memory()[1] < 6 * CHUNK
    finally:
        tracemalloc.stop()


# ---------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A Red house, 2 dogs (at dusk).", ["a", "red", "house", "2", "dogs", "at", "dusk"]),
        (
            "the zebra\u2019s half-open 'gate' - well-known--",
            ["the", "zebra's", "half-open", "gate", "well-known"],
        ),
        ("CAFE\u0301 \u00c9t\u00e9", ["caf\u00e9", "\u00e9t\u00e9"]),
        ("\ube68\uac04 \uc9d1 \U0001f3e0", ["\ube68\uac04", "\uc9d1"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),
        ("snake_case a/b", ["snake", "case", "a", "b"]),
        (" -- ' \n", []),
    ],
)
def test_words(caption, expected) -> None:
    assert words(caption) == expected


@given(st.text())
def test_words_are_words(caption) -> None:
    for word in words(caption):
        assert words(word) == [word]


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ([], "captions: found none, expected at least one"),
        (["a", "\t"], r"caption 2: found '\\t', expected some words"),
        ([None], "caption 1: found None, expected some words"),
        (["\ud800"], "caption 1: found the lone surrogate"),
    ],
)
def test_captions_that_cannot_be_drawn_are_named(given_, message) -> None:
    check_captions(["a"])
    with pytest.raises(ValueError, match=message):
        check_captions(given_)


def test_captions_as_an_argument() -> None:
    assert listed("a dog") == ["a dog"]
    assert listed(("a dog", "a cat")) == ["a dog", "a cat"]
    with pytest.raises(TypeError, match="negative captions: found 3, expected words, or a list"):
        listed(3, "negative caption")
    with pytest.raises(ValueError, match="captions: found none"):
        listed([])
    with pytest.raises(ValueError, match="caption 2: found ' ', expected some words"):
        listed(["a dog", " "])
