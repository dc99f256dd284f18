"""Readers of caption files: text, CC3M and CC12M TSV, COCO JSON, each also gzipped. No torch.

They hold one chunk of a file, and the line or the JSON value that is being read: constant memory,
however large the file is. Rows without a caption can be left out and counted (Rejects). A damaged
file, or one of another format, is an error.
"""

from __future__ import annotations

import codecs
import gzip
import json
import os
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

from mas_fast.text.json_stream import CHUNK, JsonStream  # CHUNK is the longest line too

MOST_RATIO = 100  # unpacked to packed bytes, beyond the first chunk: text has 3 to 20
URL = re.compile(r"https?://", re.IGNORECASE)
MARKS = {codecs.BOM_UTF16_LE: "UTF-16LE", codecs.BOM_UTF16_BE: "UTF-16BE"}
Report = Callable[[int], object]


class Rejects:
    """Rows that were left out. Without any it is falsy; as text, it is one line about all of them.

    Attributes:
        counts: number of rows by reason.
        first: message about the first row by reason.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.first: dict[str, str] = {}

    def add(self, reason: str, message: str) -> None:
        """Count a row.

        Args:
            reason: why it is left out.
            message: where it is, and what was found there.
        """
        self.counts[reason] = self.counts.get(reason, 0) + 1
        self.first.setdefault(reason, message)

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __str__(self) -> str:
        rows = sum(self.counts.values())
        by_reason = [f"{n} {reason} ({self.first[reason]})" for reason, n in self.counts.items()]
        return f"left out {rows} {'row' if rows == 1 else 'rows'}: {'; '.join(by_reason)}"


class _Strict(Rejects):
    """Raises a ValueError for the first row."""

    def add(self, reason: str, message: str) -> None:
        raise ValueError(message)


def captions(
    files: Iterable[str | os.PathLike],
    report: Report = lambda _: None,
    rejects: Rejects | None = None,
) -> Iterator[str]:
    """Read the captions of files in turn, in constant memory. Blank ones are left out.

    The suffix tells the format. All may have .gz too:

    * .txt, .en: one caption per line.
    * .tsv: two columns, caption and URL (CC3M) or URL and caption (CC12M). The first line shows the
      order, and all others are held to it. It may be the header that img2dataset wants. Fields may
      be quoted as in CSV.
    * .json: COCO's captions, {"annotations": [{"caption": ...}, ...], ...}; streamed.

    Args:
        files: paths of the files.
        report: gets the number of bytes read, over and over; the sum is the size of the files.
        rejects: gets the rows without a caption. None makes the first of them an error.

    Returns:
        An iterator over the captions.

    Raises:
        ValueError: names the file, the line, what was found and what is allowed.
    """
    return _captions(check_paths(files), report, _Strict() if rejects is None else rejects)


def words(caption: str) -> list[str]:
    """Split a caption into words.

    Args:
        caption: the caption.

    Returns:
        Its words in NFC and lower case: runs of letters, marks and digits, with apostrophes and
        hyphens inside them.
    """
    text = unicodedata.normalize("NFC", caption.replace("\u2019", "'").lower())
    characters = (c if c in "'-" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return [word for part in "".join(characters).split() if (word := part.strip("'-"))]


def check_paths(files: Iterable[str | os.PathLike]) -> list[Path]:
    """Check that files can be read by `captions`.

    Args:
        files: paths of the files.

    Returns:
        The paths.

    Raises:
        TypeError: if `files` is a single path.
        ValueError: if there are none, if a file is missing, or if it has another suffix.
    """
    if isinstance(files, str | os.PathLike):
        raise TypeError(f"files: found the path {str(files)!r}, expected an iterable of paths")
    paths = [Path(file) for file in files]
    if not paths:
        raise ValueError("files: found none, expected caption files")
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path}: found no such file, expected captions")
        if _suffix(path) not in READERS:
            allowed = f"one of {list(READERS)}, or one of these and .gz"
            raise ValueError(f"{path}: found the suffix {_suffix(path)!r}, expected {allowed}")
    return paths


def _suffix(path: Path) -> str:
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix


def _captions(paths: list[Path], report: Report, rejects: Rejects) -> Iterator[str]:
    for path in paths:
        for caption in READERS[_suffix(path)](path, report, rejects):
            if caption and not caption.isspace():
                yield caption


def _chunks(file: Path, report: Report) -> Iterator[bytes]:
    """Yield the content of a file in pieces; `report` gets the bytes read of the file itself."""
    done = unpacked = 0
    try:
        most = MOST_RATIO * (file.stat().st_size + CHUNK)
        with open(file, "rb") as raw:
            with gzip.open(raw) if file.suffix == ".gz" else nullcontext(raw) as stream:
                while chunk := stream.read(CHUNK):
                    if not unpacked and chunk[:2] in MARKS:
                        name = MARKS[chunk[:2]]
                        raise ValueError(
                            f"{file}: found {name}, expected UTF-8: iconv -f UTF-16 -t UTF-8 "
                            "converts it"
                        )
                    unpacked += len(chunk)
                    if unpacked > most:
                        problem = f"found {unpacked} bytes unpacked from {raw.tell()}"
                        raise ValueError(f"{file}: {problem}, expected captions")
                    report(raw.tell() - done)
                    done = raw.tell()
                    yield chunk
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file}: {error}") from error


def read_lines(
    file: Path, report: Report = lambda _: None, rejects: Rejects | None = None
) -> Iterator[tuple[int, str]]:
    """Read the lines of a text file, which may be .gz.

    Args:
        file: the file.
        report: as for `captions`.
        rejects: as for `captions`.

    Yields:
        Number, from 1, and text of each line that is not empty.
    """
    rejects = _Strict() if rejects is None else rejects
    number, tail, too_long = 0, b"", False
    for chunk in _chunks(file, report):
        data = tail + chunk
        held = b"\r" if data.endswith(b"\r") else b""  # its line feed may come with the next
        data = data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, tail = data.split(b"\n")
        del chunk, data
        for line in lines:
            number += 1
            if line and not too_long and (text := _line(file, number, line, rejects)):
                yield number, text
            too_long = False
        if too_long:  # the end of a line that was rejected
            tail = b""
        elif len(tail) > CHUNK:
            problem = f"line {number + 1}: found more than {CHUNK} bytes without a line break"
            rejects.add("too long", f"{file}: {problem}, expected one caption a line")
            tail, too_long = b"", True
        tail += held
    if not too_long and (text := _line(file, number + 1, tail.removesuffix(b"\r"), rejects)):
        yield number + 1, text


def _line(file: Path, number: int, line: bytes, rejects: Rejects) -> str:
    """Decode a line; the result is empty if the line was rejected."""
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        rejects.add("not in UTF-8", f"{file}: line {number}: {error}; expected UTF-8")
        return ""
    if "\0" in text:
        problem = "found a zero byte, as UTF-16 has; expected UTF-8"
        rejects.add("with zero bytes", f"{file}: line {number}: {problem}")
        return ""
    return text


def _read_text(file: Path, report: Report, rejects: Rejects) -> Iterator[str]:
    return (line for _, line in read_lines(file, report, rejects))


def _read_tsv(file: Path, report: Report, rejects: Rejects) -> Iterator[str]:
    url, quoted = None, False
    for number, line in read_lines(file, report, rejects):
        fields = line.split("\t")
        location = f"{file}: line {number}:"
        if len(fields) != 2:
            problem = f"found {len(fields)} columns in {line[:80]!r}"
            expected = "expected two: caption and URL in either order"
            rejects.add("not of two columns", f"{location} {problem}, {expected}")
            continue
        if url is None:  # if every field is quoted, the URL is
            quoted = any(URL.match(field[1:]) for field in fields if field.startswith('"'))
            quoted |= set(fields) == {'"caption"', '"url"'}
        fields = [_unquoted(field, quoted) for field in fields]
        if url is None:
            if set(fields) == {"caption", "url"}:
                url = fields.index("url")
                continue
            urls = [column for column, field in enumerate(fields) if URL.match(field)]
            if len(urls) != 1:
                problem = f"found {len(urls)} URLs in {line[:80]!r}"
                expected = "expected a caption and a URL in either order"
                rejects.add("without one URL", f"{location} {problem}, {expected}")
                continue
            url = urls[0]
        if not URL.match(fields[url]):
            problem = f"found {fields[url][:80]!r} in column {url + 1}"
            expected = "expected a URL as in the lines before"
            rejects.add("without a URL in its column", f"{location} {problem}, {expected}")
            continue
        yield fields[1 - url]


def _unquoted(field: str, always: bool) -> str:
    """Unquote a field of CSV.

    A field that merely begins and ends with a quote stays as it is, unless all are quoted.
    """
    inner = field[1:-1].replace('""', "")
    if len(field) < 2 or field[0] != '"' or field[-1] != '"' or '"' in inner:
        return field
    return field[1:-1].replace('""', '"') if always or '""' in field[1:-1] else field


def _read_coco(file: Path, report: Report, rejects: Rejects) -> Iterator[str]:
    source, keys, has_annotations = JsonStream(file, _chunks(file, report)), [], False
    for key in source.keys():
        keys.append(key)
        if source.peek() != "[":
            source.value()
            continue
        for i, item in enumerate(source.items()):
            if key != "annotations":
                continue
            location = f"{file}: line {source.line_number()}: annotations[{i}]:"
            if not isinstance(item, dict) or not isinstance(item.get("caption"), str):
                problem = f"found {json.dumps(item)[:80]}, expected an object with a 'caption'"
                rejects.add("without a caption", f"{location} {problem}")
                continue
            try:
                check_text(location.removesuffix(":"), item["caption"])
            except ValueError as error:
                rejects.add("not in Unicode", str(error))
                continue
            yield item["caption"]
        has_annotations |= key == "annotations"
    if not has_annotations:
        raise ValueError(f"{file}: found the keys {keys}, expected a list 'annotations'")


def check_text(name: str, text: object) -> None:
    """Check that a value is a text that UTF-8 can hold.

    Args:
        name: name of the text in errors.
        text: the value.

    Raises:
        TypeError: unless it is a str.
        ValueError: unless UTF-8 can hold it.
    """
    if not isinstance(text, str):
        raise TypeError(f"{name}: found {type(text).__name__}, expected a str")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        problem = f"found the lone surrogate {text[error.start]!r} at {error.start}"
        raise ValueError(f"{name}: {problem}, expected Unicode text") from error


def listed(captions: str | Iterable[str], name: str = "caption") -> list[str]:
    """Bring captions that were given as an argument to a checked list.

    Args:
        captions: one, or some.
        name: what errors call one.

    Returns:
        The captions.

    Raises:
        TypeError: if they are neither.
        ValueError: as `check_captions`.
    """
    if not isinstance(captions, Iterable):
        raise TypeError(f"{name}s: found {captions!r}, expected words, or a list of them")
    made = [captions] if isinstance(captions, str) else list(captions)
    check_captions(made, name)
    return made


def check_captions(captions: list[str], name: str = "caption") -> None:
    """Check captions that were given as arguments.

    Args:
        captions: the captions.
        name: what errors call one.

    Raises:
        ValueError: if there are none, or if one has only white space or is no text that UTF-8 can
            hold.
    """
    if not captions:
        raise ValueError(f"{name}s: found none, expected at least one")
    for n, caption in enumerate(captions):
        if not isinstance(caption, str) or not caption.strip():
            raise ValueError(f"{name} {n + 1}: found {caption!r}, expected some words")
        check_text(f"{name} {n + 1}", caption)


READERS = {".txt": _read_text, ".en": _read_text, ".tsv": _read_tsv, ".json": _read_coco}
