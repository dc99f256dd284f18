"""CTranslate2: a GPT-2 of our shape with random weights, int8, through Generator.generate_batch
with a callback.

generate_batch makes a whole image in one call; its callback, which runs once per row and token,
is where the clock is read and where the call is held between blocks. Its times include its own
top-k sampling."""

from __future__ import annotations

from pathlib import Path

import ctranslate2
import numpy as np
from ctranslate2.specs import common_spec, transformer_spec

from benchmarks.stepping import Paced


class CTranslate2(Paced):
    def __init__(self, folder, shape, prompt, size, threads, compute_type, rows) -> None:
        super().__init__(prompt, shape["length"], size)
        path = Path(folder) / f"ctranslate2-{compute_type}"
        write_model(path, shape, compute_type)
        ctranslate2.set_random_seed(0)
        self.generator = ctranslate2.Generator(
            str(path),
            device="cpu",
            compute_type=compute_type,
            inter_threads=1,
            intra_threads=threads,
        )
        tokens = np.random.default_rng(0).integers(1, shape["vocab"], (rows, prompt))
        self.prompts = [[f"t{i}" for i in row] for row in tokens]

    def describe(self) -> dict:
        supported = sorted(ctranslate2.get_supported_compute_types("cpu"))
        return {
            "compute type": self.generator.compute_type,
            "supported": ", ".join(supported),
        }

    def generate(self) -> None:
        last = len(self.prompts) - 1

        def callback(result) -> bool:
            if result.batch_id == last:
                self.tick()
            return False

        count = self.length - self.prompt
        self.generator.generate_batch(
            self.prompts,
            include_prompt_in_result=False,
            max_length=count,
            min_length=count,
            sampling_topk=256,
            sampling_temperature=1.0,
            callback=callback,
        )


def write_model(path: Path, shape: dict, quantization: str) -> None:
    """A pre-norm decoder of `shape` (dim, layers, heads, mlp, vocab, length): matrices N(0,
    0.02), untied head."""
    d, rng = shape["dim"], np.random.default_rng(0)
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        shape["layers"], shape["heads"], pre_norm=True, activation=common_spec.Activation.GELU
    )

    def matrix(*size: int) -> np.ndarray:
        return 0.02 * rng.standard_normal(size, np.float32)

    def linear(part, rows: int, columns: int, bias: bool = True) -> None:
        part.weight = matrix(rows, columns)
        if bias:
            part.bias = matrix(rows)

    def norm(part) -> None:
        part.gamma, part.beta = np.ones(d, np.float32), np.zeros(d, np.float32)

    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = matrix(shape["vocab"], d)
    decoder.position_encodings.encodings = matrix(shape["length"], d)
    norm(decoder.layer_norm)
    linear(decoder.projection, shape["vocab"], d, bias=False)
    for layer in decoder.layer:
        norm(layer.self_attention.layer_norm)
        linear(layer.self_attention.linear[0], 3 * d, d)
        linear(layer.self_attention.linear[1], d, d)
        norm(layer.ffn.layer_norm)
        linear(layer.ffn.linear_0, shape["mlp"], d)
        linear(layer.ffn.linear_1, d, shape["mlp"])
    spec.register_vocabulary([f"t{i}" for i in range(shape["vocab"])])
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = "t0"
    spec.validate()
    spec.optimize(quantization=quantization)
    path.mkdir(parents=True, exist_ok=True)
    spec.save(str(path))
