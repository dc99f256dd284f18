"""llama.cpp: a GPT-2-architecture GGUF of our shape with random weights, decoded with one row or
with two.

What is timed of a token is llama_decode and the fetching of its logits, without any sampling. In
llama.cpp's favour: it attends without its flash attention, which on a CPU is slower by up to 1.7x
at position 512 (0.3.36), and it may repack its weights. The weights are stored in the worker's
folder, for the next worker to find."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from gguf.quants import quantize

from benchmarks.stepping import Stepping

QUIET = llama_cpp.llama_log_callback(lambda *_: None)  # llama.cpp keeps the pointer


class LlamaCpp(Stepping):
    """repack: let llama.cpp use its repacked and its AMX buffers."""

    def __init__(self, folder, shape, prompt, size, threads, weights, rows, repack) -> None:
        super().__init__(prompt, shape["length"], size)
        llama_cpp.llama_backend_init()
        llama_cpp.llama_log_set(QUIET, None)
        path = Path(folder) / f"llama-{weights}.gguf"
        if not path.exists():
            write_weights(path, shape, weights)
        model = llama_cpp.llama_model_default_params()
        model.use_extra_bufts = repack
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), model)
        context = llama_cpp.llama_context_default_params()
        context.n_ctx = rows * shape["length"]
        context.n_seq_max = rows
        context.n_batch = context.n_ubatch = rows
        context.n_threads = context.n_threads_batch = threads
        context.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = llama_cpp.llama_init_from_model(self.model, context)
        if not self.context:
            raise RuntimeError(f"llama.cpp made no context for {path}")
        self.batch = llama_cpp.llama_batch_init(rows, 0, 1)
        self.rows, self.repack, self.vocab = rows, repack, shape["vocab"]
        self.tokens = np.random.default_rng(0).integers(1, self.vocab, (shape["length"], rows))

    def describe(self) -> dict:
        features = llama_cpp.llama_print_system_info().decode().split(":", 1)[-1].split("|")
        on = [text.split("=")[0].strip() for text in features if text.strip().endswith("= 1")]
        return {"features": " ".join(on), "AMX and repacked buffers": self.repack}

    def begin(self) -> None:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        # One position at a time: where GCC 12 compiled it, the AMX kernel for several rows
        # crashes (its tile configuration is optimised away), and that of one row is the fastest
        # that there is.
        for position in range(self.prompt):
            self._decode(position)
        self.position = self.prompt

    def steps(self, count: int) -> list[float]:
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            self._decode(self.position)
            seconds.append(time.perf_counter() - start)
            self.position += 1
        logits = np.ctypeslib.as_array(
            llama_cpp.llama_get_logits_ith(self.context, self.rows - 1), (self.vocab,)
        )
        if not np.isfinite(logits).all() or np.ptp(logits) == 0:
            raise RuntimeError("llama.cpp: found logits that are constant or not finite")
        return seconds

    def _decode(self, position: int) -> None:
        """Feeds the token of each row at `position` and waits for the logits of all."""
        batch = self.batch
        batch.n_tokens = self.rows
        for row in range(self.rows):
            batch.token[row], batch.pos[row] = int(self.tokens[position, row]), position
            batch.n_seq_id[row], batch.seq_id[row][0], batch.logits[row] = 1, row, 1
        code = llama_cpp.llama_decode(self.context, batch)
        if code:
            raise RuntimeError(f"llama_decode: found code {code}, expected 0")
        for row in range(self.rows):
            if not llama_cpp.llama_get_logits_ith(self.context, row):
                raise RuntimeError(f"llama_get_logits_ith: found no logits of row {row}")


def write_weights(path: Path, shape: dict, weights: str) -> None:
    """As write_gguf; Q4_K is made of bf16 by llama.cpp itself, since gguf does not know how."""
    if weights != "Q4_K":
        write_gguf(path, shape, gguf.GGMLQuantizationType[weights])
        return
    source, temporary = path.with_suffix(".bf16"), path.with_suffix(".part")
    write_gguf(source, shape, gguf.GGMLQuantizationType.BF16)
    how = llama_cpp.llama_model_quantize_default_params()
    how.ftype, how.pure = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_S, True
    code = llama_cpp.llama_model_quantize(
        str(source).encode(), str(temporary).encode(), ctypes.byref(how)
    )
    source.unlink()
    if code:
        raise RuntimeError(f"llama_model_quantize: found code {code}, expected 0")
    temporary.rename(path)


def write_gguf(path: Path, shape: dict, kind: gguf.GGMLQuantizationType) -> None:
    """A GPT-2 of `shape` (dim, layers, heads, mlp, vocab, length): matrices N(0, 0.02) stored as
    `kind`, untied head."""
    d, vocab = shape["dim"], shape["vocab"]
    temporary = path.with_suffix(".part")
    out = gguf.GGUFWriter(str(temporary), "gpt2")
    out.add_block_count(shape["layers"])
    out.add_context_length(shape["length"])
    out.add_embedding_length(d)
    out.add_feed_forward_length(shape["mlp"])
    out.add_head_count(shape["heads"])
    out.add_layer_norm_eps(1e-5)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list([f"t{i}" for i in range(vocab)])
    out.add_token_types([1] * vocab)
    out.add_token_merges(["t 1"])
    out.add_bos_token_id(0)
    out.add_eos_token_id(0)
    rng = np.random.default_rng(0)

    def matrix(name: str, *size: int) -> None:
        values = 0.02 * rng.standard_normal(size, np.float32)
        out.add_tensor(f"{name}.weight", quantize(values, kind), raw_dtype=kind)

    def vector(name: str, values: np.ndarray) -> None:
        out.add_tensor(name, values.astype(np.float32))

    def norm(name: str) -> None:
        vector(f"{name}.weight", np.ones(d))
        vector(f"{name}.bias", np.zeros(d))

    matrix("token_embd", vocab, d)
    vector("position_embd.weight", 0.02 * rng.standard_normal((shape["length"], d)))
    norm("output_norm")
    matrix("output", vocab, d)
    for i in range(shape["layers"]):
        for name in ("attn_norm", "ffn_norm"):
            norm(f"blk.{i}.{name}")
        for name, rows, columns in (
            ("attn_qkv", 3 * d, d),
            ("attn_output", d, d),
            ("ffn_up", shape["mlp"], d),
            ("ffn_down", d, shape["mlp"]),
        ):
            matrix(f"blk.{i}.{name}", rows, columns)
            vector(f"blk.{i}.{name}.bias", 0.02 * rng.standard_normal(rows))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    temporary.rename(path)
