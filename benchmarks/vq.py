"""Subject "vq": the nearest of 16,384 codes of 256 channels, beside torch.cdist, addmm with an
argmin, vector-quantize-pytorch and, on a GPU, flash-kmeans.

On a CPU 4,096 rows, of two kinds: normal rows and codes, and clustered ones, where codes crowd
around a few centres and rows lie near codes, as in a trained codebook. Every tenth code is there
twice, so that ties are checked too. Where there is a GPU: 262,144 rows in bf16 and fp32 instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from benchmarks import goals, memory, results
from benchmarks.goals import Goal
from benchmarks.gpu import Guard
from benchmarks.threads import on_threads
from benchmarks.versus import Contestant, Disagreement, Match, Unavailable, calls, measure
from mas_fast import ops
from mas_fast.ops import reference
from mas_fast.utils import native

OURS, FAST = "mas_fast exact", "mas_fast fast"
CDIST, ADDMM = "torch.cdist + argmin", "torch.addmm + argmin"
VQP, KMEANS = "vector-quantize-pytorch, eval", "flash-kmeans assign"
KINDS = ("normal", "clustered")
CHUNKS = (128, 256, 512, 1024, 4096, 32768)  # rows that addmm takes at once
AT_ONCE = 32768  # rows that vector-quantize-pytorch takes on a GPU: all distances would not fit


@dataclass(frozen=True)
class Plan:
    rows: int = 4096
    codes: int = 16384
    channels: int = 256
    units: int = 2
    blocks: int = 12
    threads: int = 2
    checked: int = 256  # rows, against the definition; all are against distances in fp64
    device: str = "cpu"
    impl: str | None = None  # of ours; None: the fastest one of the device

    @property
    def on_gpu(self) -> bool:
        """Whether these are the cases of a GPU."""
        return self.device == "cuda" or self.impl == "triton"


GPU = Plan(rows=1 << 18, units=5, device="cuda")
REHEARSAL = Plan(
    rows=70, codes=200, channels=12, units=1, blocks=2, threads=1, checked=70, impl="triton"
)


def run(plan: Plan | None = None, measure: Callable[..., Match] = measure) -> dict:
    """Measure all cases.

    Args:
        plan: what to do; None takes that of this machine.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Disagreement: if ours is wrong.
    """
    plan = plan or (GPU if torch.cuda.is_available() else Plan())
    peaks: dict[str, int | None] = {}
    guard, isa = Guard(), None
    with on_threads(plan.threads):
        if not plan.on_gpu:
            isa = native.engine().active_isa()
            matches = {f"{kind}, fp32": cpu_match(plan, kind, measure) for kind in KINDS}
            peaks = {name: peak_bytes(name, plan) for name in (OURS, CDIST, ADDMM, VQP)}
            outcomes = cpu_goals(plan, matches, peaks)
        else:
            matches = {
                str(dtype)[6:]: gpu_match(plan, dtype, measure, guard)
                for dtype in (torch.bfloat16, torch.float32)
            }
            outcomes = gpu_goals(plan, *matches.values())
    return {
        **results.provenance(),
        "plan": vars(plan),
        "isa": isa,
        "broken": guard.broken,
        "peak_bytes": peaks,
        "matches": {case: match.to_dict() for case, match in matches.items()},
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [table(plan, matches, peaks), goals.table(outcomes)],
    }


# ---------------------------------------------------------------------------- contestants


def make(plan: Plan, kind: str) -> tuple[Tensor, Tensor]:
    """Make rows and codes.

    Args:
        plan: how many of each.
        kind: "normal", or "clustered": 64 centres, codes around them at 0.3 of their distance, rows
            at half of that from a code.

    Returns:
        Rows [N, D] and codes [K, D] in fp32.
    """
    generator = torch.Generator().manual_seed(0)

    def normal(count: int) -> Tensor:
        return torch.randn(count, plan.channels, generator=generator)

    def pick(count: int, of: int) -> Tensor:
        return torch.randint(of, (count,), generator=generator)

    x, codes = normal(plan.rows), normal(plan.codes)
    if kind == "clustered":
        codes = normal(64)[pick(plan.codes, 64)] + 0.3 * codes
        x = codes[pick(plan.rows, plan.codes)] + 0.15 * x
    codes[::10] = codes[pick(len(codes[::10]), plan.codes)]
    return x, codes


def cdist(x: Tensor, codes: Tensor) -> Tensor:
    return torch.cdist(x, codes).argmin(1)


def addmm(x: Tensor, codes: Tensor, chunk: int) -> Tensor:
    """Find the nearest codes in the usual way without all distances at once."""
    squares = codes.square().sum(1)
    parts = [torch.addmm(squares, part, codes.T, alpha=-2).argmin(1) for part in x.split(chunk)]
    return torch.cat(parts)


def fastest_chunk(x: Tensor, codes: Tensor) -> int:
    def seconds(chunk: int) -> float:
        addmm(x, codes, chunk)
        synchronize(x)
        start = time.perf_counter()
        addmm(x, codes, chunk)
        synchronize(x)
        return time.perf_counter() - start

    return min((chunk for chunk in CHUNKS if chunk <= max(len(x), CHUNKS[0])), key=seconds)


def quantizer(codes: Tensor) -> Callable[[Tensor], Tensor]:
    """Return vector-quantize-pytorch's module in eval mode as a function of rows [N, D]."""
    try:
        from vector_quantize_pytorch import VectorQuantize
    except ImportError as error:
        raise Unavailable("not installed: pip install vector-quantize-pytorch") from error
    module = VectorQuantize(dim=codes.shape[1], codebook_size=len(codes)).to(codes.device).eval()
    module.codebook = codes

    def call(x: Tensor) -> Tensor:
        return torch.cat([module(part[None])[1][0] for part in x.split(AT_ONCE)])

    return call


