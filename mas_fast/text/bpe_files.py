"""Readers of caption tokenizers: any tokenizer.json, and the two files of minDALL-E. No torch.

    tokenizer = read_tokenizer(Path("tokenizer.json"))
    tokenizer = read_mindalle(Path("bpe-16k-vocab.json"), Path("bpe-16k-merges.txt"))

The library trusts a tokenizer.json: numbers for which it asks the system for terabytes, a text that
grows a thousandfold at each of ten steps, a vocabulary without an entry for some bytes, which then
vanish from every text. So a file is checked before the library gets it, and the tokenizer that the
library makes is checked afterwards.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from mas_fast.streams import MOST_VOCAB
from mas_fast.text.captions import read_lines
from mas_fast.utils.rust import no_panics

PAD, UNKNOWN = "[PAD]", "[UNK]"
MOST_BYTES = 1 << 28  # of a file; the largest published ones have 40 MB
MOST_PARTS, MOST_GROWTH, MOST_TEXT = 64, 1000, 1 << 12  # for normalizers and the like
IN_UTF8 = [byte for byte in range(256) if byte < 0xC0 or 0xC2 <= byte < 0xF5]


def read_tokenizer(file: Path) -> Tokenizer:
    """Read a tokenizer.json.

    Args:
        file: the file.

    Returns:
        The tokenizer.

    Raises:
        ValueError: names the file, if it is no tokenizer.json, if its numbers are out of bounds, or
            if parts of a text would be lost without a trace.
    """
    try:
        if (size := file.stat().st_size) > MOST_BYTES:
            raise ValueError(f"found {size} bytes, expected at most {MOST_BYTES}")
        values = json.loads(file.read_bytes())
        if not isinstance(values, dict):
            raise ValueError(f"found {type(values).__name__}, expected an object")
        _check_ids(values)
        _check_parts(values)
        with no_panics():
            tokenizer = Tokenizer.from_str(json.dumps(values))
    except Exception as error:  # the library raises nothing narrower
        if isinstance(error, OSError | MemoryError):
            raise
        raise ValueError(f"{file}: found no tokenizer in it: {error!s:.500}") from error
    for added in values.get("added_tokens") or ():
        number = tokenizer.token_to_id(added["content"])
        if number != added["id"]:
            raise ValueError(
                f"{file}: added token {added['content'][:80]!r}: found the id {added['id']}, "
                f"expected {number}, as the vocabulary has it"
            )
    try:
        with no_panics():
            _check_lossless(tokenizer)
    except Exception as error:
        raise ValueError(f"{file}: {error!s:.2000}") from error
    return tokenizer


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """Find the id that stands for text without an entry.

    Args:
        tokenizer: the tokenizer.

    Returns:
        The id of its unknown token, None without one. It may also stand for something else, as for
        the end of a text.
    """
    model = json.loads(tokenizer.to_str())["model"]
    if model["type"] == "Unigram":
        return model.get("unk_id")
    token = model.get("unk_token")
    return None if token is None else model["vocab"].get(token)


# ---------------------------------------------------------------------- checks of a file


def _check_ids(values: dict) -> None:
    """Check the ids of the vocabulary and of added tokens: none twice, all below MOST_VOCAB."""
    model = values.get("model")
    vocab = entries = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocab, list):  # Unigram's, in the order of the ids
        vocab = {number: number for number in range(len(vocab))}
    if not isinstance(vocab, dict):
        raise ValueError("model: found no vocab, expected tokens and their ids")
    added = values.get("added_tokens") or []
    if not isinstance(added, list) or not all(isinstance(token, dict) for token in added):
        raise ValueError("added_tokens: found no list of objects")
    tokens = dict(vocab)
    for token in added:
        if not isinstance(token.get("content"), str) or not token["content"]:
            raise ValueError(f"added_tokens: found {str(token)[:80]}, expected some content")
        if isinstance(entries, dict):
            tokens.setdefault(token["content"], token.get("id"))
        elif type(token.get("id")) is not int or not 0 <= token["id"] < MOST_VOCAB:
            raise ValueError(f"added_tokens: found the id {token.get('id')!r:.40}")
    seen: dict[int, object] = {}
    for token, number in tokens.items():
        if type(number) is not int or not 0 <= number < MOST_VOCAB:
            allowed = f"expected a whole number below {MOST_VOCAB}"
            raise ValueError(f"vocab: {str(token)[:80]!r}: found the id {number!r:.40}, {allowed}")
        if number in seen:
            both = [str(seen[number])[:80], str(token)[:80]]
            raise ValueError(f"vocab: found the id {number} for both {both}, expected one token")
        seen[number] = token


def _check_parts(values: dict) -> None:
    """Check how much longer normalizers, pre-tokenizers and decoders can make a text."""
    parts = [values.get(name) for name in ("normalizer", "pre_tokenizer", "decoder")]
    members = [part for top in parts for part in _parts(top)]
    if len(members) > MOST_PARTS:
        raise ValueError(f"found {len(members)} normalizers and the like, expected {MOST_PARTS}")
    growth = 1.0
    for part in members:
        kind = part.get("type")
        for name in ("prepend", "content", "replacement", "suffix", "prefix"):
            text = part.get(name)
            if isinstance(text, str) and len(text) > MOST_TEXT:
                problem = f"found {len(text)} characters, expected at most {MOST_TEXT}"
                raise ValueError(f"{kind}: {name}: {problem}")
        if kind == "Replace" and isinstance(part.get("content"), str):
            pattern = part.get("pattern")
            text = pattern.get("String") if isinstance(pattern, dict) else None
            content = len(part["content"])
            growth *= max(1, content / len(text)) if text else 1 + content
        elif kind == "Precompiled":
            _check_precompiled(part.get("precompiled_charsmap"))
    if growth > MOST_GROWTH:
        raise ValueError(
            f"Replace: found steps by which a text can become {growth:.0f} times as long, expected "
            f"at most {MOST_GROWTH}"
        )


def _parts(part: object) -> Iterator[dict]:
    """Yield the parts that are objects, at any depth."""
    if isinstance(part, list):
        for member in part:
            yield from _parts(member)
    elif isinstance(part, dict):
        members = [part.get(name) for name in ("normalizers", "pretokenizers", "decoders")]
        yield from _parts([member for member in members if member is not None])
        yield part


def _check_precompiled(text: object) -> None:
    """Check SentencePiece's table of characters: the size of its first part comes first."""
    try:
        data = base64.b64decode(cast(str, text or ""), validate=True)  # TypeError for others
    except (ValueError, TypeError) as error:
        raise ValueError(f"precompiled_charsmap: found no base64 ({error})") from error
    if len(data) < 4 or not 0 < int.from_bytes(data[:4], "little") <= len(data) - 4:
        raise ValueError(f"precompiled_charsmap: found {len(data)} bytes that are no such table")


