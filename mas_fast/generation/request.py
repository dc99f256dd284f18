"""What a generation is asked to do: argument checks, and the one form that every engine takes. No
torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mas_fast.sampling_params import Sampling
from mas_fast.streams import Stream, Streams
from mas_fast.utils.validate import check_int

WIDEST = 32  # positions that a pass can draw: Speculation::kWidest in csrc/core/speculation.h


@dataclass(frozen=True)
class Request:
    """A checked generation; `request` makes it.

    Sequence b * samples + n draws as sample first_sample + n.

    Attributes:
        forced: int32 [B, S], ids >= 0 are kept and -1 is drawn; the whole first stream is >= 0.
        null: int32 [length of the first stream], the caption of the unconditional rows; None
            without guidance.
        sampling: one per stream.
        samples: of each prompt.
        first_sample: the number of the first one.
        seed: of all draws.
        stop: positions that are filled.
        speculate: positions that a pass draws, "auto" or 1 to WIDEST; the tokens are the same.
    """

    forced: np.ndarray
    null: np.ndarray | None
    sampling: tuple[Sampling, ...]
    samples: int
    first_sample: int
    seed: int
    stop: int
    speculate: int | Literal["auto"]


def request(
    streams: Streams,
    prompt: object,
    *,
    num_samples: int = 1,
    forced: object = None,
    null: object = None,
    guidance: float | Mapping[str, float] = 1.0,
    temperature: float | Mapping[str, float] = 1.0,
    top_k: int | None | Mapping[str, int | None] = None,
    top_p: float | None | Mapping[str, float | None] = None,
    seed: int = 0,
    first_sample: int = 0,
    stop: int | None = None,
    speculate: int | Literal["auto"] = "auto",
) -> Request:
    """Check the arguments of a generation and bring them to one form.

    Ids are tensors, arrays or lists of any integer dtype. Each of guidance, temperature, top_k and
    top_p (see Sampling) is one value, or a mapping from names of streams in which a stream that is
    missing has the default. Nothing of the first stream is drawn.

    Args:
        streams: of the GPT.
        prompt: ids [B, P] or [P] of the first stream, P <= its length; its pad id fills up the
            others. A list may hold captions of different lengths.
        num_samples: samples of each prompt.
        forced: ids [B, S] or [S], -1 where the model draws: a scene, part of one, half a picture.
            In the first stream -1 or the prompt's own ids.
        null: ids [P] of the unconditional caption that guidance needs; by default all padding.
        guidance: 1: none.
        temperature: 0: the best token.
        top_k: None: all tokens.
        top_p: None: all tokens.
        seed: 0 .. 2^64 - 1.
        first_sample: the number of the first sample of each prompt.
        stop: how many positions to fill, by default all S.
        speculate: positions that a pass draws, 1 to WIDEST: all but the first from guesses of the
            tokens before them, and what follows a wrong guess is drawn again (Jacobi decoding). The
            tokens are the same at any width, what changes is the time. "auto": the engine's choice.

    Returns:
        The checked request.

    Raises:
        ValueError: names what was found and what is allowed.
        TypeError: the same, for a wrong type.
    """
    first = streams[0]
    check_int("num_samples", num_samples, 1, 2**31 - 1)
    check_int("first_sample", first_sample, 0, 2**32 - num_samples)
    check_int("seed", seed, 0, 2**64 - 1)
    stop = streams.length if stop is None else stop
    check_int("stop", stop, first.length, streams.length)
    check_speculate(speculate)
    options = {"guidance": guidance, "temperature": temperature, "top_k": top_k, "top_p": top_p}
    sampling = [_sampling(streams, stream, options) for stream in streams]
    sampling[0] = Sampling()
    guided = any(how.guidance != 1 for how in sampling)
    if null is None and guided and first.pad is None:
        raise ValueError(f"null: found None, expected ids: {first.name!r} has no pad id")
    unconditional = None
    if null is not None or guided:
        unconditional = _captions("null", [first.pad] if null is None else null, first)
        if len(unconditional) != 1:
            raise ValueError(f"null: found {len(unconditional)} captions, expected one")
    return Request(
        forced=_forced(forced, _captions("prompt", prompt, first), streams),
        null=unconditional[0] if guided and unconditional is not None else None,
        sampling=tuple(sampling),
        samples=num_samples,
        first_sample=first_sample,
        seed=seed,
        stop=stop,
        speculate=speculate,
    )


def check_speculate(value: object) -> None:
    """Check how many positions a pass shall draw.

    Args:
        value: anything.

    Raises:
        ValueError: if it is neither "auto" nor 1 to WIDEST.
    """
    check_int("speculate", value, 1, WIDEST, word="auto")


def _sampling(streams: Streams, stream: Stream, options: Mapping[str, object]) -> Sampling:
    chosen: dict[str, Any] = {}  # which Sampling checks
    for name, value in options.items():
        if not isinstance(value, Mapping):
            chosen[name] = value
            continue
        unknown = [key for key in value if key not in streams.names]
        if unknown:
            raise ValueError(f"{name}: found streams {unknown}, expected {list(streams.names)}")
        if stream.name in value:
            chosen[name] = value[stream.name]
    return Sampling(**chosen)


def _captions(name: str, value: Any, stream: Stream) -> np.ndarray:
    """int32 [B, length]: the ids, filled up with the stream's pad id."""
    ragged = isinstance(value, list | tuple) and value and hasattr(value[0], "__len__")
    rows = [row for block in (value if ragged else [value]) for row in _ids(name, block)]
    shortest = stream.length if stream.pad is None else 1
    captions = np.full((len(rows), stream.length), stream.pad or 0, np.int32)
    for caption, row in zip(captions, rows, strict=True):
        if not shortest <= len(row) <= stream.length:
            allowed = f"{shortest} to {stream.length}"
            raise ValueError(f"{name}: found {len(row)} tokens, expected {allowed}")
        _check_range(name, row, 0, stream)
        caption[: len(row)] = row
    return captions


