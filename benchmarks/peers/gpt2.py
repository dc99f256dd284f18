"""The GPT-2 that peers are given which build a graph of their own: its weights, by the names that
`plain_gpt.PlainGPT` has for them."""

from __future__ import annotations

import numpy as np

LINEAR = ("c_attn", "c_proj", "c_fc", "c_out")  # of each block


def random_weights(shape: dict) -> dict[str, np.ndarray]:
    """Draw the weights of an untied GPT-2 in fp32.

    Args:
        shape: dim, layers, heads, mlp, vocab, length.

    Returns:
        By name: matrices [output, input] and biases of N(0, 0.02), norms that change nothing.
    """
    d, mlp, rng = shape["dim"], shape["mlp"], np.random.default_rng(0)
    weights = {}

    def normal(name: str, *size: int) -> None:
        weights[name] = 0.02 * rng.standard_normal(size, np.float32)

    def norm(name: str) -> None:
        weights[f"{name}.weight"] = np.ones(d, np.float32)
        weights[f"{name}.bias"] = np.zeros(d, np.float32)

    normal("wte.weight", shape["vocab"], d)
    normal("wpe.weight", shape["length"], d)
    for i in range(shape["layers"]):
        norm(f"h.{i}.ln_1")
        norm(f"h.{i}.ln_2")
        for name, size in zip(LINEAR, ((3 * d, d), (d, d), (mlp, d), (d, mlp)), strict=True):
            normal(f"h.{i}.{name}.weight", *size)
            normal(f"h.{i}.{name}.bias", size[0])
    norm("ln_f")
    normal("heads.0.weight", shape["vocab"], d)
    return weights
