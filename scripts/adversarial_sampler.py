"""The C++ sampler beside its definition on rows made to break it, on every instruction set of this
processor, or the CUDA sampler, tokens and kept sets to the bit; exit status 1 where one differs.

    python scripts/adversarial_sampler.py --rows 1000000     # rows x instruction sets; minutes
    python scripts/adversarial_sampler.py --device cuda
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np
import torch

from mas_fast.ops import dispatch, reference
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


def differing(
    rng: np.random.Generator, kind: str, count: int, vocab: int, device: str
) -> dict[str, int]:
    """How many rows of a batch differ from the definition, for each instruction set, or "cuda"."""
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
    tensors = [None if x is None else torch.from_numpy(x).to(device) for x in (cond, uncond)]
    token = reference.sample(tensors[0], uncond=tensors[1], **settings, **draw).cpu().numpy()
    guided = reference.guided_logits(
        *tensors, settings.get("guidance", 1.0), settings["temperature"]
    )
    masks = {name: settings[name] for name in ("temperature", "top_k", "top_p")}
    kept = reference.kept_mask(guided, **masks).cpu().numpy()
    wrong = {}
    for name, (tokens, mask) in drawn(device, (cond, uncond), tensors, settings, draw):
        wrong[name] = int(((tokens != token) | (mask.astype(bool) != kept).any(1)).sum())
        if wrong[name]:
            print(f"{name}: {wrong[name]} of {count} rows: {kind}, {vocab}, {settings}, {draw}")
    return wrong


def drawn(
    device: str, arrays: tuple, tensors: list, settings: dict, draw: dict
) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """Tokens and kept sets, by the name of who drew them."""
    if device == "cpu":
        engine = native.engine()
        for isa in engine.supported_isas():
            yield isa, engine.sample(*arrays, **settings, **draw, isa=isa)
        return
    places = [torch.full((len(arrays[0]),), draw[n], device=device) for n in ("sample", "position")]
    top_k, seed = settings["top_k"], draw["seed"]
    found = torch.ops.mas_fast.sample(
        *tensors,
        settings.get("guidance", 1.0),
        settings["temperature"],
        None if top_k is None else min(top_k, arrays[0].shape[1]),
        settings["top_p"],
        seed if seed < 1 << 63 else seed - (1 << 64),
        *places,
    )
    token, kept = (tensor.cpu().numpy() for tensor in found)
    yield device, (token, kept)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows x instruction sets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    if options.device == "cuda":
        dispatch.load_library()
    rng, done, total = np.random.default_rng(options.seed), 0, {}
    while done < options.rows:
        full = rng.random() < 0.025
        count, vocab = (16, FULL) if full else (400, int(rng.choice(SIZES)))
        counts = differing(rng, str(rng.choice(KINDS)), count, vocab, options.device)
        done += count * len(counts)
        total = {isa: total.get(isa, 0) + wrong for isa, wrong in counts.items()}
    print(f"{done} rows over {', '.join(total)}: {sum(total.values())} differ")
    return int(any(total.values()))


if __name__ == "__main__":
    sys.exit(main())
