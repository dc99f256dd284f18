"""What a generation is asked to do: argument checks, and the one form that every engine takes. No
torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from mas_fast.generation.ids import captions_of, check_range, ids_of, nulls_of
from mas_fast.sampling_params import Sampling
from mas_fast.streams import Stream, Streams
from mas_fast.utils.validate import check_flag, check_int

Guidance: TypeAlias = float | Sequence[float]  # a number, or a schedule: see Sampling
WIDEST = 32  # positions that a pass can draw: Speculation::kWidest in csrc/core/speculation.h


@dataclass(frozen=True)
class Request:
    """A checked generation; `request` makes it.

    Sequence b * samples + n draws as sample first_sample + n.

    Attributes:
        forced: int32 [B, S], ids >= 0 are kept and -1 is drawn; the whole first stream is >= 0.
        null: int32 [B, length of the first stream], the caption of each prompt's unconditional
            rows; None without guidance.
        sampling: one per stream. Its guidance is what was asked for, `guidance` what is drawn by.
        guidance: float64 [S], of each position; 1.0 in the first stream.
        samples: of each prompt.
        first_sample: the number of the first one.
        seed: of all draws.
        stop: positions that are filled.
        speculate: positions that a pass draws, "auto" or 1 to WIDEST; the tokens are the same.
        score_forced: whether the run sums up how likely its forced tokens are.
    """

    forced: np.ndarray
    null: np.ndarray | None
    sampling: tuple[Sampling, ...]
    guidance: np.ndarray
    samples: int
    first_sample: int
    seed: int
    stop: int
    speculate: int | Literal["auto"]
    score_forced: bool = False


def request(
    streams: Streams,
    prompt: object,
    *,
    num_samples: int = 1,
    forced: object = None,
    null: object = None,
    guidance: Guidance | Mapping[str, Guidance] = 1.0,
    temperature: float | Mapping[str, float] = 1.0,
    top_k: int | None | Mapping[str, int | None] = None,
    top_p: float | None | Mapping[str, float | None] = None,
    seed: int = 0,
    first_sample: int = 0,
    stop: int | None = None,
    speculate: int | Literal["auto"] = "auto",
    score_forced: bool = False,
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
        null: ids of the unconditional caption that guidance needs, as in `prompt`: one for all
            prompts or one for each; by default all padding. A negative caption is given here.
        guidance: 1: none. A list of numbers is a schedule over the positions of a stream.
        temperature: 0: the best token.
        top_k: None: all tokens.
        top_p: None: all tokens.
        seed: 0 .. 2^64 - 1.
        first_sample: the number of the first sample of each prompt.
        stop: how many positions to fill, by default all S.
        speculate: positions that a pass draws, 1 to WIDEST: all but the first from guesses of the
            tokens before them, and what follows a wrong guess is drawn again (Jacobi decoding). The
            tokens are the same at any width, what changes is the time. "auto": the engine's choice.
        score_forced: sum up how likely the forced tokens are, for Run.forced_log_likelihood.

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
    check_flag("score_forced", score_forced)
    options = {"guidance": guidance, "temperature": temperature, "top_k": top_k, "top_p": top_p}
    sampling = [_sampling(streams, stream, options) for stream in streams]
    sampling[0] = Sampling()
    guidance_at = np.concatenate(
        [how.guidance_at(s.length) for how, s in zip(sampling, streams, strict=True)]
    )
    captions = captions_of("prompt", prompt, first)
    guided = bool((guidance_at != 1).any())
    nulls = nulls_of(null, first, len(captions)) if guided or null is not None else None
    return Request(
        forced=_forced(forced, captions, streams),
        null=nulls if guided else None,
        sampling=tuple(sampling),
        guidance=guidance_at,
        samples=num_samples,
        first_sample=first_sample,
        seed=seed,
        stop=stop,
        speculate=speculate,
        score_forced=score_forced,
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


def _forced(value: object, captions: np.ndarray, streams: Streams) -> np.ndarray:
    """int32 [B, S]: the captions, then what is forced of the rest."""
    first, shape = streams[0], (len(captions), streams.length)
    forced = np.full(shape, -1, np.int32)
    if value is not None:
        given = ids_of("forced", value)
        if given.shape not in (shape, (1, streams.length)):
            allowed = f"{list(shape)} or [{streams.length}]"
            raise ValueError(f"forced: found shape {list(given.shape)}, expected {allowed}")
        for stream in streams:
            check_range("forced", given[:, streams.slice(stream.name)], -1, stream)
        forced[:] = given
    text = forced[:, : first.length]
    for b, n in np.argwhere((text >= 0) & (text != captions))[:1]:
        problem = f"found {text[b, n]} at [{b}, {n}], where the prompt has {captions[b, n]}"
        raise ValueError(f"forced: {problem}; expected -1 or the prompt's own in {first.name!r}")
    text[:] = captions
    return forced