# ---------------------------------------------------------------------- checks for lost text


def _check_lossless(tokenizer: Tokenizer) -> None:
    """Raise ValueError if some bytes or characters have no entry, and there is no unknown token.

    The library would leave them out of a text without a word.
    """
    values = json.loads(tokenizer.to_str())
    model = values["model"]
    if model["type"] != "BPE" or model["unk_token"] in model["vocab"]:
        return  # the other kinds do not work without one
    vocab = model["vocab"].keys() | {added["content"] for added in values["added_tokens"]}
    parts = [*_parts(values["normalizer"]), *_parts(values["pre_tokenizer"])]
    needed = _needed(tokenizer)
    if any(part.get("type") == "ByteLevel" for part in parts):
        names = byte_names()
        prefix, suffix = model["continuing_subword_prefix"] or "", model["end_of_word_suffix"] or ""
        forms = {byte: {names[byte], prefix + names[byte]} for byte in needed}
        forms = {
            b: spellings | {form + suffix for form in spellings} for b, spellings in forms.items()
        }
    elif model["byte_fallback"]:
        forms = {byte: {f"<0x{byte:02X}>"} for byte in needed}
    else:
        raise ValueError(
            "unk_token: found none, and a BPE of characters, so that what it has no entry for "
            "would vanish; expected an unknown token, ByteLevel or byte_fallback"
        )
    missing = [byte for byte in needed if not forms[byte] <= vocab]
    if missing:
        seen = sorted(chr(byte) for byte in missing if 32 <= byte < 127)
        shown = [repr(c) for c in sorted(seen, key=lambda c: (not c.islower(), not c.isalnum()))]
        shown += [f"0x{byte:02x}" for byte in missing if not 32 <= byte < 127]
        listed = ", ".join(shown[:40]) + (" ..." if len(shown) > 40 else "")
        raise ValueError(
            f"vocab: found no entries for {len(missing)} bytes ({listed}) and no unknown token, so "
            "that they would vanish from every text; expected all bytes: train it with "
            "initial_alphabet=ByteLevel.alphabet(), or give it an unk_token"
        )


