"""The weights of a GPT as the kernels of a decode step read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from mas_fast.bundle.quantized import INT4, matrix_dtype
from mas_fast.kernels.packed_weight import PackedWeight, pack, pack_levels
from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import GPTConfig
from mas_fast.ops.reference.attention import visible

# The dtype of what is not a matrix, of activations and of the KV cache, by that of the matrices.
# Quantized ones multiply bfloat16 on a GPU; Triton's interpreter multiplies that wrongly.
ACTIVATIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
Levels: TypeAlias = Mapping[str, tuple[np.ndarray, np.ndarray]]
DTYPES = (*ACTIVATIONS, "int8", "fp8", INT4)


@dataclass(frozen=True)
class Linear:
    """A packed matrix [N, K] and its bias [N], where it has one."""

    weight: PackedWeight
    bias: Tensor | None


@dataclass(frozen=True)
class LayerWeights:
    """A block of the GPT.

    Attributes:
        norm1, norm2: the gain and the bias of each LayerNorm, [D].
        qkv, proj, up, down: of attention, and of the MLP.
        gains: of the RMSNorm of queries and keys, [K] each; None where there is none.
        visible: the bits of its mask, int32 [S, ceil(S / 32)]; None: causal.
    """

    norm1: tuple[Tensor, Tensor]
    qkv: Linear
    gains: tuple[Tensor, Tensor] | None
    proj: Linear
    norm2: tuple[Tensor, Tensor]
    up: Linear
    down: Linear
    visible: Tensor | None


@dataclass(frozen=True)
class StepWeights:
    """A GPT, packed.

    Attributes:
        config: of the GPT.
        layers: the blocks.
        norm: the gain and the bias of the last LayerNorm, [D].
        heads: a head for each stream, [V, D].
        embedding: [sum of V, D], the rows of all streams, one stream after the other.
        offset: int32 [S], where the rows of the position's stream begin.
        position: [S, D].
    """

    config: GPTConfig
    layers: list[LayerWeights]
    norm: tuple[Tensor, Tensor]
    heads: dict[str, Linear]
    embedding: Tensor
    offset: Tensor
    position: Tensor

    @property
    def device(self) -> torch.device:
        return self.embedding.device

    @property
    def dtype(self) -> torch.dtype:
        return self.embedding.dtype


@torch.no_grad()
def pack_weights(model: GPT, dtype: str, levels: Levels | None = None) -> StepWeights:
    """Pack the weights of a GPT, on its device.

    Args:
        model: the GPT.
        dtype: of the matrices, one of DTYPES. "int4" is what a bundle of int4 stores: int8 in the
            first block and the heads.
        levels: with "int4", of each matrix that is stored so, as `read_weights` gives it: levels,
            int8 [N, K], and scales, bfloat16 as uint16 [N, groups]. Others are quantized here.

    Returns:
        The weights. Those that are as they should be are not copied, so they must not change.
    """
    config, device = model.config, model.device
    wide = torch.bfloat16 if device.type == "cuda" else torch.float32
    activation = ACTIVATIONS.get(dtype, wide)

    def plain(tensor: Tensor) -> Tensor:
        return tensor.detach().to(activation).contiguous()

    def affine(module: nn.Module) -> tuple[Tensor, Tensor]:
        return plain(module.get_parameter("weight")), plain(module.get_parameter("bias"))

    def linear(name: str) -> Linear:
        module = model.get_submodule(name)
        kind = (matrix_dtype(f"{name}.weight") or dtype) if dtype == INT4 else dtype
        bias = module.get_parameter("bias") if getattr(module, "bias", None) is not None else None
        pair = (levels or {}).get(f"{name}.weight")
        if pair is None:
            packed = pack(module.get_parameter("weight").detach(), kind)
        else:
            stored, scales = pair[0].copy(), pair[1].copy().view(np.int16)  # the file may change
            scales_bf16 = torch.from_numpy(scales).view(torch.bfloat16)
            packed = pack_levels(torch.from_numpy(stored).to(device), scales_bf16.to(device), kind)
        return Linear(packed, None if bias is None else plain(bias))

    bits: dict[str, Tensor | None] = {"causal": None}
    for mask in set(config.masks) - {"causal"}:
        shown = visible(mask, config.streams.length, **config.mask_layout)
        bits[mask] = mask_bits(shown).to(device)
    layers = []
    for i, (block, mask) in enumerate(zip(model.blocks, config.masks, strict=True)):
        attention = block.get_submodule("attention")
        norms = [attention.get_submodule(name) for name in ("q_norm", "k_norm")]
        gains = tuple(plain(norm.get_parameter("weight")) for norm in norms if config.qk_norm)
        layers.append(
            LayerWeights(
                norm1=affine(block.get_submodule("norm1")),
                qkv=linear(f"blocks.{i}.attention.qkv"),
                gains=(gains[0], gains[1]) if gains else None,
                proj=linear(f"blocks.{i}.attention.proj"),
                norm2=affine(block.get_submodule("norm2")),
                up=linear(f"blocks.{i}.mlp.up"),
                down=linear(f"blocks.{i}.mlp.down"),
                visible=bits[mask],
            )
        )
    streams, offsets, total = config.streams, [], 0
    for stream in streams:
        offsets += [total] * stream.length
        total += stream.vocab
    tables: list[Tensor] = [model.embed[s.name].get_parameter("weight") for s in streams]
    return StepWeights(
        config=config,
        layers=layers,
        norm=affine(model.norm),
        heads={stream.name: linear(f"head.{stream.name}") for stream in streams},
        embedding=plain(torch.cat(tables)),
        offset=torch.tensor(offsets, dtype=torch.int32, device=device),
        position=plain(torch.cat([model.position[stream.name]() for stream in streams])),
    )


def mask_bits(shown: Tensor) -> Tensor:
    """Pack a mask.

    Args:
        shown: bool [S, S].

    Returns:
        int32 [S, ceil(S / 32)]: bit n % 32 of word n // 32 of row p is shown[p, n].
    """
    length = len(shown)
    padded = torch.nn.functional.pad(shown, (0, -length % 32)).view(length, -1, 32)
    words = (padded.long() << torch.arange(32, device=shown.device)).sum(2)
    return torch.where(words < 1 << 31, words, words - (1 << 32)).int()
