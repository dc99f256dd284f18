"""`python -m benchmarks.gpu_smoke [OP ...]`: every op of ours that has code for GPUs, or those
whose names begin so, once, beside its definition. The exit status is 1 if one is wrong.

An op that fails costs only its own row. Shapes are odd and small, so that compute-sanitizer gets
through it too. Where there is no GPU, the Triton kernels run under TRITON_INTERPRET=1, in fp32, and
what is compiled runs its code for CPUs: a rehearsal of this script."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu_engines import GRAPH, REHEARSAL, share_of_reference, started
from benchmarks.gpu_sampler import CASES, SAMPLE, STEP, Draws, Plan
from benchmarks.versus import Disagreement, Unavailable
from mas_fast import ops
from mas_fast.generation.engine import as_array
from mas_fast.generation.engines import ENGINES, make_engine
from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import preset
from mas_fast.ops import reference
from mas_fast.ops.reference import attention as reference_attention
from mas_fast.ops.reference import cross_entropy as reference_cross_entropy
from mas_fast.ops.reference import label_conv as reference_label_conv

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPES = (torch.bfloat16, torch.float32) if DEVICE == "cuda" else (torch.float32,)
# Of the largest value, against fp64; of weights with fewer bits, against those before.
ALLOWED = {torch.float32: 2e-3, torch.bfloat16: 2e-2}
LINEAR = {"bf16": 2e-2, "fp32": 1e-3, "int8": 2e-2, "fp8": 6e-2, "int4": 0.2}
ROWS = (1, 2, 16, 128)  # of a decode step


def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal values, other ones at each call."""
    return torch.randn(shape).to(DEVICE, dtype)


def error(found: Tensor, wanted: Tensor) -> float:
    """The largest difference over the largest value; NaN if anything is NaN."""
    found, wanted = found.detach().double().cpu(), wanted.detach().double().cpu()
    return float((found - wanted).abs().max() / wanted.abs().max())


def worst(found: Iterable[Tensor], wanted: Iterable[Tensor]) -> float:
    """The largest error of several tensors; NaN if one is."""
    return float(torch.tensor([error(*pair) for pair in zip(found, wanted, strict=True)]).max())


def check(name: str, found: float, allowed: float) -> str:
    if not found <= allowed:
        raise Disagreement(f"{name}: found an error of {found:.2e}, allowed {allowed:.0e}")
    return f"error {found:.1e}, allowed {allowed:.0e}"


def attention(mask: str, dtype: torch.dtype) -> str:
    options = {"text": 9, "grids": [(8, 8)]}
    q, k, v, do = (random(1, 3, 73, 64, dtype=dtype) for _ in range(4))
    exact = [x.double().cpu().requires_grad_() for x in (q, k, v)]
    wanted = reference_attention.attention(*exact, mask=mask, **options)
    leaves = [x.requires_grad_() for x in (q, k, v)]
    out = ops.attention(*leaves, mask=mask, impl="triton", **options)
    wanted = (wanted, *torch.autograd.grad(wanted, exact, do.double().cpu()))
    found = (out, *torch.autograd.grad(out, leaves, do))
    return check("the worst of four", worst(found, wanted), ALLOWED[dtype])


def cross_entropy(dtype: torch.dtype) -> str:
    vocabs, lengths = (40, 700), (5, 12)
    hidden = random(3, sum(lengths), 64, dtype=dtype)
    heads = [random(vocab, 64, dtype=dtype) * 0.1 for vocab in vocabs]
    parts = [torch.randint(v, (3, n)) for v, n in zip(vocabs, lengths, strict=True)]
    targets = torch.cat(parts, 1)

    def every(hidden: Tensor, heads: list[Tensor], loss: Callable, targets: Tensor) -> list[Tensor]:
        tensors = [x.detach().requires_grad_() for x in (hidden, *heads)]
        value = loss(tensors[0], tensors[1:], targets, lengths, weights=[1, 7])[0]
        return [value, *torch.autograd.grad(value, tensors)]

    found = every(
        hidden, heads, partial(ops.stream_cross_entropy, impl="triton"), targets.to(DEVICE)
    )
    wanted = every(
        hidden.double().cpu(),
        [head.double().cpu() for head in heads],
        reference_cross_entropy.stream_cross_entropy,
        targets,
    )
    return check("loss and gradients", worst(found, wanted), ALLOWED[dtype])


def vq_nearest(dtype: torch.dtype) -> str:
    x, codes = random(300, 64, dtype=dtype), random(200, 64, dtype=dtype)
    codes[::7] = codes[1:].repeat(2, 1)[: len(codes[::7])]  # ties
    found = ops.vq_nearest(x, codes, impl="triton")
    wrong = int((found.cpu() != reference.vq_nearest(x.cpu(), codes.cpu())).sum())
    return check("indices that are not the definition's", wrong, 0)


def vq_statistics(dtype: torch.dtype) -> str:
    x, codes = random(300, 64, dtype=dtype), torch.randint(50, (300,))
    found = ops.vq_statistics(x, codes.to(DEVICE), 50, impl="triton")
    wanted = reference.vq_statistics(x.cpu(), codes, 50)
    return check("counts and sums", worst(found, wanted), 1e-6)