def _needed(tokenizer: Tokenizer) -> list[int]:
    """Return the bytes of UTF-8 that the normalizer leaves; lower case leaves no capitals."""
    needed = {byte for byte in IN_UTF8 if byte > 127}
    hidden = {name: byte for byte, name in enumerate(byte_names()) if ord(name) > 255}
    for byte in range(128):
        text = chr(byte)
        if tokenizer.normalizer is not None:
            text = tokenizer.normalizer.normalize_str(text)
        needed |= {ord(c) for c in text if ord(c) < 128}
        needed |= {hidden[c] for c in text if c in hidden}
    return sorted(needed)


def byte_names() -> list[str]:
    """Return the character that ByteLevel writes for each of the 256 bytes.

    Returns:
        The byte's own character if it is visible, else one from 256 upwards.
    """
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in seen]
    names = {byte: chr(byte) for byte in seen}
    names |= {byte: chr(256 + n) for n, byte in enumerate(hidden)}
    return [names[byte] for byte in range(256)]


# ---------------------------------------------------------------------- minDALL-E


def read_mindalle(vocab_json: Path, merges_txt: Path) -> Tokenizer:
    """Read the two files of minDALL-E's tokenizer.

    Args:
        vocab_json: bpe-16k-vocab.json.
        merges_txt: bpe-16k-merges.txt.

    Returns:
        A tokenizer that computes the same as the library's CharBPETokenizer(unk_token="[UNK]",
        lowercase=True).

    Raises:
        ValueError: names the file, the line and what is wrong with it.
    """
    vocab = _read_vocab(vocab_json)
    merges = _read_merges(merges_txt, vocab)
    suffix = "</w>"
    with no_panics():
        model = models.BPE(vocab, merges, unk_token=UNKNOWN, end_of_word_suffix=suffix)
    tokenizer = Tokenizer(model)
    tokenizer.add_special_tokens([UNKNOWN, PAD])
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.BertNormalizer(lowercase=False), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.BPEDecoder(suffix=suffix)
    return tokenizer


def _read_vocab(file: Path) -> dict[str, int]:
    try:
        vocab = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{file}: {error}") from error
    ids = list(vocab.values()) if isinstance(vocab, dict) else []
    if not ids or any(type(i) is not int for i in ids) or sorted(ids) != list(range(len(ids))):
        raise ValueError(f"{file}: found no mapping of tokens to the ids 0, 1, 2 ...")
    for token in (PAD, UNKNOWN):
        if token not in vocab:
            raise ValueError(f"{file}: found no {token} among {len(vocab)} entries")
    return vocab


def _read_merges(file: Path, vocab: dict[str, int]) -> list[tuple[str, str]]:
    merges: list[tuple[str, str]] = []
    for number, line in read_lines(file):
        if line.startswith("#version"):
            continue
        pair = line.split(" ")
        unknown = [token for token in (*pair, "".join(pair)) if token not in vocab]
        if len(pair) != 2 or unknown:
            problem = (
                f"found {line[:80]!r}, expected two entries of the vocabulary that join to one"
            )
            raise ValueError(f"{file}: line {number}: {problem}")
        merges.append((pair[0], pair[1]))
    return merges
