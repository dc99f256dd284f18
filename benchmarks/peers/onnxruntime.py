"""ONNX Runtime: a GPT-2 of our shape with random weights in int4 (MatMulNBits, blocks of 32), its
keys and values bound as inputs and outputs in place.

What is timed of a token is one run, from tokens to logits, without any sampling. The graph has the
operators that ONNX Runtime's model builder makes for its fastest form on a CPU:
GroupQueryAttention over q, k and v in one tensor, with past and present in one buffer, and
SkipLayerNormalization. A prompt goes in one position at a time."""

from __future__ import annotations

import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import OrtValue
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from benchmarks.peers.gpt2 import random_weights
from benchmarks.stepping import Stepping

MICROSOFT = "com.microsoft"
LEVEL = 4  # activations in int8: of MatMulNBits' levels by far the fastest


class OnnxRuntime(Stepping):
    def __init__(self, folder, shape, prompt, size, threads, bits, rows) -> None:
        super().__init__(prompt, shape["length"], size)
        model = quantised(decoder_model(random_weights(shape), shape), bits)
        self.decoder = Decoder(model, shape, rows, threads)
        self.tokens = np.random.default_rng(0).integers(1, shape["vocab"], (shape["length"], rows))

    def describe(self) -> dict:
        return {"version": onnxruntime.__version__, "accuracy level": LEVEL}

    def begin(self) -> None:
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
            raise RuntimeError("ONNX Runtime: found logits that are constant or not finite")
        return seconds


class Decoder:
    """A session, one position of all rows at a time. All that goes in and out is bound once.

    Args:
        model: of `decoder_model`.
        shape: dim, layers, heads, mlp, vocab, length.
        rows: of the batch.
        threads: of the CPU.
    """

    def __init__(self, model: onnx.ModelProto, shape: dict, rows: int, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.binding = self.session.io_binding()
        self.inputs = {
            "tokens": self._input("tokens", np.zeros((rows, 1), np.int64)),
            "position": self._input("position", np.zeros(1, np.int64)),
            "last": self._input("last", np.zeros(rows, np.int32)),
            "total": self._input("total", np.zeros(1, np.int32)),
        }
        self.logits = np.zeros((rows, 1, shape["vocab"]), np.float32)
        self._output("logits", OrtValue.ortvalue_from_numpy(self.logits))
        size = (rows, shape["heads"], shape["length"], shape["dim"] // shape["heads"])
        for name in cache_names(shape):
            cache = self._input(f"past.{name}", np.zeros(size, np.float32))
            self._output(f"present.{name}", cache)

    def step(self, tokens: np.ndarray, position: int) -> np.ndarray:
        """Feed the token of each row at `position`; what the caches hold from there on is void.

        Args:
            tokens: [rows].
            position: from 0 on.

        Returns:
            The logits [rows, vocab], which the next step overwrites.
        """
        self.inputs["tokens"].update_inplace(tokens[:, None])
        self.inputs["position"].update_inplace(np.array([position]))
        self.inputs["last"].update_inplace(np.full(len(tokens), position, np.int32))
        self.inputs["total"].update_inplace(np.array([position + 1], np.int32))
        self.session.run_with_iobinding(self.binding)
        return self.logits[:, 0]

    def _input(self, name: str, array: np.ndarray) -> OrtValue:
        value = OrtValue.ortvalue_from_numpy(array)
        self.binding.bind_ortvalue_input(name, value)
        return value

    def _output(self, name: str, value: OrtValue) -> None:
        self.binding.bind_ortvalue_output(name, value)


def cache_names(shape: dict) -> list[str]:
    """Return the names of what is cached, without "past." or "present."."""
    return [f"{i}.{part}" for i in range(shape["layers"]) for part in "kv"]


def quantised(model: onnx.ModelProto, bits: int) -> onnx.ModelProto:
    """Return the model with the matrices of its products, heads included, in blocks of 32."""
    quantizer = MatMulNBitsQuantizer(
        model, bits=bits, block_size=32, is_symmetric=True, accuracy_level=LEVEL
    )
    quantizer.process()
    return quantizer.model.model


def decoder_model(weights: dict[str, np.ndarray], shape: dict) -> onnx.ModelProto:
    """Build the graph of one position.

    Args:
        weights: as those of `random_weights`.
        shape: dim, layers, heads, mlp, vocab, length.

    Returns:
        The model, in fp32: the inputs of `Decoder` to logits [rows, 1, vocab].
    """
    heads, layers, each = shape["heads"], shape["layers"], shape["dim"] // shape["heads"]
    nodes, constants = [], []

    def node(kind: str, inputs: list[str], outputs: list[str], domain=MICROSOFT, **options) -> str:
        nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **options))
        return outputs[0]

    def constant(name: str, transposed: bool = False) -> str:
        value = weights[name].T if transposed else weights[name]
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def product(x: str, name: str) -> str:
        return node("MatMul", [x, constant(f"{name}.weight", True)], [f"{name}.product"], "")

    def norm(name: str) -> list[str]:
        return [constant(f"{name}.weight"), constant(f"{name}.bias")]

    def add_norm(y: str, x: str, layer: str, name: str) -> tuple[str, str]:
        """The norm `name` of x + y + bias of the layer that made y; and this sum."""
        total = f"{name}.sum"
        inputs = [y, x, *norm(name), constant(f"{layer}.bias")]
        h = node("SkipLayerNormalization", inputs, [name, "", "", total], epsilon=1e-5)
        return h, total

    node("Gather", [constant("wte.weight"), "tokens"], ["wte"], "")
    node("Gather", [constant("wpe.weight"), "position"], ["wpe"], "")
    x = node("Add", ["wte", "wpe"], ["x"], "")
    h = node("LayerNormalization", [x, *norm("h.0.ln_1")], ["h.0.ln_1"], "", epsilon=1e-5)
    for i in range(layers):
        name = f"h.{i}"
        bias = constant(f"{name}.c_attn.bias")
        qkv = node("Add", [product(h, f"{name}.c_attn"), bias], [f"{name}.qkv"], "")
        y = node(
            "GroupQueryAttention",
            [qkv, "", "", f"past.{i}.k", f"past.{i}.v", "last", "total"],
            [f"{name}.y", f"present.{i}.k", f"present.{i}.v"],
            num_heads=heads,
            kv_num_heads=heads,
        )
        h, x = add_norm(product(y, f"{name}.c_proj"), x, f"{name}.c_proj", f"{name}.ln_2")
        up, bias = product(h, f"{name}.c_fc"), constant(f"{name}.c_fc.bias")
        up = node("BiasGelu", [up, bias], [f"{name}.up"])
        following = f"h.{i + 1}.ln_1" if i + 1 < layers else "ln_f"
        h, x = add_norm(product(up, f"{name}.c_out"), x, f"{name}.c_out", following)
    node("MatMul", [h, constant("heads.0.weight", True)], ["logits"], "")

    def value(name: str, *size, kind=TensorProto.FLOAT) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, size)

    cache = ("rows", heads, shape["length"], each)
    inputs = [
        value("tokens", "rows", 1, kind=TensorProto.INT64),
        value("position", 1, kind=TensorProto.INT64),
        value("last", "rows", kind=TensorProto.INT32),
        value("total", 1, kind=TensorProto.INT32),
        *(value(f"past.{name}", *cache) for name in cache_names(shape)),
    ]
    outputs = [
        value("logits", "rows", 1, shape["vocab"]),
        *(value(f"present.{name}", *cache) for name in cache_names(shape)),
    ]
    graph = helper.make_graph(nodes, "gpt2", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)
