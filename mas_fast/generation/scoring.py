"""How well tokens show their captions: log-likelihoods with the caption, minus those without it. No
torch.

    scores = score_tokens(engine, prompt, tokens)          # {"seg": float64 [B], "img": ...}
    best = tokens[np.argmax(scores["seg"] + scores["img"])]

It is what guidance pulls at, summed over a picture: log p(tokens | caption) - log p(tokens), by
which the candidates of one caption can be ranked.
"""

from __future__ import annotations

import numpy as np

from mas_fast.generation.engine import Engine
from mas_fast.generation.ids import captions_of, nulls_of, sequences_of


def score_tokens(
    engine: Engine, prompt: object, tokens: object, null: object = None
) -> dict[str, np.ndarray]:
    """Measure how much likelier each stream's tokens are with their caption than without.

    Sequences are read one by one, twice each, so memory stays the same for any number.

    Args:
        engine: whose probabilities they are, without temperature, top-k and top-p.
        prompt: captions as in request.request, one for all sequences or one for each.
        tokens: ids [B, S] or [S] of whole sequences; those of the first stream are not looked at,
            `prompt` takes their place.
        null: the caption that stands for none, as `prompt`; None: padding alone.

    Returns:
        For each stream but the first, float64 [B], in nats: the sum over its tokens of
        log p(token | all before it, caption) - log p(token | all before it, null).

    Raises:
        ValueError: names what was found and what is allowed; also where there is neither `null` nor
            a pad id.
        TypeError: the same, for a wrong type.
    """
    streams, first = engine.streams, engine.streams[0]
    rows = sequences_of(tokens, streams)
    if rows.shape[1] != streams.length:
        raise ValueError(f"tokens: found {rows.shape[1]} in a row, expected {streams.length}")
    captions = captions_of("prompt", prompt, first)
    if len(captions) not in (1, len(rows)):
        several = f", or {len(rows)} as rows of tokens" if len(rows) > 1 else ""
        raise ValueError(f"captions: found {len(captions)}, expected one{several}")
    captions = captions.repeat(len(rows) // len(captions), 0)
    nulls = nulls_of(null, first, len(rows))
    scores = {stream.name: np.empty(len(rows)) for stream in streams.items[1:]}
    for n, row in enumerate(rows):
        with_caption = _log_likelihoods(engine, captions[n], row)
        without = _log_likelihoods(engine, nulls[n], row)
        for name, score in scores.items():
            score[n] = with_caption[name] - without[name]
    return scores


def _log_likelihoods(engine: Engine, caption: np.ndarray, row: np.ndarray) -> dict[str, float]:
    """Of each stream's tokens of a row, but the first stream's, which is `caption`."""
    streams = engine.streams
    tokens = np.concatenate([caption, row[len(caption) :]])
    logits = engine.logits(tokens[None])
    return {
        stream.name: log_likelihood(logits[stream.name][0], tokens[streams.slice(stream.name)])
        for stream in streams.items[1:]
    }


def log_likelihood(logits: np.ndarray, tokens: np.ndarray) -> float:
    """Sum the log-probabilities of tokens.

    In fp64: a score is the small difference of two sums of hundreds of logarithms, and so has no
    error but that of the logits.

    Args:
        logits: float32 [n, vocab].
        tokens: integers [n].

    Returns:
        The sum, of the softmax of each row.

    Raises:
        ValueError: if it is not finite.
    """
    below = logits.astype(np.float64)
    below -= below.max(1, keepdims=True)
    chosen = np.take_along_axis(below, tokens[:, None].astype(np.int64), 1)[:, 0]
    total = float((chosen - np.log(np.exp(below, out=below).sum(1))).sum())
    if not np.isfinite(total):
        raise ValueError(f"logits: found a log-likelihood of {total}, expected a finite number")
    return total