def kmeans(codes: Tensor) -> Callable[[Tensor], Tensor]:
    try:
        from flash_kmeans import euclid_assign_triton
    except ImportError as error:
        raise Unavailable("not installed: pip install flash-kmeans") from error
    c_sq = codes.float().square().sum(1)[None]

    def call(x: Tensor) -> Tensor:
        x_sq = x.float().square().sum(1)[None]
        return euclid_assign_triton(x[None], codes[None], x_sq, c_sq=c_sq)[0]

    return call


def function(
    name: str, x: Tensor, codes: Tensor, impl: str | None = None
) -> Callable[[Tensor], Tensor]:
    """Return the contestant's function for these codes.

    Args:
        name: the contestant.
        x: rows [N, D], of the size that it will get.
        codes: [K, D].
        impl: of ours.

    Returns:
        f(rows) -> ids.

    Raises:
        Unavailable: if the contestant is not installed.
    """
    match name:
        case "mas_fast exact":
            return partial(ops.vq_nearest, codebook=codes, impl=impl)
        case "mas_fast fast":
            return partial(ops.vq_nearest, codebook=codes, exact=False, impl=impl)
        case "torch.cdist + argmin":
            return partial(cdist, codes=codes)
        case "torch.addmm + argmin":
            return partial(addmm, codes=codes, chunk=fastest_chunk(x, codes))
    return quantizer(codes) if name == VQP else kmeans(codes)


def contestant(name: str, plan: Plan, x: Tensor, codes: Tensor) -> Contestant:
    def missing(reason: str) -> None:
        raise Unavailable(reason)

    try:
        call = function(name, x, codes, plan.impl)
    except Unavailable as error:
        reason = str(error)
        return Contestant(name, lambda: missing(reason), lambda: missing(reason))

    @torch.inference_mode()
    def timed() -> None:
        call(x)
        synchronize(x)

    verify = partial(check, name, plan, call, x, codes) if name in (OURS, FAST) else timed
    return calls(name, timed, plan.units, verify)


def check(name: str, plan: Plan, call: Callable, x: Tensor, codes: Tensor) -> None:
    """Check the codes that a contestant finds.

    Exact: the definition's indices, and no code of any row nearer in fp64. Fast: none nearer by
    more than fp16 tells apart.

    Args:
        name: the contestant.
        plan: how many rows are compared with the definition.
        call: finds the codes.
        x: rows [N, D].
        codes: [K, D].

    Raises:
        Disagreement: if a code is wrong.
    """
    result = call(x)
    margin = 1e-9 if name == OURS else 1e-2
    wide = codes.double()
    for part, ids in zip(x.split(1024), result.split(1024), strict=True):
        distances = torch.cdist(part.double(), wide).square()
        chosen = distances.gather(1, ids[:, None])[:, 0]
        least = distances.amin(1)
        if not (chosen <= least * (1 + margin) + 1e-6).all():
            raise Disagreement(f"{name}: a code is nearer than the one found")
    if name == OURS:
        want = reference.vq_nearest(x[: plan.checked], codes)
        wrong = int((result[: plan.checked] != want).sum())
        if wrong:
            raise Disagreement(f"{name}: {wrong} of {plan.checked} indices are not the fp64 argmin")


