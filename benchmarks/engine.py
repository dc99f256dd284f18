"""Ours, inside a worker: the C++ engine over a bundle, and the rate at which memory can be read.
No torch."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.sparse import sparse_config
from benchmarks.stepping import Stepping
from mas_fast.bundle import read_config, read_weights
from mas_fast.utils import native

GUIDANCE = 3.0
SAMPLING = {"temperature": 1.0, "top_k": 256, "top_p": None}


class MasFast(Stepping):
    """The C++ engine, with guidance 3 and top-k 256.

    So there are two rows a token. Times include the sampling.

    Args:
        bundle: the bundle.
        prompt: tokens of the prompt.
        size: tokens of a block.
        threads: of the engine.
        dtype: in which the GPT computes.
        kv_dtype: in which keys and values are kept.
        masked: whether the bundle's GPT is put under DALL-E's masks.
    """

    def __init__(self, bundle, prompt, size, threads, dtype, kv_dtype, masked=False) -> None:
        config = read_config(bundle)
        config = sparse_config(config) if masked else config
        super().__init__(prompt, config.streams.length, size)
        self.engine = native.engine().Engine(
            config.to_engine(),
            read_weights(bundle),
            dtype=dtype,
            kv_dtype=kv_dtype,
            threads=threads,
        )
        streams = len(config.streams)
        text = config.streams[0]
        self.sampling = {name: [value] * streams for name, value in SAMPLING.items()}
        self.sampling["guidance"] = np.full(self.length, GUIDANCE)
        self.null = np.full((1, text.length), text.pad, np.int32)
        self.caption = np.random.default_rng(0).integers(1, text.vocab, prompt)
        self.seed, self.run = 0, None

    def describe(self) -> dict:
        engine = self.engine
        return {
            "ISA": engine.isa,
            "weights": engine.dtype,
            "KV": engine.kv_dtype,
            "packed weights, MB": round(engine.weight_bytes / 1e6, 1),
        }

    def weight_bytes(self) -> int:
        return self.engine.weight_bytes

    def kv_bytes(self) -> int:
        """Return the bytes of a whole image.

        For each position they are what the first, which sees itself alone, reads.
        """
        each = self.engine.step_bytes(0, 3) - self.engine.step_bytes(0, 1)
        return each * self.length

    def step_bytes(self) -> list[int]:
        """Return what must be read to make each token.

        Returns:
            Bytes of token n, for n = 1..length, in entry n - 1; token 1 is given.
        """
        return [0] + [self.engine.step_bytes(n - 2, 2) for n in range(2, self.length + 1)]

    def generate(self, forced: list[int], seed: int, stop: int, temperature: float) -> list[int]:
        """Draw the tokens of an image.

        Args:
            forced: ids >= 0 are given, the others drawn.
            seed: of the draws.
            stop: the position from which on tokens are left out.
            temperature: of the sampling.

        Returns:
            The tokens.
        """
        sampling = {**self.sampling, "temperature": [temperature] * len(self.sampling["top_k"])}
        run = self._start(np.array([forced], np.int32), seed, stop, sampling)
        run.advance()
        return run.tokens[0].tolist()

    def begin(self) -> None:
        self.run = None  # its KV cache goes before the next one comes
        forced = np.full((1, self.length), -1, np.int32)
        forced[0, : self.prompt] = self.caption
        self.seed += 1
        self.run = self._start(forced, self.seed)
        self.run.advance(1)

    def steps(self, count: int) -> list[float]:
        stamps = [time.perf_counter()]
        self.run.advance(count, lambda position, stop: stamps.append(time.perf_counter()))
        if len(stamps) != count + 1:
            raise RuntimeError(f"found {len(stamps) - 1} reports of progress, expected {count}")
        return np.diff(stamps).tolist()

    def _start(self, forced: np.ndarray, seed: int, stop: int | None = None, sampling=None):
        how = sampling or self.sampling
        # One position a pass: random weights make every guess wrong, and each token is timed.
        return self.engine.start(forced, self.null, seed=seed, stop=stop, window=1, **how)


class MemoryRead:
    """A vectorised C++ sum over `size` bytes; a block is a few passes, a unit one pass."""

    def __init__(self, size, threads, passes) -> None:
        self.size, self.passes = size, passes
        self.memory = native.engine().Bandwidth(size, threads)

    def describe(self) -> dict:
        return {"ISA": native.engine().active_isa(), "bytes a pass": self.size}

    def block(self) -> dict:
        return {"span": "", "seconds": [self.size / self.memory.read() for _ in range(self.passes)]}
