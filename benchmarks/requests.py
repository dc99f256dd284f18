"""Subject "requests": 16 pictures of different captions, seeds and settings, whose rows share each
pass over the weights, beside the same 16 drawn one after the other; on two threads.

The model that ships draws whole pictures of held-out captions, at the width of guesses that it
learns. The 271M shape has random weights, with which every guess is wrong: it draws one position a
pass, a part of a scene. Both ways draw the same tokens, which is checked meanwhile."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks import goals, results
from benchmarks.goals import Goal
from benchmarks.versus import Block, Contestant, Disagreement, Match, measure
from mas_fast.bundle import load_bpe, read_sampling, save_gpt, shipped
from mas_fast.data.storybook.world1.captions import captions
from mas_fast.data.storybook.world1.story import story
from mas_fast.generation.cpp import CppEngine, CppRun
from mas_fast.generation.request import Request, request
from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import preset

COUNT = 16
LIMITS = {"271M": 4.5, "shipped": 3.0}  # times the pictures of one at a time; 271M in int8


@dataclass(frozen=True)
class Plan:
    preset: str = "mini-270m"
    positions: int = 48  # that the 271M shape draws of each picture
    blocks: int = 5
    threads: int = 2
    dtypes: tuple[str, ...] = ("int8", "bf16")


class Pictures:
    """The tokens of some requests, all at once or one after the other."""

    def __init__(self, engine: CppEngine, asked: list[Request]) -> None:
        self.engine, self.asked = engine, asked
        self.tokens: list[np.ndarray] | None = None

    def together(self) -> Block:
        return self._timed(self._draw_together)

    def one_by_one(self) -> Block:
        return self._timed(lambda: [self._drawn(each) for each in self.asked])

    def _draw_together(self) -> list[CppRun]:
        runs = [self.engine.start(each) for each in self.asked]
        while any(run.position < run.stop for run in runs):
            self.engine.advance(runs, passes=16)
        return runs

    def _drawn(self, each: Request) -> CppRun:
        run = self.engine.start(each)
        run.advance()
        return run

    def _timed(self, draw: Callable[[], list[CppRun]]) -> Block:
        start = time.perf_counter()
        runs = draw()
        seconds = time.perf_counter() - start
        tokens = [run.tokens for run in runs]
        self.tokens = self.tokens or tokens
        if not all(map(np.array_equal, tokens, self.tokens)):
            raise Disagreement("found other tokens for requests that share passes")
        return Block("", (seconds,))


def story_requests(engine: CppEngine) -> list[Request]:
    """Make requests for whole pictures of the model that ships."""
    bpe, own = load_bpe(shipped()), read_sampling(shipped())
    texts = [captions(story("validation", index))[0] for index in range(COUNT)]
    return [
        request(engine.streams, bpe.encode([text])[0], seed=n, **own, top_p=1 - n % 3 / 10)
        for n, text in enumerate(texts)
    ]


def random_requests(engine: CppEngine, positions: int) -> list[Request]:
    """Make requests for parts of scenes."""
    text = engine.streams[0]
    rng = np.random.default_rng(0)
    return [
        request(
            engine.streams,
            rng.integers(1, text.vocab, text.length),
            seed=n,
            guidance=2.0 + n % 3,
            top_k=64 << n % 3,
            stop=text.length + positions,
            speculate=1,
        )
        for n in range(COUNT)
    ]


def run(plan: Plan | None = None, measure=measure) -> dict:
    """Measure both models in all dtypes.

    Args:
        plan: what to do; None takes the default.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Disagreement: if a token depends on the requests beside it.
    """
    plan = plan or Plan()
    cases, outcomes, rows = {}, [], []
    with tempfile.TemporaryDirectory() as folder:
        save_gpt(folder, GPT.create(preset(plan.preset), dtype=torch.bfloat16))
        for name in LIMITS:
            for dtype in plan.dtypes:
                bundle = shipped() if name == "shipped" else folder
                kv_dtype = "int8" if dtype == "int8" else None
                engine = CppEngine(bundle, dtype=dtype, kv_dtype=kv_dtype, threads=plan.threads)
                if name == "shipped":
                    asked = story_requests(engine)
                else:
                    asked = random_requests(engine, plan.positions)
                pictures = Pictures(engine, asked)
                ways = {"together": pictures.together, "one by one": pictures.one_by_one}
                match = measure([Contestant(way, draw) for way, draw in ways.items()], plan.blocks)
                cases[f"{name}, {dtype}"] = match.to_dict()
                rows.append(row(f"{name}, {dtype}", match))
                if name == "shipped" or dtype == "int8":
                    ratio = match.ratio("one by one", "together")
                    text = f"{name}, {dtype}: {COUNT} requests, times the pictures of one at a time"
                    detail = f"{ratio.low:.2f}..{ratio.high:.2f}"
                    limit = LIMITS[name]
                    outcomes.append(Goal(text, ratio.value, limit, at_most=False, detail=detail))
    columns = ["", "ms each, together", "ms each, one by one", "times as fast"]
    table = {"title": f"requests: {COUNT} at once", "columns": columns, "rows": rows}
    return {
        **results.provenance(),
        "plan": vars(plan),
        "cases": cases,
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [table, goals.table(outcomes)],
    }


def row(name: str, match: Match) -> list:
    each = [1e3 * match.median(way) / COUNT for way in ("together", "one by one")]
    return [name, *each, match.ratio("one by one", "together").value]
