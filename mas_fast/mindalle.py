"""minDALL-E's second stage as a GPT of ours, over text and img.

    model = import_gpt("1.3B/stage2_last.ckpt")      # 1,291,081,728 weights from 680 tensors

Its blocks are ours by other names, but for queries, keys and values, which it keeps apart and we
do not. A training run that begins with the bundle (`start`) adds seg between text and img.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mas_fast.config import GPTConfig, preset
from mas_fast.foreign import check_weights, read_checkpoint, read_yaml, state_dict
from mas_fast.gpt import GPT
from mas_fast.streams import Stream, Streams

PREFIX = "stage2."  # of the names, where a checkpoint holds both stages
OUTSIDE = {"ln_f": "norm", "tok_emb_txt": "embed.text", "tok_emb_img": "embed.img"}
OUTSIDE |= {"pos_emb_txt": "position.text", "pos_emb_img": "position.img"}
OUTSIDE |= {"head_txt": "head.text", "head_img": "head.img"}
INSIDE = {"ln1": "norm1", "ln2": "norm2", "attn.proj": "attention.proj"}
INSIDE |= {"mlp.0": "mlp.up", "mlp.2": "mlp.down"}
FUSED = ("query", "key", "value")  # in the order of our rows
FIXED = {"mlp_bias": True, "attn_bias": True, "gelu_use_approx": False, "use_head_txt": True}


def import_gpt(
    checkpoint: str | os.PathLike, config: str | os.PathLike | None = None, pad: int = 0
) -> GPT:
    """The GPT in minDALL-E's stage2_last.ckpt, fp32.

    config: its YAML; without one, the published shape. pad: the id of [PAD] in the captions'
    tokenizer. ValueError for a file that is no checkpoint or has code in it, for a config that
    cannot be built, and for names or shapes that differ from the config's.
    """
    path = Path(checkpoint)
    return gpt_of(path, state_dict(path, read_checkpoint(path)), config, pad)


def is_gpt(weights: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is one of the second stage."""
    return any(name.removeprefix(PREFIX) == "tok_emb_img.weight" for name in weights)


def gpt_of(
    path: Path, weights: dict[str, Tensor], config: str | os.PathLike | None = None, pad: int = 0
) -> GPT:
    """As `import_gpt`, of a state dict; `path` is for messages."""
    shape = preset("mindalle-1.3b") if config is None else read_gpt_config(config, pad)
    own = {n.removeprefix(PREFIX): w for n, w in weights.items() if not n.startswith("stage1.")}
    renamed = _renamed(own)
    check_weights(path, renamed, shape.weight_shapes())
    model = GPT(shape)
    model.load_state_dict({name: w.float() for name, w in renamed.items()}, assign=True)
    return model


def read_gpt_config(path: str | os.PathLike, pad: int = 0) -> GPTConfig:
    """The config of the second stage that minDALL-E's YAML describes. ValueError names what cannot
    be built."""
    path = Path(path)
    values = read_yaml(path)
    try:
        part = values["stage2"]
        kind, sizes = part.get("type", "transformer1d"), part["hparams"]
        if kind != "transformer1d":
            raise ValueError(f"stage2.type: found {kind!r}, expected 'transformer1d'")
        for name, expected in FIXED.items():
            if sizes.get(name, expected) != expected:
                raise ValueError(f"{name}: found {sizes[name]}, expected {expected}")
        side = math.isqrt(sizes["ctx_len_img"])
        text = Stream("text", sizes["ctx_len_txt"], part["vocab_size_txt"], pad=pad)
        img = Stream(
            "img", sizes["ctx_len_img"], part["vocab_size_img"], (side, side), loss_weight=7.0
        )
        dim = sizes["embed_dim"]
        return GPTConfig(Streams([text, img]), dim, sizes["n_layers"], sizes["n_heads"], 4 * dim)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: found no stage 2 in it: missing {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under our names; those that are not known keep theirs, to be listed."""
    out, apart = {}, {}
    for name, weight in weights.items():
        layer, _, part = name.rpartition(".")
        block = re.fullmatch(r"(blocks\.\d+)\.(.+)", layer)
        if layer in OUTSIDE:
            out[f"{OUTSIDE[layer]}.{part}"] = weight
        elif block and block[2] in INSIDE:
            out[f"{block[1]}.{INSIDE[block[2]]}.{part}"] = weight
        elif block and block[2].removeprefix("attn.") in FUSED:
            apart.setdefault(f"{block[1]}.attention.qkv.{part}", {})[block[2][5:]] = name
        elif not (block and block[2] == "attn" and part == "mask"):  # some versions store it
            out[name] = weight
    for name, parts in apart.items():
        if len(parts) == len(FUSED):
            out[name] = torch.cat([weights[parts[which]] for which in FUSED])
        else:
            out |= {old: weights[old] for old in parts.values()}
    return out
