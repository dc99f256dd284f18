"""JSON of any length, read in chunks. No torch."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path

CHUNK = 1 << 20  # bytes read at once, and the longest value


class JsonStream:
    """Walks through JSON text of any length: keys of an object, items of a list, whole values.

    It holds one chunk, and the value that it is reading.

    Args:
        file: name of the file in errors.
        chunks: content of the file, in UTF-8.

    Raises:
        ValueError: for every error; it names the file and the line.
    """

    AFTER = tuple(" \t\r\n:,]}")  # characters that may follow a value

    def __init__(self, file: Path, chunks: Iterator[bytes]) -> None:
        self.file = file
        self.chunks = codecs.iterdecode(chunks, "utf-8-sig")
        self.decoder = json.JSONDecoder()
        self.text, self.position, self.line = "", 0, 1

    def keys(self) -> Iterator[str]:
        """Yield the keys of the object in the file; the caller reads the value after each."""
        self.take("{")
        if self.peek() == "}":
            self.take("}")
        else:
            end = ","
            while end == ",":
                if self.peek() != '"':
                    raise self.error(f"found {self.peek()!r}, expected a key")
                key = str(self.value())  # it begins with a quote: a str already
                self.take(":")
                yield key
                end = self.take(",}")
        if self.peek():
            raise self.error(f"found {self.peek()!r}, expected the end of the file")

    def items(self) -> Iterator[object]:
        """Yield the items of the list that begins here."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        end = ","
        while end == ",":
            yield self.value()
            end = self.take(",]")

    def value(self) -> object:
        """Read the whole value that begins here."""
        self.peek()
        while True:
            failure: json.JSONDecodeError | None = None
            try:
                value, end = self.decoder.raw_decode(self.text, self.position)
            except json.JSONDecodeError as error:
                failure = error
            except (ValueError, RecursionError) as error:  # endless digits, endless brackets
                raise self.error(f"broken JSON: {error}") from error
            if failure is None and self.text[end : end + 1] in self.AFTER:  # else numbers may go on
                break
            if len(self.text) - self.position > CHUNK or not self.refill():
                if failure is None:
                    break
                problem = f"broken JSON, or a value of more than {CHUNK} characters: {failure.msg}"
                raise self.error(problem, failure.pos) from failure
        self.position = end
        return value

    def peek(self) -> str:
        """Return the next character that is not blank; "" at the end of the file."""
        while True:
            while self.position < len(self.text):
                if self.text[self.position] not in " \t\r\n":
                    return self.text[self.position]
                self.position += 1
            if not self.refill():
                return ""

    def take(self, allowed: str) -> str:
        """Read the next character that is not blank.

        Raises:
            ValueError: unless it is allowed.
        """
        character = self.peek()
        if not character or character not in allowed:
            expected = " or ".join(map(repr, allowed))
            raise self.error(f"broken JSON: found {character!r}, expected {expected}")
        self.position += 1
        return character

    def refill(self) -> bool:
        """Drop the text that was read and add the next chunk; False at the end of the file."""
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
        """Return the number of the line of a position, by default the current one."""
        end = self.position if position is None else position
        return self.line + self.text.count("\n", 0, end)

    def error(self, problem: str, position: int | None = None) -> ValueError:
        """Return an error that names the file and the line of a position."""
        return ValueError(f"{self.file}: line {self.line_number(position)}: {problem}")
