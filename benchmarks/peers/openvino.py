"""OpenVINO: a GPT-2 of our shape with random weights, its keys and values in the state of the
model, its weights compressed by NNCF.

What is timed of a token is one request, from tokens to logits, without any sampling. The graph is
written as Optimum exports one (ReadValue, a Gather by beam, Concat, attention), which is the form
that OpenVINO fuses into one operation with a KV cache of its own. A prompt goes in one position at
a time, so the graph needs no mask."""

from __future__ import annotations

import os
import time

os.environ["NNCF_CI"] = "1"  # or importing NNCF, and each use, is reported to its makers

import nncf  # noqa: E402
import numpy as np  # noqa: E402
import openvino  # noqa: E402
from openvino import opset13 as op  # noqa: E402

from benchmarks.peers.gpt2 import random_weights  # noqa: E402
from benchmarks.stepping import Stepping  # noqa: E402

# Heads and embedding are compressed as well.
FORMS = {
    "int8": {"mode": nncf.CompressWeightsMode.INT8_SYM},
    "int4": {"mode": nncf.CompressWeightsMode.INT4_SYM, "group_size": 128, "all_layers": True},
}


class OpenVINO(Stepping):
    """compression: a key of FORMS, or None for fp32."""

    def __init__(self, folder, shape, prompt, size, threads, compression, rows) -> None:
        super().__init__(prompt, shape["length"], size)
        model = stateful_model(random_weights(shape), shape, rows)
        if compression:
            model = nncf.compress_weights(model, **FORMS[compression])
        self.decoder = Decoder(model, rows, threads)
        self.tokens = np.random.default_rng(0).integers(1, shape["vocab"], (shape["length"], rows))

    def describe(self) -> dict:
        return self.decoder.describe()

    def begin(self) -> None:
        self.decoder.reset()
        for position in range(self.prompt):
            self.decoder.step(self.tokens[position], position)
        self.position = self.prompt

    def steps(self, count: int) -> list[float]:
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            logits = self.decoder.step(self.tokens[self.position], self.position)
            seconds.append(time.perf_counter() - start)
            self.position += 1
        if not np.isfinite(logits).all() or np.ptp(logits) == 0:
            raise RuntimeError("OpenVINO: found logits that are constant or not finite")
        return seconds


class Decoder:
    """A compiled model, one position of all rows at a time.

    Args:
        model: of `stateful_model`.
        rows: of the batch.
        threads: of the CPU.
        options: of OpenVINO, beside those below.
    """

    def __init__(self, model: openvino.Model, rows: int, threads: int, **options) -> None:
        defaults = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_HYPER_THREADING": True,  # or two threads of one core would be one
        }
        self.compiled = openvino.Core().compile_model(model, "CPU", {**defaults, **options})
        self.request = self.compiled.create_infer_request()
        self.beams = np.arange(rows, dtype=np.int32)

    def describe(self) -> dict:
        keys = ("INFERENCE_PRECISION_HINT", "KV_CACHE_PRECISION", "INFERENCE_NUM_THREADS")
        said = {key.lower(): str(self.compiled.get_property(key)) for key in keys}
        return {"version": openvino.__version__.split("-")[0], **said}

    def reset(self) -> None:
        """Forget all positions."""
        self.request.reset_state()

    def step(self, tokens: np.ndarray, position: int) -> np.ndarray:
        """Feed the token of each row at `position`.

        Args:
            tokens: [rows].
            position: from 0 on, one after the other.

        Returns:
            The logits [rows, vocab], which the next step overwrites.
        """
        inputs = (tokens, np.array(position), self.beams)
        self.request.infer(inputs, share_inputs=True, share_outputs=True)
        return self.request.get_output_tensor().data


def stateful_model(weights: dict[str, np.ndarray], shape: dict, rows: int) -> openvino.Model:
    """Build the graph of one position.

    Args:
        weights: as those of `random_weights`.
        shape: dim, layers, heads, mlp, vocab, length.
        rows: of the batch.

    Returns:
        The model, in fp32: tokens [rows], position [] and beams [rows] to logits [rows, vocab].
    """
    heads, d = shape["heads"], shape["dim"]
    tokens = op.parameter([rows], np.int64, "tokens")
    position = op.parameter([], np.int64, "position")
    beams = op.parameter([rows], np.int32, "beams")
    sinks = []

    def linear(x, name: str):
        y = op.matmul(x, op.constant(weights[f"{name}.weight"]), False, True)
        bias = weights.get(f"{name}.bias")
        return y if bias is None else op.add(y, op.constant(bias))

    def norm(x, name: str):
        y = op.mvn(x, op.constant(np.array([-1])), True, 1e-5, "inside_sqrt")
        y = op.multiply(y, op.constant(weights[f"{name}.weight"]))
        return op.add(y, op.constant(weights[f"{name}.bias"]))

    def split(x):
        x = op.reshape(x, op.constant(np.array([rows, 1, heads, d // heads])), False)
        return op.transpose(x, op.constant(np.array([0, 2, 1, 3])))

    def cached(x, name: str):
        """x [rows, heads, 1, d / heads] behind what was there before."""
        size = openvino.PartialShape([rows, heads, -1, d // heads])
        empty = op.constant(np.zeros((rows, heads, 0, d // heads), np.float32))
        past = op.read_value(empty, name, openvino.Type.f32, size)
        past = op.gather(past, beams, op.constant(np.int64(0)))
        whole = op.concat([past, x], 2)
        sinks.append(op.assign(whole, name))
        return whole

    def embedded(name: str, index):
        return op.gather(op.constant(weights[name]), index, op.constant(np.int64(0)))

    x = op.add(embedded("wte.weight", tokens), embedded("wpe.weight", position))
    x = op.reshape(x, op.constant(np.array([rows, 1, d])), False)
    for i in range(shape["layers"]):
        name = f"h.{i}"
        qkv = linear(norm(x, f"{name}.ln_1"), f"{name}.c_attn")
        q, k, v = (split(part) for part in op.split(qkv, op.constant(np.int64(2)), 3).outputs())
        y = op.scaled_dot_product_attention(q, cached(k, f"{name}.k"), cached(v, f"{name}.v"))
        y = op.transpose(y, op.constant(np.array([0, 2, 1, 3])))
        y = op.reshape(y, op.constant(np.array([rows, 1, d])), False)
        x = op.add(x, linear(y, f"{name}.c_proj"))
        y = op.gelu(linear(norm(x, f"{name}.ln_2"), f"{name}.c_fc"), "erf")
        x = op.add(x, linear(y, f"{name}.c_out"))
    logits = op.reshape(
        linear(norm(x, "ln_f"), "heads.0"), op.constant(np.array([rows, -1])), False
    )
    return openvino.Model([op.result(logits)], sinks, [tokens, position, beams], "gpt2")
