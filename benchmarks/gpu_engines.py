"""Who decodes on a GPU in "gpu_decode" and "gpu_batch": the engines of ours, and the loop that
torch.compile makes (peers/static_kv.py). Each makes one batch of pictures after another, cut into
blocks of tokens as in "decode", and the times are those that a caller waits for."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import torch

from benchmarks import decode, gpu
from benchmarks.engine import GUIDANCE, SAMPLING
from benchmarks.gpu_limits import Read
from benchmarks.peers.static_kv import StaticKV
from benchmarks.stepping import Stepping
from benchmarks.versus import Block, Contestant, Disagreement, Unavailable
from mas_fast.bundle import load_gpt, save_gpt
from mas_fast.generation.engine import Engine, as_array
from mas_fast.generation.engines import ENGINES, make_engine
from mas_fast.generation.request import request
from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import GPTConfig, preset
from mas_fast.streams import Stream, Streams

EAGER, COMPILED = "eager", "compiled, static KV"
GRAPH = "graph"  # the engine of ours that is measured
READ = "memory read"
ERROR = {"fp32": 1e-3, "bf16": 0.1}  # of the compiled loop's logits, of the largest


@dataclass(frozen=True)
class Plan:
    """What "gpu_decode" and "gpu_batch" do.

    Attributes:
        dtypes: of our engine; the others compute in the first.
        checked: tokens that are compared with the reference.
    """

    name: str = "mini-270m"
    config: GPTConfig = field(default_factory=partial(preset, "mini-270m"))
    dtypes: tuple[str, ...] = ("bf16", "int8", "fp8")
    batches: tuple[int, ...] = (16, 64)
    images: int = 3  # batches of pictures of each contestant
    block: int = 64  # tokens
    checked: int = 64
    widths: tuple[int, ...] = (1, 2, 4, 8, 16)
    rounds: int = 5  # blocks of windows
    captions: int = 8  # of the model that ships, for its acceptance
    decoders: tuple[str, str] = ("vq-seg-mini158", "vq-img-f16")
    read_bytes: int = 437 << 20
    compiled: bool = True
    device: str = "cuda"

    @property
    def prompt(self) -> int:
        return self.config.streams[0].length

    def to_dict(self) -> dict:
        return {**vars(self), "config": self.config.to_dict()}

    @property
    def blocks(self) -> int:
        """The number of blocks of a batch of pictures."""
        return -(-(self.config.streams.length - self.prompt) // self.block)

    @property
    def dtype(self) -> torch.dtype:
        return {"fp32": torch.float32, "bf16": torch.bfloat16}[self.dtypes[0]]


# A token takes Triton's interpreter a third of a second.
TINY = GPTConfig(
    Streams(
        [
            Stream("text", 3, 11, pad=0),
            Stream("seg", 4, 7, (2, 2)),
            Stream("img", 4, 13, (2, 2)),
        ]
    ),
    dim=16,
    layers=1,
    heads=2,
    mlp=24,
)
REHEARSAL = Plan(
    name="tiny", config=TINY, dtypes=("fp32",), batches=(2,), images=1, block=4, checked=4,
    widths=(1, 2),
    rounds=1, captions=1, decoders=("tiny-seg", "tiny-img"), read_bytes=1 << 16,
    compiled=False, device="cpu",
)  # fmt: skip


def ours(dtype: str) -> str:
    return f"mas_fast {GRAPH} {dtype}"


class Model:
    """Random weights that all contestants share: a bundle, and what is made of it once.

    Args:
        plan: what is done.
        folder: receives the bundle.
    """

    def __init__(self, plan: Plan, folder: str) -> None:
        self.plan, self.folder = plan, folder
        save_gpt(folder, GPT.create(plan.config, dtype=torch.bfloat16))
        self.engines: dict[tuple[str, str], Engine] = {}

    def engine(self, name: str, dtype: str) -> Engine:
        """Make an engine, once.

        Raises:
            Unavailable: if there is none of that name or dtype.
        """
        if name not in ENGINES:
            raise Unavailable(f"not there: the engines are {', '.join(ENGINES)}")
        if dtype not in ENGINES[name].dtypes:
            raise Unavailable(f"not there: its dtypes are {', '.join(ENGINES[name].dtypes)}")
        if (name, dtype) not in self.engines:
            # The eager engine has the dtype of its GPT.
            kind = None if name == EAGER else dtype
            self.engines[name, dtype] = make_engine(name, self.weights, dtype=kind)
        return self.engines[name, dtype]

    @cached_property
    def weights(self) -> GPT:
        """The GPT on the device, in the first dtype, which holds the bundle's values exactly."""
        return load_gpt(self.folder, self.plan.device, self.plan.dtype)

    @cached_property
    def exact(self) -> GPT:
        """The same in fp32: the reference."""
        return load_gpt(self.folder, self.plan.device, torch.float32)

    def prompts(self, batch: int) -> np.ndarray:
        """Random captions, int64 [batch, P]."""
        text = self.plan.config.streams[0]
        return np.random.default_rng(0).integers(1, text.vocab, (batch, self.plan.prompt))


