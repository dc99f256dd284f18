"""Token ids as callers give them: tensors, arrays or lists, checked against their streams. No
torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from mas_fast.streams import Stream, Streams


def captions_of(name: str, value: Any, stream: Stream) -> np.ndarray:
    """Bring captions to one form.

    Args:
        name: what errors call them.
        value: ids [B, P] or [P], P <= the stream's length, or a list of captions of different
            lengths.
        stream: whose pad id fills up what is shorter.

    Returns:
        int32 [B, length].

    Raises:
        ValueError: names what was found and what is allowed.
        TypeError: the same, for a wrong type.
    """
    ragged = isinstance(value, list | tuple) and value and hasattr(value[0], "__len__")
    rows = [row for block in (value if ragged else [value]) for row in ids_of(name, block)]
    shortest = stream.length if stream.pad is None else 1
    captions = np.full((len(rows), stream.length), stream.pad or 0, np.int32)
    for caption, row in zip(captions, rows, strict=True):
        if not shortest <= len(row) <= stream.length:
            allowed = f"{shortest} to {stream.length}"
            raise ValueError(f"{name}: found {len(row)} tokens, expected {allowed}")
        check_range(name, row, 0, stream)
        caption[: len(row)] = row
    return captions


def nulls_of(value: object, stream: Stream, count: int) -> np.ndarray:
    """Bring the captions of the unconditional rows to one form.

    Args:
        value: one caption, or one for each prompt, as in `captions_of`; None: padding alone.
        stream: of captions.
        count: prompts.

    Returns:
        int32 [count, length].

    Raises:
        ValueError: names what was found and what is allowed.
        TypeError: the same, for a wrong type.
    """
    if value is None and stream.pad is None:
        raise ValueError(f"null: found None, expected ids: {stream.name!r} has no pad id")
    nulls = captions_of("null", [stream.pad] if value is None else value, stream)
    if len(nulls) not in (1, count):
        several = f", or {count} as prompts" if count > 1 else ""
        raise ValueError(f"null: found {len(nulls)} captions, expected one{several}")
    return nulls.repeat(count // len(nulls), 0)


def sequences_of(value: object, streams: Streams) -> np.ndarray:
    """Bring sequences in which every token is known to one form.

    Args:
        value: ids [B, T] or [T] of the first T positions, 1 <= T <= S.
        streams: of the GPT.

    Returns:
        int32 [B, T].

    Raises:
        ValueError: names what was found and what is allowed.
        TypeError: the same, for a wrong type.
    """
    ids = ids_of("tokens", value)
    if ids.shape[1] > streams.length:
        allowed = f"1 to {streams.length} in a row"
        raise ValueError(f"tokens: found shape {list(ids.shape)}, expected {allowed}")
    for stream in streams:
        check_range("tokens", ids[:, streams.slice(stream.name)], 0, stream)
    return ids.astype(np.int32)


def ids_of(name: str, value: Any) -> np.ndarray:
    """Take the ids of a tensor, an array or a list.

    Args:
        name: what errors call them.
        value: of one or two dimensions.

    Returns:
        Integers [B, P], of any dtype.

    Raises:
        ValueError: if there are none, or they are no integers or of another rank.
        TypeError: if numpy can make nothing of the value.
    """
    try:
        ids = np.asarray(value.cpu() if hasattr(value, "cpu") else value)  # torch, on any device
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(value).__name__
        raise TypeError(f"{name}: found {kind}, expected token ids ({error})") from error
    if ids.ndim in (1, 2) and ids.size == 0:
        raise ValueError(f"{name}: empty: found shape {list(ids.shape)}, expected some tokens")
    if ids.dtype.kind not in "iu":
        raise ValueError(f"{name}: found dtype {ids.dtype}, expected integers")
    if ids.ndim not in (1, 2):
        raise ValueError(f"{name}: found shape {list(ids.shape)}, expected 1 or 2 dimensions")
    return ids.reshape(-1, ids.shape[-1])


def check_range(name: str, ids: np.ndarray, low: int, stream: Stream) -> None:
    """Check that ids are of a stream's vocabulary.

    Args:
        name: what the error calls them.
        ids: integers.
        low: the least that is allowed, 0, or -1 where a token may be left open.
        stream: whose vocabulary it is.

    Raises:
        ValueError: if one is not.
    """
    bad = ids[(ids < low) | (ids >= stream.vocab)]
    if len(bad):
        allowed = f"{low} to {stream.vocab - 1}"
        raise ValueError(f"{name}: found id {bad[0]} in {stream.name!r}, expected {allowed}")