def label_conv() -> str:
    labels = torch.randint(30, (2, 17, 23), dtype=torch.uint8)
    edges, weight, bias = torch.rand(2, 17, 23) < 0.2, torch.randn(16, 31, 3, 3), torch.randn(16)
    found = ops.label_conv(*(x.to(DEVICE) for x in (labels, edges, weight, bias)))
    wanted = reference_label_conv.label_conv(labels, edges, weight.double(), bias.double())
    return check("a map", error(found, wanted), 1e-5)


def sampling(name: str, case: str) -> str:
    plan = Plan(vocab=1000, draws=3, checked=3, device=DEVICE)
    draws = Draws(plan, CASES[case], rows=5)
    draws.call(name)()
    draws.check()
    return "the definition's tokens"


def linear(dtype: str) -> str:
    """Close to fp64, and equal bits of a row whatever rows are beside it."""
    if importlib.util.find_spec("mas_fast.kernels.linear") is None:
        raise Unavailable("not there")
    kernel = importlib.import_module("mas_fast.kernels.linear")
    packed = importlib.import_module("mas_fast.kernels.packed_weight")
    kind = torch.bfloat16 if DEVICE == "cuda" else torch.float32
    w, x = random(192, 256) / 16, random(max(ROWS), 256, dtype=kind)
    weight, first = packed.pack(w, dtype), None
    for rows in ROWS:
        out = torch.full((rows, len(w)), float("nan"), dtype=kind, device=DEVICE)
        kernel.linear(x[:rows], weight, out)
        first = out[0] if first is None else first
        # The interpreter multiplies by a library that may sum in another order for more rows.
        if DEVICE == "cuda" and not torch.equal(out[0], first):
            raise Disagreement(f"its first row is another beside {rows - 1} others")
    return check("a product", error(out, x.double() @ w.double().T), LINEAR[dtype])


def engine(dtype: str) -> str:
    """A small model's tokens: the reference's, and the same in windows and alone."""
    if GRAPH not in ENGINES:
        raise Unavailable("not there")
    plan = REHEARSAL
    if DEVICE == "cuda":
        plan = replace(plan, config=preset("storybook"), checked=32)
    kind = torch.bfloat16 if dtype == "bf16" else torch.float32
    model = GPT.create(plan.config, device=DEVICE, dtype=kind)
    made = make_engine(GRAPH, model, dtype=dtype)
    text = plan.config.streams[0]
    prompts = torch.randint(1, text.vocab, (3, text.length)).numpy()

    def drawn(rows: slice, **options) -> np.ndarray:
        stop = text.length + 6
        run = started(made, prompts[rows], seed=1, stop=stop, **options)
        run.advance()
        return as_array(run.tokens)

    three = drawn(slice(3))
    for what, found in (("in windows", drawn(slice(3), speculate=4)), ("alone", drawn(slice(1)))):
        if not (found == three[: len(found)]).all():
            raise Disagreement(f"other tokens {what}")
    differing = 1 - share_of_reference(plan, made, model.float())
    return check("share of tokens unlike the reference's", differing, 0.1)


def cases() -> Iterator[tuple[str, Callable[[], str]]]:
    """Every check, by its name."""
    for dtype in DTYPES:
        kind = str(dtype).removeprefix("torch.")
        for mask in reference_attention.MASKS:
            yield f"attention, {mask}, {kind}", partial(attention, mask, dtype)
        yield f"stream_cross_entropy, {kind}", partial(cross_entropy, dtype)
        yield f"vq_nearest, {kind}", partial(vq_nearest, dtype)
        yield f"vq_statistics, {kind}", partial(vq_statistics, dtype)
    yield "label_conv", label_conv
    for case in CASES:
        yield f"sample, {case}", partial(sampling, SAMPLE, case)
        yield f"sample_step, {case}", partial(sampling, STEP, case)
    for name in LINEAR:
        if name != "bf16" or DEVICE == "cuda":
            yield f"linear, {name}", partial(linear, name)
    for name in ("bf16", "fp32") if DEVICE == "cuda" else ("fp32",):
        yield f"engine {GRAPH}, {name}", partial(engine, name)


def main(only: Sequence[str]) -> int:
    """Run the cases whose names begin with one of `only`; without any, all."""
    torch.manual_seed(time.time_ns() % (1 << 31))  # fresh values each time
    print("seed", torch.initial_seed(), "device", DEVICE)
    wrong = 0
    for name, case in cases():
        if not name.startswith(tuple(only) or ""):
            continue
        start = time.perf_counter()
        try:
            said = f"ok      {case()}"
        except Unavailable as reason:
            said = f"-       {reason}"
        except Exception as problem:
            wrong += 1
            said = f"FAILED  {type(problem).__name__}: {problem}"
        print(f"{name:36} {time.perf_counter() - start:6.1f} s  {said}", flush=True)
    print(f"{wrong} failed")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