class Pictures(Stepping):
    """Batches of pictures by an engine of ours, guidance on.

    Args:
        engine: makes the engine; it is called when the first picture begins.
        prompts: a caption for each picture of a batch.
        plan: what is done.
    """

    def __init__(self, engine: Callable[[], Engine], prompts: np.ndarray, plan: Plan) -> None:
        super().__init__(plan.prompt, plan.config.streams.length, plan.block)
        self.engine, self.prompts, self.plan = engine, prompts, plan
        self.seed, self.run = 0, None

    def begin(self) -> None:
        self.run = None  # its KV cache goes before the next one comes
        self.seed += 1
        self.run = started(self.engine(), self.prompts, seed=self.seed)
        self.run.advance(1)

    def steps(self, count: int) -> list[float]:
        (seconds,) = gpu.seconds(self.plan.device, [lambda: self.run.advance(count)], ahead=False)
        return [seconds / count]


class Compiled(Stepping):
    """Batches of pictures by the compiled loop."""

    def __init__(self, model: Model, batch: int, plan: Plan) -> None:
        super().__init__(plan.prompt, plan.config.streams.length, plan.block)
        self.plan, text = plan, plan.config.streams[0]
        self.loop = StaticKV(
            model.weights,
            batch,
            guidance=GUIDANCE,
            top_k=SAMPLING["top_k"],
            compiled=plan.compiled,
        )
        prompts = torch.from_numpy(model.prompts(batch))
        unconditional = torch.full_like(prompts, text.pad)
        self.prompts = torch.cat([prompts, unconditional]).to(plan.device)

    def begin(self) -> None:
        self.loop.begin(self.prompts)

    def steps(self, count: int) -> list[float]:
        (seconds,) = gpu.seconds(self.plan.device, [lambda: self.loop.steps(count)], ahead=False)
        return [seconds / count]

    def check(self, exact: GPT) -> None:
        """Compare the logits of the first token of the last stream with those of the reference.

        Raises:
            Disagreement: if they are far off.
        """
        streams = self.plan.config.streams
        drawn = torch.ones(len(self.prompts), streams.offset(streams.names[-1]), dtype=torch.int64)
        drawn = drawn.to(self.prompts.device)
        drawn[:, : self.plan.prompt] = self.prompts
        with torch.inference_mode():
            wanted = exact(drawn)[streams.names[-1]][:, -1]
        error = float((self.loop.logits(drawn).float() - wanted).abs().max() / wanted.abs().max())
        allowed = ERROR[self.plan.dtypes[0]]
        if not error <= allowed:
            raise Disagreement(f"{COMPILED}: found a relative error of {error:.1e} in its logits")


def started(engine: Engine, prompts, *, seed: int, **options):
    """Start a run with the sampling that all subjects have."""
    how = {"guidance": GUIDANCE, **SAMPLING, "speculate": 1, **options}
    return engine.start(request(engine.streams, prompts, seed=seed, **how))


