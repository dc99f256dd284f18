"""Readers of caption files: text, CC3M and CC12M TSV, COCO JSON, each also gzipped. No torch.

They hold one chunk of a file, and the line or the JSON value that they are at: constant memory,
however large the file is. Rows that hold no caption can be left out and counted (Rejects); a file
that is damaged, or of another format, is an error.
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
MOST_RATIO = 100  # of unpacked to packed bytes, beyond the first of them: text has 3 to 20
URL = re.compile(r"https?://", re.IGNORECASE)
MARKS = {codecs.BOM_UTF16_LE: "UTF-16LE", codecs.BOM_UTF16_BE: "UTF-16BE"}
Report = Callable[[int], object]


class Rejects:
    """Rows that were left out: how many, by reason, and the first of each. Falsy without any; as
    text, one line of all of them."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.first: dict[str, str] = {}

    def add(self, reason: str, message: str) -> None:
        """message: where it is, and what was found there."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        self.first.setdefault(reason, message)

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __str__(self) -> str:
        rows = sum(self.counts.values())
        by_reason = [f"{n} {reason} ({self.first[reason]})" for reason, n in self.counts.items()]
        return f"left out {rows} {'row' if rows == 1 else 'rows'}: {'; '.join(by_reason)}"


class _Strict(Rejects):
    """Raises the first one."""

    def add(self, reason: str, message: str) -> None:
        raise ValueError(message)


def captions(
    files: Iterable[str | os.PathLike],
    report: Report = lambda _: None,
    rejects: Rejects | None = None,
) -> Iterator[str]:
    """The captions of files in turn, in constant memory; blank ones are left out. By suffix, each
    also with .gz:

    .txt, .en: one a line.
    .tsv: two columns, caption and URL (CC3M) or URL and caption (CC12M): the first line shows
        which, all others are held to it. It may be the header that img2dataset wants. Fields may be
        quoted as in CSV.
    .json: COCO's captions, {"annotations": [{"caption": ...}, ...], ...}; streamed.

    report: gets the number of bytes read, again and again; their sum is the size of the files.
    rejects: is given the rows that hold no caption; None: the first of them is an error. ValueError
    names the file, the line, what was found and what is allowed.
    """
    return _captions(check_paths(files), report, _Strict() if rejects is None else rejects)


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


def _captions(paths: list[Path], report: Report, rejects: Rejects) -> Iterator[str]:
    for path in paths:
        for caption in READERS[_suffix(path)](path, report, rejects):
            if caption and not caption.isspace():
                yield caption


def _chunks(file: Path, report: Report) -> Iterator[bytes]:
    """The content of a file, piece by piece; `report` gets the number of bytes read of the file
    itself, so that the sum is its size."""
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
                        found = f"found {unpacked} bytes unpacked from {raw.tell()}"
                        raise ValueError(f"{file}: {found}, expected captions")
                    report(raw.tell() - done)
                    done = raw.tell()
                    yield chunk
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file}: {error}") from error


def read_lines(
    file: Path, report: Report = lambda _: None, rejects: Rejects | None = None
) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of the lines that are not empty. rejects: as for `captions`."""
    rejects = _Strict() if rejects is None else rejects
    number, rest, long = 0, b"", False
    for chunk in _chunks(file, report):
        data = rest + chunk
        held = b"\r" if data.endswith(b"\r") else b""  # its line feed may come with the next
        data = data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = data.split(b"\n")
        del chunk, data
        for line in lines:
            number += 1
            if line and not long and (text := _line(file, number, line, rejects)):
                yield number, text
            long = False
        if long:  # the rest of a line that was rejected
            rest = b""
        elif len(rest) > CHUNK:
            found = f"line {number + 1}: found more than {CHUNK} bytes without a line break"
            rejects.add("too long", f"{file}: {found}, expected one caption a line")
            rest, long = b"", True
        rest += held
    if not long and (text := _line(file, number + 1, rest.removesuffix(b"\r"), rejects)):
        yield number + 1, text


def _line(file: Path, number: int, line: bytes, rejects: Rejects) -> str:
    """Empty where it was rejected."""
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        rejects.add("not in UTF-8", f"{file}: line {number}: {error}; expected UTF-8")
        return ""
    if "\0" in text:
        found = "found a zero byte, as UTF-16 has; expected UTF-8"
        rejects.add("with zero bytes", f"{file}: line {number}: {found}")
        return ""
    return text


def _read_text(file: Path, report: Report, rejects: Rejects) -> Iterator[str]:
    return (line for _, line in read_lines(file, report, rejects))


def _read_tsv(file: Path, report: Report, rejects: Rejects) -> Iterator[str]:
    url, quoted = None, False
    for number, line in read_lines(file, report, rejects):
        fields = line.split("\t")
        where = f"{file}: line {number}:"
        if len(fields) != 2:
            found = f"found {len(fields)} columns in {line[:80]!r}"
            expected = "expected two: caption and URL in either order"
            rejects.add("not of two columns", f"{where} {found}, {expected}")
            continue
        if url is None:  # where every field is quoted, the URL is
            quoted = any(URL.match(field[1:]) for field in fields if field.startswith('"'))
            quoted |= set(fields) == {'"caption"', '"url"'}
        fields = [_unquoted(field, quoted) for field in fields]
        if url is None:
            if set(fields) == {"caption", "url"}:
                url = fields.index("url")
                continue
            urls = [column for column, field in enumerate(fields) if URL.match(field)]
            if len(urls) != 1:
                found = f"found {len(urls)} URLs in {line[:80]!r}"
                expected = "expected a caption and a URL in either order"
                rejects.add("without one URL", f"{where} {found}, {expected}")
                continue
            url = urls[0]
        if not URL.match(fields[url]):
            found = f"found {fields[url][:80]!r} in column {url + 1}"
            expected = "expected a URL as in the lines before"
            rejects.add("without a URL in its column", f"{where} {found}, {expected}")
            continue
        yield fields[1 - url]


def _unquoted(field: str, always: bool) -> str:
    """A field as CSV quotes it; one that merely begins and ends with a quote stays as it is, unless
    all are quoted."""
    inner = field[1:-1].replace('""', "")
    if len(field) < 2 or field[0] != '"' or field[-1] != '"' or '"' in inner:
        return field
    return field[1:-1].replace('""', '"') if always or '""' in field[1:-1] else field


def _read_coco(file: Path, report: Report, rejects: Rejects) -> Iterator[str]:
    source, keys, found = _Json(file, _chunks(file, report)), [], False
    for key in source.keys():
        keys.append(key)
        if source.peek() != "[":
            source.value()
            continue
        for i, item in enumerate(source.items()):
            if key != "annotations":
                continue
            where = f"{file}: line {source.line_number()}: annotations[{i}]:"
            if not isinstance(item, dict) or not isinstance(item.get("caption"), str):
                what = f"found {json.dumps(item)[:80]}, expected an object with a 'caption'"
                rejects.add("without a caption", f"{where} {what}")
                continue
            try:
                check_text(where.removesuffix(":"), item["caption"])
            except ValueError as error:
                rejects.add("not in Unicode", str(error))
                continue
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
