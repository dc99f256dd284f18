"""minDALL-E's second stage as a GPT of ours, over text and img.

    model = import_gpt("1.3B/stage2_last.ckpt")      # 1,291,081,728 weights from 680 tensors

Its blocks are ours by other names, but for queries, keys and values, which it keeps apart and we
do not. A training run that begins with the bundle (`start`) adds seg between text and img.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import GPTConfig, preset
from mas_fast.streams import Stream, Streams
from mas_fast.utils.checkpoint import (
    below,
    check_weights,
    is_average,
    prefixes,
    read_checkpoint,
    state_dict,
)
from mas_fast.utils.documents import short
from mas_fast.utils.yaml_documents import read_yaml

ANCHOR = "tok_emb_img.weight"  # what every second stage has
# Of its own sampling: one row a token, since it knows no guidance.
SAMPLING: dict[str, object] = {"guidance": 1.0, "temperature": 1.0, "top_k": 256, "top_p": None}
OUTSIDE = {"ln_f": "norm", "tok_emb_txt": "embed.text", "tok_emb_img": "embed.img"}
OUTSIDE |= {"pos_emb_txt": "position.text", "pos_emb_img": "position.img"}
OUTSIDE |= {"head_txt": "head.text", "head_img": "head.img"}
INSIDE = {"ln1": "norm1", "ln2": "norm2", "attn.proj": "attention.proj"}
INSIDE |= {"mlp.0": "mlp.up", "mlp.2": "mlp.down"}
FUSED = ("query", "key", "value")  # in the order of our rows
FIXED = {"mlp_bias": True, "attn_bias": True, "gelu_use_approx": False, "use_head_txt": True}


def import_gpt(
    checkpoint: str | os.PathLike,
    config: str | os.PathLike | None = None,
    pad: int = 0,
) -> GPT:
    """Import the GPT in minDALL-E's stage2_last.ckpt.

    A warning tells which prefix of the names was taken off.

    Args:
        checkpoint: a file of torch.save.
        config: its YAML file; None for the published shape.
        pad: the id of [PAD] in the captions' tokenizer.

    Returns:
        The GPT, fp32.

    Raises:
        ValueError: if the file is no checkpoint or has code in it, if the config cannot be built,
            or if names or shapes differ from the config's.
    """
    path = Path(checkpoint)
    return gpt_of(path, state_dict(path, read_checkpoint(path)), config, pad)


def is_gpt(weights: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is one of the second stage."""
    return bool(prefixes(weights, ANCHOR))


def gpt_of(
    path: Path,
    weights: dict[str, Tensor],
    config: str | os.PathLike | None = None,
    pad: int = 0,
) -> GPT:
    """The GPT of a state dict, as `import_gpt` makes it; `path` is for messages."""
    shape = preset("mindalle-1.3b") if config is None else read_gpt_config(config, pad)
    candidates = prefixes(weights, ANCHOR)
    candidates = [prefix for prefix in candidates if not is_average(prefix)] or candidates
    if len(candidates) > 1:
        raise ValueError(f"{path}: found second stages at {candidates}, expected one")
    prefix = candidates[0] if candidates else ""
    renamed = _renamed(below(weights, prefix))
    check_weights(path, renamed, shape.weight_shapes())
    if prefix:
        taken = f"{path}: took the weights whose names begin with {prefix!r}, without it"
        warnings.warn(taken, stacklevel=3)
    model = GPT(shape)
    model.load_state_dict({name: w.float() for name, w in renamed.items()}, assign=True)
    return model


def read_gpt_config(path: str | os.PathLike, pad: int = 0) -> GPTConfig:
    """The config of the second stage that minDALL-E's YAML describes.

    Args:
        path: the YAML file.
        pad: the id of padding in captions.

    Raises:
        ValueError: if it cannot be built; the message names why.
    """
    path = Path(path)
    values: Any = read_yaml(path)  # of any form: what does not fit raises
    try:
        part = values["stage2"]
        kind, sizes = part.get("type", "transformer1d"), part["hparams"]
        if kind != "transformer1d":
            raise ValueError(f"stage2.type: found {short(kind)}, expected 'transformer1d'")
        for name, needed in FIXED.items():
            if sizes.get(name, needed) != needed:
                raise ValueError(f"{name}: found {short(sizes[name])}, expected {needed}")
        side = math.isqrt(sizes["ctx_len_img"])
        text = Stream("text", sizes["ctx_len_txt"], part["vocab_size_txt"], pad=pad)
        img = Stream(
            "img", sizes["ctx_len_img"], part["vocab_size_img"], (side, side), loss_weight=7.0
        )
        dim = sizes["embed_dim"]
        return GPTConfig(Streams([text, img]), dim, sizes["n_layers"], sizes["n_heads"], 4 * dim)
    except KeyError as error:
        raise ValueError(f"{path}: found no stage 2 in it: missing {error}") from error
    except (TypeError, AttributeError) as error:
        expected = "expected stage2.hparams, as minDALL-E's"
        raise ValueError(f"{path}: found no stage 2 in it: {error}; {expected}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under our names; those that are not known keep theirs, to be listed."""
    out: dict[str, Tensor] = {}
    apart: dict[str, dict[str, str]] = {}  # our name -> "query" .. "value" -> its name
    for name, weight in weights.items():
        layer, _, suffix = name.rpartition(".")
        block = re.fullmatch(r"(blocks\.\d+)\.(.+)", layer)
        if layer in OUTSIDE:
            out[f"{OUTSIDE[layer]}.{suffix}"] = weight
        elif block and block[2] in INSIDE:
            out[f"{block[1]}.{INSIDE[block[2]]}.{suffix}"] = weight
        elif block and block[2].removeprefix("attn.") in FUSED:
            apart.setdefault(f"{block[1]}.attention.qkv.{suffix}", {})[block[2][5:]] = name
        elif not (block and block[2] == "attn" and suffix == "mask"):  # some versions store it
            out[name] = weight
    for name, parts in apart.items():
        if len(parts) == len(FUSED):
            out[name] = torch.cat([weights[parts[kind]] for kind in FUSED])
        else:
            out |= {old: weights[old] for old in parts.values()}
    return out
