"""Subject "picture": the time from a caption to a picture of 256 pixels, by the 271M GPT and
decoders of minDALL-E's size (int8), on two threads; and to the first look at its scene.

Both have random weights, with which every guess of a token is wrong. So the time is put together:
what passes of each width cost halfway in the scene and in the picture, times the passes that the
model that ships needs for as many tokens of that stream (a replay of its acceptance, at the width
that is fastest), the caption, and the decoders."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks import goals, results
from benchmarks.engine import MasFast
from benchmarks.goals import Goal
from benchmarks.versus import Block, Contestant, Match, calls, measure
from mas_fast.bundle import load_bpe, read_sampling, save_gpt, shipped
from mas_fast.data.storybook.world1.captions import captions
from mas_fast.data.storybook.world1.story import story
from mas_fast.generation.cpp import CppEngine
from mas_fast.generation.request import request
from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import preset
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae_config import preset as vq_preset
from mas_fast.onnx.export import write_graph
from mas_fast.onnx.files import Metadata
from mas_fast.onnx.parity import made_up
from mas_fast.onnx.quantize import quantize
from mas_fast.onnx.session import Session

WIDTHS = (1, 2, 4, 8, 16)
STREAMS = ("seg", "img")
LIMITS = {"int8": 4.0, "int4": 2.5}  # seconds
PREVIEW = 0.45  # of the whole
CALIBRATION = 4  # pictures


@dataclass(frozen=True)
class Plan:
    preset: str = "mini-270m"
    captions: int = 16
    passes: int = 6  # of a block
    blocks: int = 5
    threads: int = 2
    decoders: tuple[str, str] = ("vq-seg-mini158", "vq-img-f16")


class Passes(MasFast):
    """Passes of a width from a position on."""

    def seconds(self, width: int, count: int, start: int) -> tuple[float, ...]:
        """Return the seconds of some passes, without the first one, which reads what is given."""
        forced = np.full((1, self.length), -1, np.int32)
        forced[0, :start] = 1
        self.seed += 1
        run = self.engine.start(forced, self.null, seed=self.seed, window=width, **self.sampling)
        self.engine.advance([run], 1 + start // 16)  # what is given, 64 entries a pass, and more
        seconds = []
        for _ in range(count):
            begin = time.perf_counter()
            self.engine.advance([run], 1)
            seconds.append(time.perf_counter() - begin)
        return tuple(seconds)

    def read_caption(self) -> None:
        """Read a caption, with guidance, and draw a token."""
        forced = np.full((1, self.length), -1, np.int32)
        forced[0, : self.prompt] = 1
        self.engine.start(forced, self.null, window=1, **self.sampling).advance(1)


def passes_by_stream(engine: CppEngine, count: int) -> dict[str, dict[int, float]]:
    """Count the passes that the model that ships takes for a token.

    Args:
        engine: of that model.
        count: captions, held out.

    Returns:
        For each stream and width, passes over tokens.
    """
    bpe, sampling = load_bpe(shipped()), read_sampling(shipped())
    texts = [captions(story("validation", index))[0] for index in range(count)]
    found: dict[str, dict[int, float]] = {name: {} for name in STREAMS}
    for width in WIDTHS:
        ends: list[list[int]] = []
        for seed, ids in enumerate(bpe.encode(texts)[0]):
            asked = request(engine.streams, ids, seed=seed, speculate=width, **sampling)
            run, before = engine.start(asked), 0
            for name in STREAMS:
                run.advance(engine.streams.slice(name).stop - run.position)
                ends.append([run.run.passes - before])
                before = run.run.passes
        for n, name in enumerate(STREAMS):
            mean = statistics.mean(passes for (passes,) in ends[n :: len(STREAMS)])
            found[name][width] = mean / engine.streams[name].length
    return found


def run(plan: Plan | None = None, measure=measure) -> dict:
    """Measure passes and decoders, and put the time of a picture together.

    Args:
        plan: what to do; None takes the default.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.
    """
    plan = plan or Plan()
    shares = passes_by_stream(CppEngine(shipped(), dtype="int8"), plan.captions)
    streams = preset(plan.preset).streams
    halfway = {name: streams.slice(name).start + streams[name].length // 2 for name in STREAMS}
    with tempfile.TemporaryDirectory() as folder:
        save_gpt(folder, GPT.create(preset(plan.preset), dtype=torch.bfloat16))
        prompt, contestants = streams[0].length, decoders(plan, Path(folder))
        for dtype in LIMITS:
            model = Passes(folder, prompt, prompt, plan.threads, dtype, "int8")
            contestants.append(calls(f"{dtype}, caption", model.read_caption, 1))
            contestants += [
                Contestant(label(dtype, name, width), block(model, width, plan.passes, start))
                for name, start in halfway.items()
                for width in WIDTHS
            ]
        match = measure(contestants, plan.blocks)
    parts = {dtype: parts_of(dtype, match, shares, streams) for dtype in LIMITS}
    outcomes = []
    for dtype, limit in LIMITS.items():
        whole = sum(parts[dtype].values())
        outcomes.append(Goal(f"{dtype}: seconds to a picture, acceptance replayed", whole, limit))
        first = (whole - parts[dtype]["img"] - parts[dtype]["picture decoded"]) / whole
        outcomes.append(Goal(f"{dtype}: its scene is seen after, of the whole", first, PREVIEW))
    rows = [[part, *(1e3 * parts[dtype][part] for dtype in LIMITS)] for part in parts["int8"]]
    table = {"title": f"picture: {plan.preset}", "columns": ["ms", *LIMITS], "rows": rows}
    return {
        **results.provenance(),
        "plan": vars(plan),
        "passes over tokens": {n: {str(w): v for w, v in by.items()} for n, by in shares.items()},
        "match": match.to_dict(),
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [table, goals.table(outcomes)],
    }


def label(dtype: str, stream: str, width: int) -> str:
    return f"{dtype}, {stream}, width {width}"


def block(model: Passes, width: int, count: int, start: int):
    return lambda: Block("", model.seconds(width, count, start))


def parts_of(dtype: str, match: Match, shares: dict, streams, widths=WIDTHS) -> dict[str, float]:
    """Put together the seconds of the parts of a picture, in order."""
    drawn = {
        name: streams[name].length
        * min(shares[name][w] * match.median(label(dtype, name, w)) for w in widths)
        for name in STREAMS
    }
    return {
        "caption": match.median(f"{dtype}, caption"),
        "seg": drawn["seg"],
        "scene decoded": match.median("decoder of scenes"),
        "img": drawn["img"],
        "picture decoded": match.median("decoder of pictures"),
    }


def decoders(plan: Plan, folder: Path) -> list[Contestant]:
    """Make the decoders, in int8."""
    contestants = []
    for kind, name in zip(("scenes", "pictures"), plan.decoders, strict=True):
        model = VQVAE.create(vq_preset(name)).eval()
        source, file = folder / f"{kind}.onnx", folder / f"{kind}.int8.onnx"
        tokenizer = "vq_seg" if kind == "scenes" else "vq_img"
        write_graph(source, Metadata(tokenizer, "decoder", "fp32", model.config, "0" * 64), model)
        (codes,) = made_up(model.config, "decoder", CALIBRATION)
        quantize(source, file, codes.numpy())
        decode = partial(Session(file, ["cpu"], plan.threads).run, codes[:1].numpy())
        contestants.append(calls(f"decoder of {kind}", decode, 1))
    return contestants