def contestants(model: Model, batch: int, agreed: dict[str, float]) -> list[Contestant]:
    """Make the engines that decode `batch` pictures at once, and who reads memory.

    Args:
        model: the weights.
        batch: how many.
        agreed: receives, by name, the share of tokens that the reference draws too.

    Returns:
        The contestants; each is made when it is verified.
    """
    plan, first = model.plan, model.plan.dtypes[0]
    read = Read(plan.read_bytes, plan.device)
    return [
        _engine(model, batch, f"{EAGER} {first}", EAGER, first, agreed),
        *(_engine(model, batch, ours(dtype), GRAPH, dtype, agreed) for dtype in plan.dtypes),
        Contestant(READ, lambda: Block("", gpu.seconds(plan.device, [read] * 3)), read.check),
    ]


def beside_compiled(model: Model, batch: int, agreed: dict[str, float]) -> list[Contestant]:
    """Make ours in the first dtype and the compiled loop, whose compilation takes long.

    Args:
        model: the weights.
        batch: pictures at once.
        agreed: as in `contestants`.

    Returns:
        The contestants; each is made when it is verified.
    """
    loops: list[Compiled] = []

    def verify() -> None:
        loops.append(Compiled(model, batch, model.plan))
        loops[0].check(model.exact)
        warm_up(loops[0])

    first = model.plan.dtypes[0]
    return [
        _engine(model, batch, ours(first), GRAPH, first, agreed),
        Contestant(COMPILED, lambda: _block(loops[0]), verify),
    ]


def warm_up(stepping: Pictures | Compiled) -> None:
    """Make one batch of pictures, so that all is compiled and captured; nothing is on a CPU."""
    stepping.block()
    while stepping.plan.device == "cuda" and stepping.known < stepping.length:
        stepping.block()


def _engine(
    model: Model, batch: int, name: str, engine: str, dtype: str, agreed: dict[str, float]
) -> Contestant:
    made = partial(model.engine, engine, dtype)
    pictures = Pictures(made, model.prompts(batch), model.plan)

    def verify() -> None:
        if name not in agreed:
            agreed[name] = share_of_reference(model.plan, made(), model.exact)
        if agreed[name] < decode.AGREEMENT.get(dtype, 0.9):
            raise Disagreement(f"{agreed[name]:.0%} of the tokens are the reference's")
        warm_up(pictures)

    return Contestant(name, lambda: _block(pictures), verify)


def _block(stepping: Stepping) -> Block:
    result = stepping.block()
    return Block(result["span"], tuple(result["seconds"]))


def beside_others(model: Model, dtype: str, batch: int) -> float:
    """Compare what our engine draws for pictures in a batch with what it draws for them alone.

    Returns:
        The share of the tokens of the first and the last picture that are the same.
    """
    engine, prompts = model.engine(GRAPH, dtype), model.prompts(batch)

    def drawn(rows: np.ndarray) -> np.ndarray:
        run = started(engine, rows, seed=5)
        run.advance()
        return as_array(run.tokens)[:, model.plan.prompt :]

    beside = drawn(prompts)
    return float(np.mean([drawn(prompts[[n]])[0] == beside[n] for n in (0, batch - 1)]))


def share_of_reference(plan: Plan, engine: Engine, exact: GPT) -> float:
    """Compare the tokens that an engine draws with those of the reference, as in "decode".

    Args:
        plan: of the model.
        engine: the engine.
        exact: the model in fp32.

    Returns:
        The share of tokens that the reference draws too.
    """

    def generate(forced: list[int], seed: int, stop: int, temperature: float) -> list[int]:
        run = started(
            engine, forced[: plan.prompt], seed=seed, forced=forced, stop=stop,
            temperature=temperature,
        )  # fmt: skip
        run.advance()
        return as_array(run.tokens)[0].tolist()

    return decode.agreement(plan, exact, generate)


def step_bytes(plan: Plan, batch: int) -> float:
    """Return the bytes that a step in the first dtype must read, the mean over a picture."""
    model, dtype = GPT(plan.config), plan.dtype
    positions = range(plan.prompt, plan.config.streams.length - 1)
    return statistics.mean(model.decode_bytes(p, 2 * batch, dtype, dtype) for p in positions)
