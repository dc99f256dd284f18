"""Readers of caption files: text, CC3M and CC12M TSV, COCO JSON, each also gzipped. No torch.

They hold one chunk of a file, and the line or the JSON value that they are at: constant memory,
however large the file is.
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

CHUNK = 1 << 20  # bytes read at once, and the longest line or JSON value
URL = re.compile(r"https?://", re.IGNORECASE)
Report = Callable[[int], object]


def captions(files: Iterable[str | os.PathLike], report: Report = lambda _: None) -> Iterator[str]:
    """The captions of files in turn, in constant memory; blank ones are left out. By suffix, each
    also with .gz:

    .txt, .en: one a line.
    .tsv: two columns, caption and URL (CC3M) or URL and caption (CC12M): the first line shows
        which, all others are held to it. It may be the header that img2dataset wants.
    .json: COCO's captions, {"annotations": [{"caption": ...}, ...], ...}; streamed.

    report: gets the number of bytes read, again and again; their sum is the size of the files.
    ValueError names the file, the line, what was found and what is allowed.
    """
    return _captions(check_paths(files), report)


def words(caption: str) -> list[str]:
    """The words of a caption, in NFC and lower case: runs of letters, marks and digits, also with
    apostrophes and hyphens inside them."""
    text = unicodedata.normalize("NFC", caption.replace("\u2019", "'").lower())
    kept = (c if c in "'-" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return [word for part in "".join(kept).split() if (word := part.strip("'-"))]


def check_paths(files: Iterable[str | os.PathLike]) -> list[Path]:
    """The paths, if each is that of a file with a suffix that `captions` reads."""
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


def _captions(paths: list[Path], report: Report) -> Iterator[str]:
    for path in paths:
        for caption in READERS[_suffix(path)](path, report):
            if caption and not caption.isspace():
                yield caption


def _chunks(file: Path, report: Report) -> Iterator[bytes]:
    """The content of a file, piece by piece; `report` gets the number of bytes read of the file
    itself, so that the sum is its size."""
    done = 0
    try:
        with open(file, "rb") as raw:
            with gzip.open(raw) if file.suffix == ".gz" else nullcontext(raw) as stream:
                while chunk := stream.read(CHUNK):
                    report(raw.tell() - done)
                    done = raw.tell()
                    yield chunk
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file}: {error}") from error


def read_lines(file: Path, report: Report = lambda _: None) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of the lines that are not empty."""
    number, rest = 0, b""
    for chunk in _chunks(file, report):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number += 1
            if text := _line(file, number, line):
                yield number, text
        if len(rest) > CHUNK:
            found = f"found more than {CHUNK} bytes without a line break"
            raise ValueError(f"{file}: line {number + 1}: {found}, expected one caption a line")
    if text := _line(file, number + 1, rest):
        yield number + 1, text


def _line(file: Path, number: int, line: bytes) -> str:
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
    try:
        return line.decode().removesuffix("\r")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: line {number}: {error}; expected UTF-8") from error


def _read_text(file: Path, report: Report) -> Iterator[str]:
    return (line for _, line in read_lines(file, report))


def _read_tsv(file: Path, report: Report) -> Iterator[str]:
    url = None
    for number, line in read_lines(file, report):
        fields = line.split("\t")
        where = f"{file}: line {number}:"
        if len(fields) != 2:
            found = f"found {len(fields)} columns in {line[:80]!r}"
            raise ValueError(f"{where} {found}, expected two: caption and URL in either order")
        if url is None:
            if set(fields) == {"caption", "url"}:
                url = fields.index("url")
                continue
            urls = [column for column, field in enumerate(fields) if URL.match(field)]
            if len(urls) != 1:
                found = f"found {len(urls)} URLs in {line[:80]!r}"
                raise ValueError(f"{where} {found}, expected a caption and a URL in either order")
            url = urls[0]
        if not URL.match(fields[url]):
            found = f"found {fields[url][:80]!r} in column {url + 1}"
            raise ValueError(f"{where} {found}, expected a URL as in the lines before")
        yield fields[1 - url]