def _forced(value: object, captions: np.ndarray, streams: Streams) -> np.ndarray:
    """int32 [B, S]: the captions, then what is forced of the rest."""
    first, shape = streams[0], (len(captions), streams.length)
    forced = np.full(shape, -1, np.int32)
    if value is not None:
        given = _ids("forced", value)
        if given.shape not in (shape, (1, streams.length)):
            allowed = f"{list(shape)} or [{streams.length}]"
            raise ValueError(f"forced: found shape {list(given.shape)}, expected {allowed}")
        for stream in streams:
            _check_range("forced", given[:, streams.slice(stream.name)], -1, stream)
        forced[:] = given
    text = forced[:, : first.length]
    for b, n in np.argwhere((text >= 0) & (text != captions))[:1]:
        problem = f"found {text[b, n]} at [{b}, {n}], where the prompt has {captions[b, n]}"
        raise ValueError(f"forced: {problem}; expected -1 or the prompt's own in {first.name!r}")
    text[:] = captions
    return forced


def _ids(label: str, value: Any) -> np.ndarray:
    """The integers [B, P] of a tensor, an array or a list of one or two dimensions."""
    try:
        ids = np.asarray(value.cpu() if hasattr(value, "cpu") else value)  # torch, on any device
    except (TypeError, ValueError, RuntimeError) as error:
        name = type(value).__name__
        raise TypeError(f"{label}: found {name}, expected token ids ({error})") from error
    if ids.ndim in (1, 2) and ids.size == 0:
        raise ValueError(f"{label}: empty: found shape {list(ids.shape)}, expected some tokens")
    if ids.dtype.kind not in "iu":
        raise ValueError(f"{label}: found dtype {ids.dtype}, expected integers")
    if ids.ndim not in (1, 2):
        raise ValueError(f"{label}: found shape {list(ids.shape)}, expected 1 or 2 dimensions")
    return ids.reshape(-1, ids.shape[-1])


def _check_range(name: str, ids: np.ndarray, low: int, stream: Stream) -> None:
    bad = ids[(ids < low) | (ids >= stream.vocab)]
    if len(bad):
        allowed = f"{low} to {stream.vocab - 1}"
        raise ValueError(f"{name}: found id {bad[0]} in {stream.name!r}, expected {allowed}")
