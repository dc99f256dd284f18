"""Subject "gpu_decode": microseconds a token of the 271M GPT on an NVIDIA GPU, one picture at a
time with guidance (two rows), and the milliseconds of a picture.

1. Tokens 65..576: our engine in each of its dtypes beside the eager engine; the rate at which
   memory is read takes turns with them.
2. Windows of guesses: passes of each width halfway in the scene and in the picture. Weights are
   random, so the acceptance of guesses is replayed, as in "picture": passes are taken as often as
   the model that ships needs them. With the caption and the decoders that is a picture.
3. Ours beside a loop over static buffers that torch.compile compiles and a CUDA graph holds
   (peers/static_kv.py). It comes last, since compiling it takes the longest."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial

import torch

from benchmarks import goals, gpu, results
from benchmarks.goals import Goal
from benchmarks.gpu_engines import (
    COMPILED,
    EAGER,
    GRAPH,
    READ,
    REHEARSAL,
    Model,
    Plan,
    beside_compiled,
    contestants,
    ours,
    started,
    step_bytes,
)
from benchmarks.picture import STREAMS, label, parts_of, passes_by_stream
from benchmarks.versus import Block, Contestant, Disagreement, Match, calls, measure
from mas_fast.bundle import shipped
from mas_fast.generation.cpp import CppEngine
from mas_fast.generation.engine import Run, as_array
from mas_fast.models.torch_codec import decode_pictures, decode_scenes
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae import preset as vq_preset

__all__ = ["REHEARSAL", "run"]

MICROSECONDS = 166  # a token in bf16: 65% of the read rate of an H200, by arithmetic


def run(plan: Plan | None = None, measure: Callable[..., Match] = measure) -> dict:
    """Measure all engines, then windows and decoders.

    Args:
        plan: what to do; None takes that of a GPU.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Unavailable: if there is no GPU that can run it; gives the reason.
    """
    if plan is None:
        gpu.require()
        plan = Plan()
    guard, agreed = gpu.Guard(), {}
    with tempfile.TemporaryDirectory() as folder:
        model = Model(plan, folder)
        tokens = measure(
            [guard(each) for each in contestants(model, 1, agreed)], plan.images * plan.blocks
        )
        dtypes = [dtype for dtype in plan.dtypes if ours(dtype) in tokens.samples]
        players = [guard(each) for each in windows(model, dtypes)]
        passes = measure([*players, *(guard(each) for each in decoders(plan))], plan.rounds)
        beside = measure(
            [guard(each) for each in beside_compiled(model, 1, agreed)], plan.images * plan.blocks
        )
    shares = acceptance(plan, guard)
    parts = {
        dtype: parts_of(dtype, passes, shares, plan.config.streams, plan.widths)
        for dtype in dtypes
        if shares
        and not any(name.startswith(f"{dtype}, ") for name in passes.missing)
        and {"decoder of scenes", "decoder of pictures"} <= passes.samples.keys()
    }
    outcomes = [*goals_of(plan, tokens, beside), *goals_of_pictures(plan, parts)]
    return {
        **results.provenance(),
        "gpu": gpu.name(plan.device),
        "plan": plan.to_dict(),
        "tokens as the reference": agreed,
        "broken": guard.broken,
        "match": tokens.to_dict(),
        "beside compiled": beside.to_dict(),
        "passes": passes.to_dict(),
        "passes over tokens": {n: {str(w): v for w, v in by.items()} for n, by in shares.items()},
        "parts": parts,
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [
            table(plan, tokens, 1),
            table(plan, beside, 1),
            *([table_of_passes(plan, passes, dtypes)] if dtypes else []),
            *([table_of_parts(parts)] if parts else []),
            goals.table(outcomes),
        ],
    }


# ---------------------------------------------------------------------------- windows


def acceptance(plan: Plan, guard: gpu.Guard) -> dict[str, dict[int, float]]:
    """Count the passes over tokens of the model that ships; none where the C++ engine is not."""
    try:
        engine = CppEngine(shipped(), dtype="int8")
    except ImportError as error:
        guard.broken["acceptance of guesses"] = str(error)
        return {}
    return passes_by_stream(engine, plan.captions)


class Passes:
    """Passes of one width from halfway in a stream to its end."""

    def __init__(self, model: Model, dtype: str, stream: str, width: int) -> None:
        self.model, self.dtype, self.width = model, dtype, width
        place = model.plan.config.streams.slice(stream)
        self.start, self.stop = (place.start + place.stop) // 2, place.stop
        self.count = 0

    def begin(self, engine: str, dtype: str, width: int) -> Run:
        plan = self.model.plan
        forced = [-1] * plan.config.streams.length
        prompt = self.model.prompts(1)[0].tolist()
        forced[: self.start] = [*prompt, *[1] * (self.start - len(prompt))]
        made = self.model.engine(engine, dtype)
        run = started(made, prompt, seed=3, forced=forced, stop=self.stop, speculate=width)
        run.advance(1)
        return run

    def check(self) -> None:
        """Count the passes, and compare the tokens.

        The eager engine tells of each pass; ours, which does several before the host looks, needs
        as many for the same guesses.

        Raises:
            Disagreement: if the width changes a token of ours.
        """
        ends: list[int] = []
        eager = self.begin(EAGER, self.model.plan.dtypes[0], self.width)
        eager.advance(0, lambda position, stop: ends.append(position))
        self.count = len(ends)
        wanted, found = (self.begin(GRAPH, self.dtype, width) for width in (1, self.width))
        wanted.advance()
        found.advance()
        wrong = int((as_array(found.tokens) != as_array(wanted.tokens)).sum())
        if wrong:
            raise Disagreement(f"found {wrong} other tokens than at width 1")

    def block(self) -> Block:
        run = self.begin(GRAPH, self.dtype, self.width)
        (seconds,) = gpu.seconds(self.model.plan.device, [run.advance], ahead=False)
        return Block("", (seconds / self.count,))


def windows(model: Model, dtypes: list[str]) -> list[Contestant]:
    """Make the passes of all widths, and the reading of a caption."""

    def read_caption(dtype: str) -> None:
        started(model.engine(GRAPH, dtype), model.prompts(1), seed=3).advance(1)
        gpu.settle(model.plan.device)

    crew = []
    for dtype in dtypes:
        call = partial(read_caption, dtype)
        crew.append(calls(f"{dtype}, caption", call, 1, call))
        for stream in STREAMS:
            for width in model.plan.widths:
                passes = Passes(model, dtype, stream, width)
                crew.append(Contestant(label(dtype, stream, width), passes.block, passes.check))
    return crew


def decoders(plan: Plan) -> list[Contestant]:
    """Make the decoders, from tokens on the device to pixels in numpy."""
    crew = []
    for kind, name, decode in zip(
        ("scenes", "pictures"), plan.decoders, (decode_scenes, decode_pictures), strict=True
    ):
        model = VQVAE.create(vq_preset(name), device=plan.device).eval()
        side = model.config.resolution // model.config.f
        codes = torch.randint(model.config.codes, (1, side, side), device=plan.device)
        call = partial(decode, model, codes)
        crew.append(calls(f"decoder of {kind}", call, 3, call))
    return crew


# ---------------------------------------------------------------------------- results


def goals_of(plan: Plan, match: Match, beside: Match) -> list[Goal]:
    """Make the goals of one picture at a time.

    Args:
        plan: what was done.
        match: the engines'.
        beside: that with the compiled loop.

    Returns:
        The goals.
    """
    first = ours(plan.dtypes[0])
    outcomes = [
        times(beside, first, COMPILED, 2.0),
        times(match, first, f"{EAGER} {plan.dtypes[0]}", 15.0),
        share_of_read(plan, match, first, 1, 0.65),
        microseconds(match, first, MICROSECONDS),
    ]
    outcomes += [times(match, ours(dtype), first, 1.35) for dtype in plan.dtypes[1:]]
    for dtype in plan.dtypes:
        text = f"{ours(dtype)}: the last tokens' time over the first ones'"
        figure = None
        if ours(dtype) in match.samples:
            spans = [*match.spans(ours(dtype)).values()]
            figure = spans[-1] / spans[0]
        outcomes.append(Goal(text, figure, 1.3))
    return outcomes


def goals_of_pictures(plan: Plan, parts: dict[str, dict[str, float]]) -> list[Goal]:
    """Make the goals of windows and of a whole picture."""
    outcomes = []
    count = sum(plan.config.streams[name].length for name in STREAMS)
    for dtype in plan.dtypes[:2]:
        known = parts.get(dtype)
        token = known and 1e6 * sum(known[name] for name in STREAMS) / count
        whole = known and 1e3 * sum(known.values())
        outcomes.append(Goal(f"{dtype}, windows replayed: us a token", token, 60))
        outcomes.append(Goal(f"{dtype}, windows replayed: ms a picture", whole, 60))
    return outcomes


def times(match: Match, name: str, peer: str, limit: float) -> Goal:
    """Make a goal: how many times as fast as a peer."""
    text = f"{name}: times as fast as {peer}"
    missing = [match.missing.get(n, "") for n in (name, peer) if n not in match.samples]
    if missing:
        return Goal(text, None, limit, at_most=False, detail=missing[0])
    ratio = match.ratio(name, peer)
    detail = f"{1 / ratio.high:.2f}..{1 / ratio.low:.2f}"
    return Goal(text, 1 / ratio.value, limit, at_most=False, detail=detail)


def share_of_read(plan: Plan, match: Match, name: str, batch: int, limit: float) -> Goal:
    """Make a goal: the bytes that a step must read, over its time, beside the read rate."""
    text = f"{name}: share of the read rate"
    if name not in match.samples or READ not in match.samples:
        return Goal(text, None, limit, at_most=False)
    rate = step_bytes(plan, batch) / match.median(name)
    best = plan.read_bytes / match.fastest(READ)
    detail = f"{rate / 1e12:.2f} of {best / 1e12:.2f} TB/s"
    return Goal(text, rate / best, limit, at_most=False, detail=detail)


def microseconds(match: Match, name: str, limit: float) -> Goal:
    figure = 1e6 * match.median(name) if name in match.samples else None
    return Goal(f"{name}: us a token", figure, limit)


def table(plan: Plan, match: Match, batch: int) -> dict:
    """Make the table of all who decode `batch` pictures at once."""
    rows, first = [], ours(plan.dtypes[0])
    for name in match.samples:
        if name == READ:
            continue
        spans = [1e6 * seconds for seconds in match.spans(name).values()]
        low, high = (1e6 * seconds for seconds in match.spread(name))
        rate = batch / match.median(name) / (plan.config.streams.length - plan.prompt)
        row = [name, 1e6 * match.median(name), f"{low:.0f}..{high:.0f}", spans[0], spans[-1], rate]
        known = name != first and first in match.samples
        rows.append([*row, match.ratio(first, name).value if known else None])
    rows += [[name, None, reason, *[None] * 4] for name, reason in match.missing.items()]
    columns = ["", "us a step", "quartiles", "first tokens", "last tokens", "pictures/s"]
    title = f"decode: {plan.name}, batch {batch} ({2 * batch} rows), {gpu.name(plan.device)}"
    if READ in match.samples:
        best = plan.read_bytes / match.fastest(READ) / 1e12
        title += f"; memory read at best {best:.2f} TB/s"
    return {"title": title, "columns": [*columns, f"{plan.dtypes[0]} over it"], "rows": rows}


def table_of_passes(plan: Plan, match: Match, dtypes: list[str]) -> dict:
    rows = []
    for dtype in dtypes:
        for stream in STREAMS:
            names = [label(dtype, stream, width) for width in plan.widths]
            cells = [1e6 * match.median(n) if n in match.samples else None for n in names]
            rows.append([f"{dtype}, {stream}", *cells])
    rows += [[name, *[None] * (len(plan.widths) - 1), why] for name, why in match.missing.items()]
    columns = ["us a pass", *(f"width {width}" for width in plan.widths)]
    return {"title": "windows, halfway in the stream", "columns": columns, "rows": rows}


def table_of_parts(parts: dict[str, dict[str, float]]) -> dict:
    names = [*next(iter(parts.values()))]
    rows = [[name, *(1e3 * each[name] for each in parts.values())] for name in names]
    return {"title": "a picture, acceptance replayed", "columns": ["ms", *parts], "rows": rows}