def synchronize(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize()


def cpu_match(plan: Plan, kind: str, measure: Callable[..., Match]) -> Match:
    x, codes = make(plan, kind)
    names = (OURS, CDIST, ADDMM, VQP)
    return measure([contestant(name, plan, x, codes) for name in names], plan.blocks)


def gpu_match(plan: Plan, dtype: torch.dtype, measure: Callable[..., Match], guard: Guard) -> Match:
    x, codes = (tensor.to(plan.device, dtype) for tensor in make(plan, "normal"))
    ours = [contestant(name, plan, x, codes) for name in (OURS, FAST)]
    peers = (KMEANS, VQP if dtype == torch.float32 else ADDMM)
    guarded = [guard(contestant(name, plan, x, codes)) for name in peers]
    return measure([*ours, *guarded], plan.blocks)


# ---------------------------------------------------------------------------- memory


class Memory:
    """Runs in a process of its own: `peak` is what one call adds at most, in bytes."""

    def __init__(self, name: str, plan: dict) -> None:
        self.plan = Plan(**plan)
        torch.set_num_threads(self.plan.threads)
        self.x, codes = make(self.plan, "normal")
        small, few = make(replace(self.plan, rows=64, codes=64), "normal")
        with torch.inference_mode():
            function(name, small, few)(small)  # loads the code
        self.call = function(name, self.x[:64], codes)

    def peak(self) -> int:
        with torch.inference_mode():
            return memory.added_bytes(lambda: self.call(self.x))


def peak_bytes(name: str, plan: Plan) -> int | None:
    """Return `Memory.peak` of a process of its own; None where the system does not tell."""
    return memory.in_a_process("benchmarks.vq:Memory", plan.threads, name=name, plan=vars(plan))


def packed_bytes(plan: Plan) -> int:
    """Return the bytes of the packed codebook of the C++ kernel.

    It has a byte for each value and four floats for each code.
    """
    return -(-plan.codes // 64) * 64 * (-(-plan.channels // 4) * 4 + 16)


# ---------------------------------------------------------------------------- results


def cpu_goals(plan: Plan, matches: dict[str, Match], peaks: dict[str, int | None]) -> list[Goal]:
    outcomes = []
    for case, match in matches.items():
        ratios = [match.ratio(OURS, peer) for peer in match.samples if peer != OURS]
        best = max(ratios, key=lambda ratio: ratio.value)
        detail = f"{1 / best.high:.2f}..{1 / best.low:.2f}"
        text = f"{case}: times as fast as the best peer"
        outcomes.append(Goal(text, 1 / best.value, 2, at_most=False, detail=detail))
    percent, detail = None, ""
    if peaks[OURS] is not None:
        packed, all_distances = packed_bytes(plan), 4 * plan.rows * plan.codes
        percent = 100 * max(peaks[OURS] - packed, 0) / all_distances
        detail = f"{peaks[OURS] / 1e6:.1f} MB, of which the packed codebook {packed / 1e6:.1f}"
    text = "extra memory in percent of N x K x 4 bytes, the packed codebook aside"
    return [*outcomes, Goal(text, percent, 1, detail=detail)]


def gpu_goals(plan: Plan, bf16: Match, fp32: Match) -> list[Goal]:
    def times(match: Match, ours: str, peer: str, limit: float, dtype: str) -> Goal:
        text = f"GPU, {dtype}: {ours}, times as fast as {peer}"
        if peer not in match.samples:
            return Goal(text, None, limit, at_most=False, detail=match.missing[peer])
        return Goal(text, 1 / match.ratio(ours, peer).value, limit, at_most=False)

    operations = 2 * plan.rows * plan.codes * plan.channels
    outcomes = [
        Goal(f"GPU, bf16: {name}, TFLOP/s", operations / bf16.median(name) / 1e12, 450, False)
        for name in (FAST, OURS)
    ]
    outcomes.append(times(bf16, OURS, KMEANS, 1.8, "bf16"))
    outcomes.append(times(fp32, OURS, VQP, 10, "fp32"))
    for dtype, match in (("bf16", bf16), ("fp32", fp32)):
        text = f"GPU, {dtype}: time of exact over fast"
        outcomes.append(Goal(text, match.ratio(OURS, FAST).value, 1.25))
    return outcomes


def table(plan: Plan, matches: dict[str, Match], peaks: dict[str, int | None]) -> dict:
    rows = []
    for case, match in matches.items():
        for name in match.samples:
            low, high = (1e3 * seconds for seconds in match.spread(name))
            row = [case, name, 1e3 * match.median(name), f"{low:.2f}..{high:.2f}"]
            ratio = match.ratio(OURS, name) if name != OURS else None
            row += [ratio.value, ratio.verdict] if ratio else [None, None]
            peak = peaks.get(name)
            rows.append([*row, None if peak is None else peak / 1e6])
        rows += [
            [case, name, None, reason, None, None, None] for name, reason in match.missing.items()
        ]
    columns = ["", "", "ms", "quartiles", "ours over it", "ours is", "peak MB"]
    title = f"vq: {plan.rows} rows, {plan.codes} codes, {plan.channels} channels, {plan.device}"
    title += f", {plan.threads} threads" if plan.device == "cpu" else ""
    return {"title": title, "columns": columns, "rows": rows}
