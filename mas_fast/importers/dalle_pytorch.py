"""What is in a checkpoint of DALLE-pytorch (https://github.com/lucidrains/DALLE-pytorch).

Its .pt holds {"hparams", "vae_params", "vae_class_name", "weights", ...}. Of these weights only a
VQGAN of taming can be imported ("vae.model.*", see importers). The project's own DiscreteVAE is
plain convolutions with ReLU, and its transformer has gated MLPs, a scale for each layer, shifted
tokens and rotary positions: neither is one of our networks by other names, so no import of them
would draw what they draw.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mas_fast.utils.checkpoint import prefixes


def describe(weights: Mapping[str, Tensor]) -> str | None:
    """The parts of DALLE-pytorch in a state dict, in words; None where none is known."""
    parts = []
    for prefix in prefixes(weights, "image_emb.weight"):
        codes = list(weights[f"{prefix}image_emb.weight"].shape)
        depth = sum(name.endswith(".to_qkv.weight") for name in weights)
        parts.append(f"a transformer of {depth} layers over image codes {codes}")
    for prefix in prefixes(weights, "codebook.weight"):
        codes = list(weights[f"{prefix}codebook.weight"].shape)
        depth = sum(name.endswith(".0.weight") for name in weights if f"{prefix}encoder." in name)
        parts.append(f"a DiscreteVAE of {depth} layers with the codebook {codes}")
    if any(".blocks.group_1.block_1." in name for name in weights):
        parts.append("OpenAI's discrete VAE")
    return " and ".join(parts) or None
