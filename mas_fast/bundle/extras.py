"""What a bundle has beside its models: the captions' tokenizer, the words that the GPT knows, and
the settings of the sampler that suit it. No torch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from mas_fast.bundle.config import BPE_FILE, SAMPLING_FILE, WORDS_FILE, added_by
from mas_fast.sampling_params import Sampling
from mas_fast.text.captions import words
from mas_fast.utils.documents import read_json, short
from mas_fast.utils.files import replace_file

if TYPE_CHECKING:
    from mas_fast.text.bpe import BPE


def save_bpe(path: str | os.PathLike, bpe: BPE) -> None:
    """Write the captions' tokenizer, in one step."""
    directory = Path(path)
    directory.mkdir(parents=True, exist_ok=True)
    replace_file(directory / BPE_FILE, bpe.save)


def load_bpe(path: str | os.PathLike) -> BPE:
    """Read the captions' tokenizer of a bundle.

    Args:
        path: the bundle.

    Returns:
        The tokenizer.

    Raises:
        ValueError: if the bundle has none.
    """
    from mas_fast.text.bpe import BPE

    file = Path(path) / BPE_FILE
    if not file.is_file():
        problem = "found no such file, expected the captions' tokenizer"
        raise ValueError(f"{file}: {problem}: {added_by(path, BPE_FILE)}")
    return BPE.load(file)


def save_words(path: str | os.PathLike, captions: Iterable[str]) -> None:
    """Write the words of captions (see `captions.words`), sorted, each once, in one step.

    Args:
        path: the bundle, made if need be.
        captions: the captions.
    """
    directory = Path(path)
    directory.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{word}\n" for word in sorted({w for c in captions for w in words(c)}))
    replace_file(directory / WORDS_FILE, lambda file: file.write_bytes(text.encode()))


def read_words(path: str | os.PathLike) -> frozenset[str] | None:
    """Read what `save_words` wrote.

    Args:
        path: the bundle.

    Returns:
        The words; None if the bundle has no such file.

    Raises:
        ValueError: if a line is no word.
    """
    file = Path(path) / WORDS_FILE
    if not file.is_file():
        return None
    try:
        lines = file.read_bytes().decode().splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: {error}; expected UTF-8") from error
    for number, line in enumerate(lines, 1):
        if words(line) != [line]:
            raise ValueError(
                f"{file}: line {number}: found {line[:80]!r}, expected one lower-case word"
            )
    return frozenset(lines)


def save_sampling(path: str | os.PathLike, values: dict[str, object]) -> None:
    """Write what `read_sampling` reads, in one step.

    Args:
        path: the bundle.
        values: any of guidance, temperature, top_k and top_p, as `Sampling` takes them, for all
            streams or in a mapping for some of them.

    Raises:
        ValueError: if there are other keys.
    """
    _check_sampling(str(path), values)
    text = json.dumps(values, indent=2) + "\n"
    replace_file(Path(path) / SAMPLING_FILE, lambda file: file.write_text(text, "utf-8"))


def read_sampling(path: str | os.PathLike) -> dict[str, object]:
    """Read what a bundle says of guidance, temperature, top_k and top_p.

    Args:
        path: the bundle.

    Returns:
        The values, which are checked where they are used; {} if the bundle says nothing.

    Raises:
        ValueError: if the file holds anything else.
    """
    file = Path(path) / SAMPLING_FILE
    if not file.is_file():
        return {}
    values = read_json(file)
    _check_sampling(str(file), values)
    return values


def _check_sampling(label: str, values: object) -> None:
    allowed = [field.name for field in fields(Sampling)]
    if not isinstance(values, dict) or not set(values) <= set(allowed):
        offender = sorted(set(values) - set(allowed)) if isinstance(values, dict) else values
        raise ValueError(
            f"{label}: found {short(offender)}, expected a mapping with some of {allowed}"
        )
