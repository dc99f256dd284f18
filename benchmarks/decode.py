"""Subject "decode": milliseconds per token of the 271M GPT on two threads, beside llama.cpp,
CTranslate2, transformers, OpenVINO and ONNX Runtime.

Random weights, guidance on (two rows), a prompt of 64 tokens, tokens 65..576. All contestants of
a run take turns, 64 tokens each. README.md says what is compared with what, and how to read the
tables."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch

from benchmarks import goals, results
from benchmarks.engine import GUIDANCE, SAMPLING
from benchmarks.goals import BF16, CTRANSLATE2, DRAM, FP32, INT4, INT8, SPARSE, TRANSFORMERS
from benchmarks.sparse import sparse
from benchmarks.versus import Block, Contestant, Disagreement, Match, Unavailable, measure
from benchmarks.worker import Worker
from mas_fast.bundle import export_int4, load_gpt, save_gpt
from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import GPTConfig, preset
from mas_fast.ops import reference

ENGINE, READ = "benchmarks.engine:MasFast", "benchmarks.engine:MemoryRead"
LLAMA_CLASS = "benchmarks.peers.llama_cpp:LlamaCpp"
CTRANSLATE2_CLASS = "benchmarks.peers.ctranslate2:CTranslate2"
TRANSFORMERS_CLASS = "benchmarks.peers.transformers:Transformers"
OPENVINO_CLASS = "benchmarks.peers.openvino:OpenVINO"
ONNX_RUNTIME_CLASS = "benchmarks.peers.onnxruntime:OnnxRuntime"
SLOW = CTRANSLATE2_CLASS, TRANSFORMERS_CLASS

OURS = {
    INT8[0]: {"dtype": "int8", "kv_dtype": "int8"},
    INT8[1]: {"dtype": "int8", "kv_dtype": "bf16"},
    SPARSE: {"dtype": "int8", "kv_dtype": "int8", "masked": True},
    INT4: {"dtype": "int4", "kv_dtype": "int8"},
    BF16: {"dtype": "bf16", "kv_dtype": "bf16"},
    FP32: {"dtype": "fp32", "kv_dtype": "fp32"},
}
PEERS = {
    **{
        f"llama.cpp {weights}, {label}": (LLAMA_CLASS, {"weights": weights, "rows": rows})
        for weights in ("Q8_0", "BF16", "Q4_0", "Q4_K")
        for label, rows in (("1 row", 1), ("2 rows", 2))
    },
    CTRANSLATE2: (CTRANSLATE2_CLASS, {"compute_type": "int8", "rows": 2}),
    TRANSFORMERS: (TRANSFORMERS_CLASS, {"dtype": "bfloat16", "rows": 2}),
    **{
        f"OpenVINO {weights}, 2 rows": (OPENVINO_CLASS, {"compression": weights, "rows": 2})
        for weights in ("int8", "int4")
    },
    "ONNX Runtime int4, 2 rows": (ONNX_RUNTIME_CLASS, {"bits": 4, "rows": 2}),
}
# Verified is a stretch of tokens that straddles two streams, drawn at a low temperature, so that
# the logits decide and not the noise: the share that the reference draws too. Seen are 98% to
# 100% at every dtype; with a guidance of 1.5 for 3 it is 34%.
COLD = 0.1
AGREEMENT = {"fp32": 0.95, "bf16": 0.9, "int8": 0.9, "int4": 0.9}


@dataclass(frozen=True)
class Plan:
    """What a run does. The slow peers, several times our time, are timed over fewer images."""

    preset: str = "mini-270m"
    images: int = 2
    slow_images: int = 1
    threads: int = 2
    block: int = 64  # tokens
    checked: int = 64  # tokens compared with the reference
    read_bytes: int = 512 << 20
    peers: bool = True

    @property
    def config(self) -> GPTConfig:
        return preset(self.preset)

    @property
    def prompt(self) -> int:
        return self.config.streams[0].length

    @property
    def blocks(self) -> int:
        """The number of blocks of one image."""
        return -(-(self.config.streams.length - self.prompt) // self.block)


def run(plan: Plan | None = None, measure: Callable[..., Match] = measure) -> dict:
    """Measure ours and all peers.

    Args:
        plan: what to do; the defaults of `Plan` if None.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Disagreement: if an engine of ours is wrong.
    """
    plan = plan or Plan()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        model = GPT.create(plan.config, dtype=torch.bfloat16)
        save_gpt(folder, model)
        crew = Crew(plan, folder, model.float(), stack)
        match = measure(crew.contestants(), plan.images * plan.blocks)
        facts = crew.facts()
    outcomes = goals.decode(match, facts, plan.read_bytes)
    return {
        **results.provenance(),
        "plan": {**vars(plan)},
        "match": match.to_dict(),
        "builds": crew.builds,
        "engines": facts,
        "ratios": ratios(match),
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": tables(plan, match, crew, facts, outcomes),
    }


class Crew:
    """The workers of a run. A peer that is missing or fails gets a contestant that says so."""

    def __init__(self, plan: Plan, folder: str, model: GPT, stack: ExitStack) -> None:
        self.plan, self.folder, self.model, self.stack = plan, folder, model, stack
        self.workers: dict[str, Worker] = {}
        self.builds: dict[str, dict] = {}
        self.notes: dict[str, str] = {}

    def contestants(self) -> list[Contestant]:
        common = {"prompt": self.plan.prompt, "size": self.plan.block, "threads": self.plan.threads}
        crew = []
        for name, options in OURS.items():
            try:
                worker = self._start(name, ENGINE, {"bundle": self.folder, **common, **options})
            except Unavailable as error:
                raise RuntimeError(f"{name}: {error}") from error
            crew.append(Contestant(name, self._block(worker), self._verify(name, worker)))
        options = {"size": self.plan.read_bytes, "threads": self.plan.threads, "passes": 3}
        crew.append(Contestant(DRAM, self._block(self._start(DRAM, READ, options))))
        if self.plan.peers:
            for name, (target, options) in PEERS.items():
                options = {"folder": self.folder, "shape": self._shape(), **common, **options}
                limit = self.plan.slow_images * self.plan.blocks if target in SLOW else None
                crew.append(Contestant(name, self._peer(name, target, options), blocks=limit))
        return crew

    def facts(self) -> dict[str, dict]:
        """Describe each engine of ours.

        Returns:
            By name: bytes read for each token, packed weights, KV cache, and peak of anonymous
            memory.
        """
        return {
            name: {
                "weight_bytes": worker.call("weight_bytes"),
                "kv_bytes": worker.call("kv_bytes"),
                "step_bytes": worker.call("step_bytes"),
                "peak_anonymous_bytes": worker.peak_bytes - worker.base_bytes,
            }
            for name, worker in self.workers.items()
            if name in OURS
        }

    def _start(self, name: str, target: str, options: dict) -> Worker:
        worker = Worker(target, self.plan.threads)
        self.stack.callback(worker.close)
        worker.create(**options)
        self.workers[name] = worker
        self.builds[name] = worker.call("describe")
        return worker

    def _block(self, worker: Worker) -> Callable[[], Block]:
        def block() -> Block:
            result = worker.call("block", watch_ms=20)
            return Block(result["span"], tuple(result["seconds"]))

        return block

    def _peer(self, name: str, target: str, options: dict) -> Callable[[], Block]:
        """Starts the peer at once. llama.cpp is tried with its fastest buffers first: its AMX
        kernel for several rows crashes when GCC 12 compiled it."""
        forms = [{"repack": True}, {"repack": False}] if target == LLAMA_CLASS else [{}]
        for form in forms:
            try:
                worker = self._start(name, target, {**options, **form})
                worker.call("warm")
                return self._block(worker)
            except Unavailable as error:
                reason = str(error)
                self.notes[name] = f"without its AMX and repacked buffers, with which {reason}"

        def missing() -> Block:
            raise Unavailable(reason)

        return missing

    def _shape(self) -> dict:
        """The peers know one vocabulary: they get that of an image token."""
        config = self.plan.config
        sizes = {name: getattr(config, name) for name in ("dim", "layers", "heads", "mlp")}
        return {**sizes, "vocab": config.streams["img"].vocab, "length": config.streams.length}

    def _reference(self, name: str) -> GPT:
        """What an engine is compared with; of int4 the weights that it leaves."""
        if name == INT4:
            small = f"{self.folder}/int4"
            export_int4(self.folder, small)
            return load_gpt(small)
        return sparse(self.model) if name == SPARSE else self.model

    def _verify(self, name: str, worker: Worker) -> Callable[[], None]:
        def verify() -> None:
            share = agreement(self.plan, self._reference(name), partial(worker.call, "generate"))
            allowed = AGREEMENT[OURS[name]["dtype"]]
            self.builds[name]["tokens as the reference"] = f"{share:.0%}"
            if share < allowed:
                raise Disagreement(
                    f"{name}: {share:.0%} of the tokens are the reference's, expected {allowed:.0%}"
                )

        return verify


def agreement(plan: Plan, model: GPT, generate: Callable[..., list[int]]) -> float:
    """Compare the tokens drawn by an engine with those of the reference.

    The reference is fp32, eager and teacher-forced. The stretch lies half before and half after the
    first image token; what comes before it is given.

    Args:
        plan: what the run does; of it `config`, `prompt` and `checked`.
        model: the reference, on any device.
        generate: the engine's, as `MasFast.generate`.

    Returns:
        The share of the engine's tokens that the reference draws too.
    """
    streams, seed = plan.config.streams, 7
    stop = min(streams.offset("img") + plan.checked // 2, streams.length)
    start = max(stop - plan.checked, plan.prompt)
    generator = torch.Generator().manual_seed(0)
    forced = [
        int(torch.randint(1, streams.at(i).vocab, (), generator=generator)) for i in range(start)
    ]
    undrawn = [-1] * (streams.length - start)
    tokens = torch.tensor([generate(forced + undrawn, seed, stop, COLD)])
    unconditional = tokens.clone()
    unconditional[:, : plan.prompt] = streams[0].pad
    with torch.inference_mode():  # not around `generate`: an engine may keep what it makes
        logits = model(torch.cat([tokens, unconditional])[:, :stop].to(model.device))
    same = []
    for name in streams.names:
        span = streams.predicting(name, stop - 1)
        positions = torch.arange(span.start + 1, span.stop + 1)
        drawn = positions >= start
        if drawn.any():
            cond, uncond = (row[drawn] for row in logits[name][:, : len(positions)].cpu())
            positions = positions[drawn]
            how = {**SAMPLING, "guidance": GUIDANCE, "temperature": COLD}
            expected = reference.sample(cond, uncond=uncond, seed=seed, position=positions, **how)
            same += (expected == tokens[0, positions]).tolist()
    return statistics.mean(same)


def ratios(match: Match) -> dict[str, dict]:
    """Return {ours: {peer: ratio of the times}}; the peers know no masks."""
    peers = [name for name in PEERS if name in match.samples]
    return {
        ours: {peer: match.ratio(ours, peer).to_dict() for peer in peers}
        for ours in OURS
        if ours in match.samples and ours != SPARSE
    }


def tables(plan: Plan, match: Match, crew: Crew, facts: dict, outcomes: list) -> list[dict]:
    def row(name: str) -> list:
        if name not in match.samples:
            return [name, *[None] * 5, match.missing.get(name, "not measured")]
        spans = [1e3 * seconds for seconds in match.spans(name).values()]
        low, high = (1e3 * seconds for seconds in match.spread(name))
        rate = None
        if name in facts:
            step = statistics.mean(facts[name]["step_bytes"][plan.prompt + 1 :])
            rate = step / match.median(name) / 1e9
        spread = f"{low:.2f}..{high:.2f}"
        note = crew.notes.get(name, "")
        return [name, 1e3 * match.median(name), spread, spans[0], spans[-1], rate, note]

    labels = list(match.spans(next(iter(OURS))))
    names = [*OURS, *(PEERS if plan.peers else ())]
    best = plan.read_bytes / match.fastest(DRAM) / 1e9
    against = ratios(match)
    ratio_rows = [
        [peer, *(_ratio_text(against[ours][peer]) for ours in against)]
        for peer in PEERS
        if peer in match.samples
    ]
    builds = [
        [name, ", ".join(f"{key}: {value}" for key, value in build.items())]
        for name, build in crew.builds.items()
    ]
    tokens = f"{plan.prompt + 1}..{plan.config.streams.length}"
    title = f"decode: {plan.preset}, {plan.threads} threads, tokens {tokens}"
    return [
        {
            "title": f"{title}; DRAM read at best {best:.1f} GB/s",
            "columns": ["", "ms per token", "quartiles", labels[0], labels[-1], "GB/s", "note"],
            "rows": [row(name) for name in names],
        },
        {
            "title": "time of ours over time of the peer, and the middle half of its ratios",
            "columns": ["", *against],
            "rows": ratio_rows,
        },
        goals.table(outcomes),
        {"title": "builds", "columns": ["", "what it says of itself"], "rows": builds},
    ]


def _ratio_text(ratio: dict) -> str:
    tie = " (tie)" if ratio["verdict"] == "tie" else ""
    return f"{ratio['ratio']:.2f} ({ratio['low']:.2f}..{ratio['high']:.2f}){tie}"
