"""The sampler: its definition (reference/sampling.py), the torch op, and the C++ core's binding.

The oracle here is written apart from sampling.py: numpy's lexsort, numpy's own exp, integer sums.
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from built import IMPLS, needs_engine, needs_torch_library
from mas_fast import ops
from mas_fast.ops import reference
from mas_fast.utils import native

GOLDEN = Path(__file__).parents[1] / "fixtures" / "sampler_golden.json"
INF = math.inf


def draw(logits, *, seed=0, sample=0, position=0, uncond=None, guidance=1.0, temperature=1.0,
         top_k=None, top_p=None):  # fmt: skip
    """Token and kept set of the torch op, without the checks of ops.sample."""
    ops.load_library()
    rows = len(logits)
    words = [
        value if isinstance(value, torch.Tensor) else torch.full((rows,), value)
        for value in (sample, position)
    ]
    signed = seed if seed < 1 << 63 else seed - (1 << 64)
    return torch.ops.mas_fast.sample(
        logits, uncond, guidance, temperature, top_k, top_p, signed, *words
    )


# ---- the definition, frozen --------------------------------------------------------------------


def golden_logits(row: int, vocab: int) -> torch.Tensor:
    """fp32 [vocab] in -8..8 from integers alone, with ties."""
    bits = [((token + 1) * 2654435761 + row * 40503 & 0xFFFFFFFF) >> 16 for token in range(vocab)]
    return torch.tensor(bits, dtype=torch.int32).float() * 2.0**-12 - 8


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("case", json.loads(GOLDEN.read_text()), ids=lambda case: case["name"])
def test_golden(case, impl):
    logits = golden_logits(case["row"], case["vocab"])[None]
    uncond = golden_logits(case["row"] + 100, case["vocab"])[None] if case["uncond"] else None
    arguments = {"uncond": uncond} | case["arguments"]
    assert ops.sample(logits, impl=impl, **arguments).item() == case["token"]

    if impl == "reference":
        shaping = {k: arguments[k] for k in ("temperature", "top_k", "top_p") if k in arguments}
        logit = reference.guided_logits(
            logits, uncond, arguments.get("guidance", 1.0), shaping.get("temperature", 1.0)
        )
        kept = reference.kept_mask(logit, **shaping)
    else:
        kept = draw(logits, **arguments)[1]
    assert int(kept.sum()) == case["kept"]
    assert zlib.crc32(kept.numpy().tobytes()) == case["crc32"]


# ---- kept sets against an oracle ---------------------------------------------------------------


def adversarial(kind: int, rows: int, vocab: int, rng: np.random.Generator) -> np.ndarray:
    """fp32 [rows, vocab]: ties, infinities, one-hot, an ulp apart, signed zeros, huge, denormal."""
    normal = rng.standard_normal((rows, vocab)).astype(np.float32)
    whole = rng.integers(0, 4, (rows, vocab))
    match kind:
        case 0:
            logits = 3 * normal
        case 1:
            logits = whole
        case 2:
            logits = np.where(whole == 0, -np.inf, normal)
        case 3:
            logits = np.where(whole == 0, np.inf, normal)
        case 4:  # one-hot
            logits = np.where(np.arange(vocab) == rng.integers(0, vocab, (rows, 1)), 0, -np.inf)
        case 5:
            logits = np.where(whole < 2, 0.0, -0.0)
        case 6:
            logits = 1 + whole * 2.0**-23
        case 7:  # weights from 2**40 down to 0
            logits = -rng.integers(0, 60, (rows, vocab))
        case 8:
            logits = normal * 1e30
        case 9:
            logits = whole * 2.0**-149
        case 10:
            logits = np.full((rows, vocab), -np.inf)
        case _:
            logits = np.where(whole == 0, 1e4, normal)
    return logits.astype(np.float32)


def oracle_kept(logit: np.ndarray, temperature, top_k, top_p) -> np.ndarray:
    """bool [rows, vocab] for guided logits, by sorting."""
    rows, vocab = logit.shape
    ids = np.broadcast_to(np.arange(vocab), logit.shape)
    kept = np.zeros(logit.shape, bool)
    order = np.lexsort((ids, -logit.astype(np.float64)))
    if np.float32(temperature) == 0:
        np.put_along_axis(kept, order[:, :1], True, 1)
        return kept
    top = logit.max(1, keepdims=True)
    np.put_along_axis(kept, order[:, : min(top_k or vocab, vocab)], True, 1)
    if top_p is None:
        return kept
    with np.errstate(invalid="ignore"):
        exp = np.exp(logit.astype(np.longdouble) - top.astype(np.longdouble))
    weight = np.where(logit == top, 1 << 40, np.rint(np.nan_to_num(exp) * 2**40)).astype(np.int64)
    order = np.lexsort((ids, -weight, ~kept))
    prefix = np.take_along_axis(np.where(kept, weight, 0), order, 1).cumsum(1)
    reached = prefix.astype(np.float64) >= np.float64(top_p) * prefix[:, -1:].astype(np.float64)
    np.put_along_axis(kept, order, np.arange(vocab) <= reached.argmax(1)[:, None], 1)
    return kept


def settings_of(index: int, vocab: int, rng: np.random.Generator) -> dict:
    return {
        "temperature": [1.0, 1.0, 0.0, 0.7, 30.0][index % 5],
        "top_k": [None, None, 1, 2, vocab, vocab + 1, int(rng.integers(1, vocab + 1))][index % 7],
        "top_p": [None, 1.0, 0.5, 0.9, 1e-9, 5e-324, 1 - 2.0**-53, float(rng.random() + 1e-9)][
            index % 8
        ],
    }


@needs_torch_library
def test_kept_set_against_oracle():
    """3360 batches of 32 rows; every fourth also against the reference, tokens included."""
    rng = np.random.default_rng(5)
    rows, checked = 32, 0
    for index in range(3360):
        vocab = [1, 2, 3, 7, 16, 33, 64][index // 12 % 7] if index % 100 else 1500
        shape = settings_of(index, vocab, rng)
        logits = torch.from_numpy(adversarial(index % 12, rows, vocab, rng))
        where = {
            "seed": int(rng.integers(0, 1 << 64, dtype=np.uint64)),
            "sample": torch.from_numpy(rng.integers(0, 1 << 32, rows)),
            "position": torch.from_numpy(rng.integers(0, 1 << 32, rows)),
        }
        token, kept = draw(logits, **where, **shape)
        t = np.float32(shape["temperature"])
        with np.errstate(over="ignore"):
            logit = logits.numpy() if t == 0 else logits.numpy() / t
        np.testing.assert_array_equal(kept, oracle_kept(logit, **shape), err_msg=f"batch {index}")
        assert kept.gather(1, token[:, None]).all()
        if index % 4 == 0:
            assert torch.equal(token, ops.sample(logits, impl="reference", **where, **shape))
        checked += rows
    assert checked >= 100_000


@needs_torch_library
@pytest.mark.parametrize("vocab", [5, 1024, 16384])
def test_guidance_equals_reference(vocab):
    g = torch.Generator().manual_seed(vocab)
    cond, uncond = torch.randn(2, 6, vocab, generator=g) * 3
    for index in range(8):
        shape = settings_of(index, vocab, np.random.default_rng(index))
        shape |= {"uncond": uncond, "guidance": [3.0, 0.0, -1.5, 1.0][index % 4], "seed": index}
        want = ops.sample(cond, impl="reference", **shape)
        assert torch.equal(ops.sample(cond, impl="cpp", **shape), want)


@needs_torch_library
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same():
    """Bit for bit the CPU's tokens and kept sets, and the reference's tokens on the device."""
    assert ops.default_impl("cuda") == "cuda"
    rng = np.random.default_rng(13)
    for index in range(360):
        vocab = [1, 3, 16, 65, 1027, 16384][index // 12 % 6]
        cond, uncond = (torch.from_numpy(adversarial(index % 12, 4, vocab, rng)) for _ in range(2))
        arguments = settings_of(index, vocab, rng) | {
            "seed": int(rng.integers(0, 1 << 64, dtype=np.uint64)),
            "sample": torch.from_numpy(rng.integers(0, 1 << 32, 4)),
            "position": torch.from_numpy(rng.integers(0, 1 << 32, 4)),
        }
        if index % 12 < 2:  # finite logits: no inf - inf
            arguments |= {"uncond": uncond, "guidance": 2.5}
        moved = {
            name: value.cuda() if isinstance(value, torch.Tensor) else value
            for name, value in arguments.items()
        }
        for ours, theirs in zip(draw(cond.cuda(), **moved), draw(cond, **arguments), strict=True):
            assert torch.equal(ours.cpu(), theirs), f"batch {index}"
        if index % 6 == 0:
            want = ops.sample(cond.cuda(), impl="reference", **moved)
            assert torch.equal(ops.sample(cond.cuda(), impl="cuda", **moved), want)


@needs_engine
def test_every_isa_gives_the_same():
    engine = native.engine()
    rng = np.random.default_rng(11)
    for index in range(240):
        vocab = [1, 3, 16, 65, 1027, 4096][index % 6]
        cond, uncond = (adversarial(index % 2, 2, vocab, rng) for _ in range(2))
        if index % 3:
            cond, uncond = adversarial(index % 12, 2, vocab, rng), None
        arguments = settings_of(index, vocab, rng) | {
            "seed": int(rng.integers(0, 1 << 64, dtype=np.uint64)),
            "sample": int(rng.integers(0, 1 << 32)),
            "position": int(rng.integers(0, 1 << 32)),
            "guidance": 1.0 if uncond is None else 2.5,
        }
        want = ops.sample(
            torch.from_numpy(cond),
            uncond=None if uncond is None else torch.from_numpy(uncond),
            impl="reference",
            **arguments,
        )
        results = [engine.sample(cond, uncond, isa=i, **arguments) for i in engine.supported_isas()]
        for token, kept in results:
            np.testing.assert_array_equal(token, want)
            np.testing.assert_array_equal(kept, results[0][1])


# ---- what the token depends on -----------------------------------------------------------------


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(
    "shape",
    [{}, {"top_k": 5}, {"top_p": 0.8}, {"guidance": 2.0, "temperature": 0.8}],
    ids=["plain", "top_k", "top_p", "guided"],
)
def test_frequencies(shape, impl):
    """Chi-square against the softmax over the kept set; dropped tokens are never drawn."""
    from scipy.stats import chisquare

    count = 8000 if impl == "reference" else 60000
    g = torch.Generator().manual_seed(3)
    cond, uncond = torch.randn(2, 1, 14, generator=g)
    uncond = uncond if "guidance" in shape else None
    logit = reference.guided_logits(
        cond, uncond, shape.get("guidance", 1.0), shape.get("temperature", 1.0)
    )
    kept = reference.kept_mask(logit, top_k=shape.get("top_k"), top_p=shape.get("top_p"))[0]
    for where in ("position", "sample"):
        token = ops.sample(
            cond.expand(count, -1),
            uncond=None if uncond is None else uncond.expand(count, -1),
            seed=42,
            impl=impl,
            **{where: torch.arange(count)},
            **shape,
        )
        found = torch.bincount(token, minlength=14)
        assert (found[~kept] == 0).all()
        expected = logit[0].double().masked_fill(~kept, -INF).softmax(0) * count
        assert chisquare(found[kept].numpy(), expected[kept].numpy()).pvalue > 1e-3


@pytest.mark.parametrize("impl", IMPLS)
def test_rows_are_independent_of_the_batch(impl):
    g = torch.Generator().manual_seed(1)
    logits = torch.randn(9, 700, generator=g)
    at = {"sample": torch.arange(9) % 3, "position": 100 + torch.arange(9)}
    arguments = {"seed": 8, "top_k": 50, "top_p": 0.9, "impl": impl}
    together = ops.sample(logits, **at, **arguments)
    for order in ([4], [8, 0], [3, 1, 4, 1, 5]):
        part = {name: words[order] for name, words in at.items()}
        assert torch.equal(ops.sample(logits[order], **part, **arguments), together[order])
    assert ops.sample(logits[:0], seed=0, impl=impl).shape == (0,)


@pytest.mark.parametrize("impl", IMPLS)
def test_seed_sample_and_position_all_matter(impl):
    def tokens(**where):
        return ops.sample(torch.zeros(1, 4096), impl=impl, **where).item()

    wheres = [{"seed": 0}, {"seed": 1}, {"seed": 1 << 32}, {"seed": 0, "sample": 1}]
    wheres += [{"seed": 0, "position": 1}, {"seed": (1 << 64) - 1}]
    assert len({tokens(**where) for where in wheres}) == len(wheres)


@pytest.mark.parametrize("impl", IMPLS)
def test_inputs_of_any_layout_and_float_type(impl):
    logits = torch.randn(64, 6, dtype=torch.bfloat16, generator=torch.Generator().manual_seed(0)).T
    before = logits.clone()
    want = ops.sample(logits.float().contiguous(), seed=5, impl="reference")
    assert torch.equal(ops.sample(logits, seed=5, impl=impl), want)
    position = torch.zeros(12, dtype=torch.int64)[::2]
    assert torch.equal(ops.sample(logits, seed=5, position=position, impl=impl), want)
    assert torch.equal(logits, before)
