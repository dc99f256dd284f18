"""Subject "speculation": windows of guessed positions (Jacobi decoding) beside one position a pass,
on two threads. The tokens are the same at any width, which is checked meanwhile.

1. The model that ships, the tokens of held-out captions with the sampling that users get: passes
   and time by width, and of the width that is learned ("auto").
2. The 271M shape, which has no trained weights: what a pass of each width costs in the scene, two
   rows, and the time of a token if guesses were right as often as those of the model that ships (a
   replay of its tokens per pass, not a measurement of pictures).

All widths take turns in one process, a caption or a few passes each."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks import goals, results
from benchmarks.engine import MasFast
from benchmarks.goals import Goal
from benchmarks.versus import Block, Contestant, Disagreement, Match, measure
from mas_fast.bundle import load_bpe, read_sampling, save_gpt, shipped
from mas_fast.data.storybook.world1.captions import captions
from mas_fast.data.storybook.world1.story import story
from mas_fast.generation.cpp import CppEngine
from mas_fast.generation.request import request
from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import preset

WIDTHS = (1, 2, 4, 8, 16, 32)
DTYPES = ("int8", "bf16", "fp32")


@dataclass(frozen=True)
class Plan:
    preset: str = "mini-270m"
    captions: int = 64
    passes: int = 8  # of a block of the 271M shape
    blocks: int = 5  # of the 271M shape
    threads: int = 2
    dtypes: tuple[str, ...] = DTYPES


class Pictures:
    """The tokens of the shipped model, a caption after another, at one width or "auto"."""

    def __init__(self, engine: CppEngine, ids: list, width: int | str, tokens: dict) -> None:
        self.engine, self.ids, self.width, self.tokens = engine, ids, width, tokens
        self.sampling = read_sampling(shipped())
        self.passes: list[int] = []

    def block(self) -> Block:
        index = len(self.passes) % len(self.ids)
        asked = request(
            self.engine.streams, self.ids[index], seed=index, speculate=self.width, **self.sampling
        )
        start = time.perf_counter()
        run = self.engine.start(asked)
        run.advance()
        seconds = time.perf_counter() - start
        self.passes.append(run.run.passes)
        if not np.array_equal(self.tokens.setdefault(index, run.tokens), run.tokens):
            raise Disagreement(f"width {self.width}: found other tokens for caption {index}")
        return Block("", (seconds,))


class Enough(Exception):
    """Ends a run after some passes."""


class Passes(MasFast):
    """Passes of one width of a model with random weights, in the scene."""

    def seconds(self, width: int, count: int) -> tuple[float, ...]:
        """Return the seconds of each of some passes, without the first one."""
        forced = np.full((1, self.length), -1, np.int32)
        forced[0, : self.prompt] = self.caption
        self.seed += 1
        run = self.engine.start(forced, self.null, seed=self.seed, window=width, **self.sampling)
        stamps: list[float] = []

        def progress(position: int, stop: int) -> None:
            stamps.append(time.perf_counter())
            if len(stamps) > count + 1:
                raise Enough

        try:
            run.advance(0, progress)
        except Enough:
            pass
        return tuple(np.diff(stamps)[1:].tolist())


def run(plan: Plan | None = None, measure=measure) -> dict:
    """Measure all dtypes and widths.

    Args:
        plan: what to do; None takes the default.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Disagreement: if a width changes a token.
    """
    plan = plan or Plan()
    bpe = load_bpe(shipped())
    texts = [captions(story("validation", index))[0] for index in range(plan.captions)]
    ids = [bpe.encode([text])[0] for text in texts]
    cases, outcomes, tables = {}, [], []
    with tempfile.TemporaryDirectory() as folder:
        save_gpt(folder, GPT.create(preset(plan.preset), dtype=torch.bfloat16))
        for dtype in plan.dtypes:
            kv_dtype = "int8" if dtype == "int8" else None
            engine = CppEngine(shipped(), dtype=dtype, kv_dtype=kv_dtype, threads=plan.threads)
            tokens: dict[int, np.ndarray] = {}
            pictures = {w: Pictures(engine, ids, w, tokens) for w in (*WIDTHS, "auto")}
            match = measure([Contestant(str(w), p.block) for w, p in pictures.items()], len(ids))
            passes = {w: statistics.mean(p.passes) for w, p in pictures.items()}
            prompt = preset(plan.preset).streams[0].length
            large = Passes(folder, prompt, prompt, plan.threads, dtype, kv_dtype or dtype)
            costs = measure([_passes(large, w, plan.passes) for w in WIDTHS], plan.blocks)
            length = engine.streams.length - engine.streams[0].length
            given = {w: length / passes[w] for w in pictures}
            cases[dtype] = {
                "pictures": match.to_dict(),
                "passes": {str(w): count for w, count in passes.items()},
                "271M passes": costs.to_dict(),
            }
            outcomes += find_goals(dtype, match, costs, passes, given)
            tables.append(shipped_table(dtype, match, passes))
            tables.append(large_table(plan, dtype, costs, given))
    return {
        **results.provenance(),
        "plan": vars(plan),
        "cases": cases,
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [*tables, goals.table(outcomes)],
    }


def _passes(model: Passes, width: int, count: int) -> Contestant:
    return Contestant(str(width), lambda: Block("", model.seconds(width, count)))


def find_goals(dtype: str, match: Match, costs: Match, passes: dict, given: dict) -> list[Goal]:
    """Make the goals of one dtype."""
    auto = match.ratio("auto", "1")
    share = passes[16] / passes[1]
    best = max(WIDTHS, key=lambda w: given[w] / costs.median(str(w)))
    gain = given[best] * costs.median("1") / costs.median(str(best))
    return [
        Goal(f"{dtype}, shipped: passes at width 16 over tokens", share, 1 / 3),
        Goal(
            f"{dtype}, shipped: time of auto over width 1", auto.value, 1.0,
            detail=f"{auto.verdict}, {auto.low:.2f}..{auto.high:.2f}",
        ),
        Goal(
            f"{dtype}, 271M, replayed: times as fast", gain, 1.4, at_most=False,
            detail=f"width {best}",
        ),
    ]  # fmt: skip


def shipped_table(dtype: str, match: Match, passes: dict) -> dict:
    """Make the table of the pictures of the shipped model."""
    rows = []
    for width, count in passes.items():
        ratio = match.ratio(str(width), "1")
        rows.append([width, count, 1e3 * match.median(str(width)), ratio.value, ratio.verdict])
    columns = ["width", "passes", "ms a picture", "over width 1", ""]
    return {"title": f"speculation: shipped model, {dtype}", "columns": columns, "rows": rows}


def large_table(plan: Plan, dtype: str, costs: Match, given: dict) -> dict:
    """Make the table of the 271M shape."""
    one = costs.median("1")
    rows = []
    for width in WIDTHS:
        cost = costs.median(str(width))
        rows.append([width, 1e3 * cost, cost / one, given[width], given[width] * one / cost])
    columns = ["width", "ms a pass", "over width 1", "tokens a pass (shipped)", "times as fast"]
    title = f"speculation: {plan.preset}, {dtype}, replayed acceptance"
    return {"title": title, "columns": columns, "rows": rows}