def _read_coco(file: Path, report: Report) -> Iterator[str]:
    source, keys, found = _Json(file, _chunks(file, report)), [], False
    for key in source.keys():
        keys.append(key)
        if source.peek() != "[":
            source.value()
            continue
        for i, item in enumerate(source.items()):
            if key != "annotations":
                continue
            if not isinstance(item, dict) or not isinstance(item.get("caption"), str):
                what = f"found {json.dumps(item)[:80]}, expected an object with a 'caption'"
                raise ValueError(f"{file}: line {source.line_number()}: annotations[{i}]: {what}")
            check_text(f"{file}: annotations[{i}]", item["caption"])
            yield item["caption"]
        found |= key == "annotations"
    if not found:
        raise ValueError(f"{file}: found the keys {keys}, expected a list 'annotations'")


def check_text(what: str, text: object) -> None:
    """TypeError or ValueError unless `text` is a str that UTF-8 can hold."""
    if not isinstance(text, str):
        raise TypeError(f"{what}: found {type(text).__name__}, expected a str")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = f"found the lone surrogate {text[error.start]!r} at {error.start}"
        raise ValueError(f"{what}: {found}, expected Unicode text") from error


def check_captions(captions: list[str]) -> None:
    """ValueError unless there are some, each a str with more than white space that UTF-8 holds."""
    if not captions:
        raise ValueError("captions: found none, expected at least one")
    for n, caption in enumerate(captions):
        if not isinstance(caption, str) or not caption.strip():
            raise ValueError(f"caption {n + 1}: found {caption!r}, expected some words")
        check_text(f"caption {n + 1}", caption)


READERS = {".txt": _read_text, ".en": _read_text, ".tsv": _read_tsv, ".json": _read_coco}


class _Json:
    """Walks through JSON text of any length: an object's keys, a list's items, whole values. Holds
    one chunk, and the value that it is reading."""

    AFTER = tuple(" \t\r\n:,]}")  # what may follow a value

    def __init__(self, file: Path, chunks: Iterator[bytes]) -> None:
        self.file = file
        self.chunks = codecs.iterdecode(chunks, "utf-8-sig")
        self.decoder = json.JSONDecoder()
        self.text, self.position, self.line = "", 0, 1

    def keys(self) -> Iterator[str]:
        """The keys of the one object that is the file; between two, the caller reads the value."""
        self.take("{")
        if self.peek() == "}":
            self.take("}")
        else:
            end = ","
            while end == ",":
                if self.peek() != '"':
                    raise self.error(f"found {self.peek()!r}, expected a key")
                key = self.value()
                self.take(":")
                yield key
                end = self.take(",}")
        if self.peek():
            raise self.error(f"found {self.peek()!r}, expected the end of the file")

    def items(self) -> Iterator[object]:
        """The items of the list that begins here."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        end = ","
        while end == ",":
            yield self.value()
            end = self.take(",]")

    def value(self) -> object:
        """The whole value that begins here."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.position)
                failure = None
            except json.JSONDecodeError as error:
                failure = error
            except (ValueError, RecursionError) as error:  # endless digits, endless brackets
                raise self.error(f"broken JSON: {error}") from error
            if (
                failure is None and self.text[end : end + 1] in self.AFTER
            ):  # else a number may go on
                break
            if len(self.text) - self.position > CHUNK or not self.refill():
                if failure is None:
                    break
                found = f"broken JSON, or a value of more than {CHUNK} characters: {failure.msg}"
                raise self.error(found, failure.pos) from failure
        self.position = end
        return value

    def peek(self) -> str:
        """The next character that is not blank; "" at the end of the file."""
        while True:
            while self.position < len(self.text):
                if self.text[self.position] not in " \t\r\n":
                    return self.text[self.position]
                self.position += 1
            if not self.refill():
                return ""

    def take(self, allowed: str) -> str:
        found = self.peek()
        if not found or found not in allowed:
            expected = " or ".join(map(repr, allowed))
            raise self.error(f"broken JSON: found {found!r}, expected {expected}")
        self.position += 1
        return found

    def refill(self) -> bool:
        """Drop what was read and add the next chunk; False at the end of the file."""
        try:
            chunk = next(self.chunks, None)
        except UnicodeDecodeError as error:
            raise self.error(f"{error}; expected UTF-8") from error
        if chunk is None:
            return False
        self.line = self.line_number()
        self.text, self.position = self.text[self.position :] + chunk, 0
        return True

    def line_number(self, position: int | None = None) -> int:
        end = self.position if position is None else position
        return self.line + self.text.count("\n", 0, end)

    def error(self, what: str, position: int | None = None) -> ValueError:
        return ValueError(f"{self.file}: line {self.line_number(position)}: {what}")
