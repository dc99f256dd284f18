"""The C++ engine: a GPT's weights made ready to draw tokens. No torch.

engine = CppEngine("my-bundle", dtype="int8")
run = engine.start(request(engine.streams, prompt, guidance=3.0))
run.advance()
run.tokens                                                # int64 [B * samples, S]
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mas_fast.bundle import read_config, read_weights
from mas_fast.generation.engine import Progress, kept_rows
from mas_fast.generation.ids import sequences_of
from mas_fast.generation.request import Request
from mas_fast.utils import native

if TYPE_CHECKING:
    from mas_fast.models.gpt import GPT


KV_DTYPES = {"fp32": "fp32", "int4": "int8"}  # of keys and values, by the GPT's; else bf16


class CppEngine:
    """mas_fast._engine.Engine over packed weights, for any number of runs.

    Args:
        model: a GPT, or the path of a bundle, whose weights are mapped, not loaded.
        dtype: in which the GPT computes, "fp32", "bf16", "int8" or "int4".
        kv_dtype: in which keys and values are kept, "fp32", "bf16" or "int8". None: fp32 beside
            fp32, int8 beside int4, else bf16.
        threads: at most native.engine().available_threads(), what affinity and quotas allow; 0:
            that many.
        isa: the instruction set; "": the best (see mas_fast._engine).

    Raises:
        ImportError: where the engine is not built.
    """

    rows = 16  # with guidance, the 32 of one pass over the weights

    def __init__(
        self,
        model: GPT | str | os.PathLike,
        *,
        dtype: str = "fp32",
        kv_dtype: str | None = None,
        threads: int = 0,
        isa: str = "",
    ) -> None:
        if isinstance(model, str | os.PathLike):
            config, weights = read_config(model), read_weights(model, levels=dtype == "int4")
        else:
            config, weights = model.config, model.arrays()
        self.streams = config.streams
        self.native = native.engine().Engine(
            config.to_engine(),
            weights,
            dtype=dtype,
            kv_dtype=kv_dtype or KV_DTYPES.get(dtype, "bf16"),
            threads=threads,
            isa=isa,
        )

    def start(self, request: Request) -> CppRun:
        names = ("temperature", "top_k", "top_p")
        lists = {name: [getattr(how, name) for how in request.sampling] for name in names}
        vocabs = [stream.vocab for stream in self.streams]  # 10^30 would not fit into int64
        lists["top_k"] = [k and min(k, v) for k, v in zip(lists["top_k"], vocabs, strict=True)]
        return CppRun(
            self.native.start(
                request.forced,
                request.null,
                samples=request.samples,
                first_sample=request.first_sample,
                seed=request.seed,
                stop=request.stop,
                window=0 if request.speculate == "auto" else request.speculate,
                score_forced=request.score_forced,
                guidance=request.guidance,
                **lists,
            )
        )

    def advance(self, runs: Sequence[CppRun], passes: int = 1) -> int:
        """Go on with several runs of this engine, whose rows share each pass over the weights.

        Runs may come and go between calls, and differ in all that a request says. The tokens of
        each are those that it would have alone. Runs that are at their end, or that an error has
        ended (`CppRun.error`), are left out.

        Args:
            runs: the runs, each once.
            passes: at most so many; fewer where a run ends.

        Returns:
            How many passes there were.
        """
        return self.native.advance([run.run for run in runs], passes)

    def logits(self, tokens: object) -> dict[str, np.ndarray]:
        return self.native.logits(sequences_of(tokens, self.streams))


class CppRun:
    """A generation under way, its tokens in an array; `run` is the engine's own."""

    def __init__(self, run: Any) -> None:
        self.run, self.stop = run, run.stop

    @property
    def position(self) -> int:
        return self.run.position

    @property
    def tokens(self) -> np.ndarray:
        """int64 [B * samples, S]; -1 where not yet drawn."""
        return self.run.tokens.astype(np.int64)

    def advance(self, count: int = 0, progress: Progress | None = None) -> int:
        """Go on by some positions.

        Args:
            count: how many; 0: to the end.
            progress: is called with (position, stop) after each pass.

        Returns:
            The position reached.
        """
        return self.run.advance(count, progress)

    @property
    def error(self) -> str | None:
        """What ended the run, where `CppEngine.advance` met it."""
        return self.run.error

    @property
    def forced_log_likelihood(self) -> np.ndarray:
        """float64 [rows]."""
        return self.run.forced_log_likelihood

    def keep(self, rows: Sequence[int]) -> None:
        self.run.keep(kept_rows(rows, len(self.run.tokens)).tolist())
