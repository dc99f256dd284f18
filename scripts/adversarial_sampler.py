"""The C++ sampler beside its definition on rows made to break it, on every instruction set of this
processor, tokens and kept sets to the bit; exit status 1 where one differs.

    python scripts/adversarial_sampler.py --rows 1000000     # rows x instruction sets; minutes
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch

from mas_fast.ops import reference
from mas_fast.utils import native

SIZES = (1, 2, 3, 5, 15, 16, 17, 31, 33, 64, 127, 255, 300)
FULL = 16384  # one batch in forty
KINDS = ("normal", "ties", "flat", "steps", "huge", "tiny", "infinite", "peak", "neighbours")


def rows_of(kind: str, count: int, vocab: int, rng: np.random.Generator) -> np.ndarray:
    """float32 [count, vocab]."""
    x = rng.standard_normal((count, vocab)).astype(np.float32)
    if kind == "ties":
        x = np.round(x)
    elif kind == "flat":
        x[:] = x[:, :1]
    elif kind == "steps":  # weights that are powers of two: sums that meet top_p exactly
        x = (np.float32(np.log(2)) * rng.integers(-8, 1, x.shape)).astype(np.float32)
    elif kind == "huge":
        x = (x * np.float32(1e37)).astype(np.float32)
    elif kind == "tiny":
        x *= np.float32(1e-42)  # subnormal
    elif kind == "infinite":
        x[rng.random(x.shape) < 0.3] = -np.inf
        x[rng.random(x.shape) < 0.02] = np.inf
    elif kind == "peak":
        x[np.arange(count), rng.integers(vocab, size=count)] += 40
    elif kind == "neighbours":  # one unit in the last place apart
        x = np.nextafter(np.float32(3), np.float32(rng.choice([-9, 9], x.shape)), dtype=np.float32)
    return x


def settings_of(rng: np.random.Generator, vocab: int) -> dict:
    return {
        "temperature": float(rng.choice([0.0, 1e-3, 0.3, 1.0, 1.0, 7.0, 1e4])),
        "top_k": [None, 1, 2, int(rng.integers(1, vocab + 1)), vocab + 5][rng.integers(5)],
        "top_p": [None, 1e-9, 0.5, 0.875, float(rng.random()) or 0.1, 1.0][rng.integers(6)],
    }


def differing(rng: np.random.Generator, kind: str, count: int, vocab: int) -> dict[str, int]:
    """How many rows of a batch differ from the definition, for each instruction set."""
    settings = settings_of(rng, vocab)
    cond, uncond = rows_of(kind, count, vocab, rng), None
    if kind not in ("infinite", "huge") and rng.random() < 0.4:  # inf - inf is no number
        uncond = rows_of(kind, count, vocab, rng)
        settings["guidance"] = float(rng.choice([0.0, 1.0, 3.0, -2.5]))
    draw = {
        "seed": int(rng.integers(1 << 64, dtype=np.uint64)),
        "sample": int(rng.integers(1 << 32)),
        "position": int(rng.integers(1 << 32)),
    }
    tensors = [None if x is None else torch.from_numpy(x) for x in (cond, uncond)]
    token = reference.sample(tensors[0], uncond=tensors[1], **settings, **draw).numpy()
    guided = reference.guided_logits(
        *tensors, settings.get("guidance", 1.0), settings["temperature"]
    )
    masks = {name: settings[name] for name in ("temperature", "top_k", "top_p")}
    kept = reference.kept_mask(guided, **masks).numpy()
    engine, wrong = native.engine(), {}
    for isa in engine.supported_isas():
        tokens, mask = engine.sample(cond, uncond, **settings, **draw, isa=isa)
        wrong[isa] = int(((tokens != token) | (mask.astype(bool) != kept).any(1)).sum())
        if wrong[isa]:
            print(f"{isa}: {wrong[isa]} of {count} rows: {kind}, {vocab}, {settings}, {draw}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows x instruction sets")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, done, total = np.random.default_rng(options.seed), 0, {}
    while done < options.rows:
        full = rng.random() < 0.025
        count, vocab = (16, FULL) if full else (400, int(rng.choice(SIZES)))
        counts = differing(rng, str(rng.choice(KINDS)), count, vocab)
        done += count * len(counts)
        total = {isa: total.get(isa, 0) + wrong for isa, wrong in counts.items()}
    print(f"{done} rows over {', '.join(total)}: {sum(total.values())} differ")
    return int(any(total.values()))


if __name__ == "__main__":
    sys.exit(main())
