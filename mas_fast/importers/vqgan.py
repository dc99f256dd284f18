"""Checkpoints of other projects, made into tokenizers of ours.

    model = import_vq("1.3B/stage1_last.ckpt")
    model = import_vq("vqgan/last.ckpt", "vqgan/model.yaml")

Supported are minDALL-E's stage 1 and taming's first stages (VQ and Gumbel; within a transformer's
checkpoint too), whose names are ours, and the sequential layout of CasualGAN's Make-A-Scene, whose
layers are counted off and whose BatchNorm is folded into the convolution before it. Losses,
discriminators and what Lightning adds are left out; anything else that is missing, unexpected or
of another shape is an error that lists it. What stands before all names ("module." and the like)
and averaged copies of the weights are taken off, and told.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mas_fast.importers.dalle_pytorch import describe
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae_config import VQConfig, preset
from mas_fast.scene.labels import LAYOUTS
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

ANCHORS = ("encoder.conv_in.weight", "encoder.model.0.weight")  # what every tokenizer has
LEFT_OUT = ("loss.", "colorize")  # taming's losses, and its random colours of labels


def import_vq(
    checkpoint: str | os.PathLike,
    config: str | os.PathLike | None = None,
    prefix: str | None = None,
) -> VQVAE:
    """Import the tokenizer in a checkpoint.

    Warnings tell which prefix was taken off, and which copies were left out.

    Args:
        checkpoint: a file of torch.save.
        config: its YAML file; None for minDALL-E's published shape.
        prefix: the prefix of the names, for a file that holds several tokenizers, or that of
            averaged weights; None: found by itself where only one fits.

    Returns:
        The tokenizer, fp32, in evaluation mode.

    Raises:
        ValueError: if the file is no checkpoint or has code in it, if the config cannot be built,
            or if names or shapes differ from the config's.
    """
    path = Path(checkpoint)
    return vq_of(path, state_dict(path, read_checkpoint(path)), config, prefix)


def vq_of(
    path: Path,
    weights: dict[str, Tensor],
    config: str | os.PathLike | None,
    prefix: str | None,
) -> VQVAE:
    """The tokenizer of a state dict, as `import_vq` makes it; `path` is for messages."""
    prefix = _prefix(path, weights, prefix)
    shape = preset("vq-img-f16") if config is None else read_config(config, prefix)
    named = below(weights, prefix)
    if not any(anchor in named for anchor in ANCHORS):
        named = _undotted(named, shape)
    if "encoder.model.0.weight" in named:
        named = _from_sequential(path, named, shape)
    copies = {name for name in named if is_average(name.split(".")[0])}
    named = {n: w for n, w in named.items() if n not in copies and not n.startswith(LEFT_OUT)}
    check_weights(path, named, shape.weight_shapes())
    if prefix:
        others = f"; left out is {other}" if (other := describe(weights)) else ""
        taken = f"{path}: took the weights whose names begin with {prefix!r}, without it{others}"
        warnings.warn(taken, stacklevel=3)
    if not is_average(prefix):
        copies |= {n for n in weights if not n.startswith(prefix) and is_average(n.split(".")[0])}
        copies = {name for name in copies if "." in name}  # and no counter, as n_averaged
        heads = sorted({name.split(".")[0] + "." for name in copies})
        if copies:
            other = f"--prefix {heads[0]} takes those instead"
            left = f"{path}: left out {len(copies)} tensors of averaged copies, {heads}; {other}"
            warnings.warn(left, stacklevel=3)
    if shape.input == "labels" and shape.layout is None:
        layouts = [f"{name} ({layout.channels})" for name, layout in LAYOUTS.items()]
        warnings.warn(
            f"{path}: found label maps of {shape.channels} channels, which are of none of the "
            f"layouts of scenes, {layouts}: what its channels mean is not known here, so it cannot "
            "be used in eval, tokenize or generate",
            stacklevel=3,
        )
    return VQVAE.from_weights(shape, {n: w.float() for n, w in named.items()}).eval()


# ---------------------------------------------------------------------- configs


def read_config(path: str | os.PathLike, prefix: str = "") -> VQConfig:
    """The config of the tokenizer that a YAML file describes.

    Args:
        path: minDALL-E's (stage1), taming's (model.params) or CasualGAN's (model).
        prefix: of the names in the checkpoint, which may say which part of the file is meant.

    Raises:
        ValueError: if it cannot be built; the message names why.
    """
    path = Path(path)
    values: Any = read_yaml(path)  # of any form: what does not fit raises
    stage = prefix.removesuffix(".").rpartition(".")[2].replace("_model", "_config")
    try:
        if "stage1" in values:
            part = values["stage1"]
            sizes = part["hparams"]
        else:
            part = values["model"].get("params", values["model"])
            part = part[stage]["params"] if stage in part else part
            sizes = part["ddconfig"]
        return _config(part, sizes)
    except KeyError as error:
        raise ValueError(f"{path}: found no tokenizer in it: missing {error}") from error
    except (TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(
            f"{path}: found no tokenizer in it: {error}; expected stage1.hparams, as minDALL-E's, "
            "model.params.ddconfig, as taming's, or model.ddconfig"
        ) from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _config(part: Mapping, sizes: Mapping) -> VQConfig:
    inputs, outputs = sizes["in_channels"], sizes.get("out_ch", sizes.get("out_channels"))
    if inputs != outputs:
        problem = f"found {short(outputs)}"
        raise ValueError(f"out_ch: {problem}, expected {short(inputs)}, the in_channels")
    if sizes.get("double_z"):
        raise ValueError("double_z: found True, expected False: this is no VQ model")
    if "channels" in sizes:  # CasualGAN's widths, the first that of conv_in
        ch, *widths = sizes["channels"]
        if any(width % ch for width in widths):
            problem = f"found {short(sizes['channels'])}"
            raise ValueError(f"channels: {problem}, expected multiples of {short(ch)}")
        mult = [width // ch for width in widths]
    else:
        ch, mult = sizes["ch"], sizes["ch_mult"]
    gumbel = "kl_weight" in part or "temperature_scheduler_config" in part
    layout = next((name for name, known in LAYOUTS.items() if known.channels == inputs), None)
    return VQConfig(
        input="image" if inputs <= 4 else "labels",
        channels=inputs,
        codes=part["n_embed"],
        layout=layout,
        resolution=sizes["resolution"],
        ch=ch,
        ch_mult=tuple(mult),
        num_res_blocks=sizes["num_res_blocks"],
        attn_resolutions=tuple(sizes["attn_resolutions"]),
        z_channels=sizes["z_channels"],
        embed_dim=part["embed_dim"],
        quantizer="gumbel" if gumbel else "gradient",
        beta=float(part.get("kl_weight", 5e-4)) if gumbel else 0.25,
    )


# ---------------------------------------------------------------------- names


def _prefix(path: Path, weights: dict[str, Tensor], prefix: str | None) -> str:
    """The prefix of the tokenizer that is meant.

    Args:
        prefix: the whole of it, or its end, as "first_stage_model." of
            "module.first_stage_model.".
    """
    plain = [p for anchor in ANCHORS for p in prefixes(weights, anchor)]
    if not plain and (other := describe(weights)):
        raise ValueError(
            f"{path}: found DALLE-pytorch's {other}, expected taming's VQGAN (in a DALLE-pytorch "
            "checkpoint named vae.model.*): these networks have no counterpart here; "
            "`mas-fast train vq-img` and `mas-fast train gpt` make others from the same data"
        )
    copies = [p for p in plain if is_average(p)]
    copies += [p for p in prefixes(weights, ANCHORS[0].replace(".", "")) if is_average(p)]
    candidates = [p for p in plain if not is_average(p)]
    if prefix is not None:
        prefix = prefix.removesuffix(".") + "." if prefix else ""
        wanted = [p for p in (*candidates, *copies) if p == prefix]
        wanted = wanted or [p for p in (*candidates, *copies) if p.endswith(f".{prefix}")]
        if not wanted:
            allowed = f"one of {[*candidates, *copies]}" if candidates or copies else "none"
            raise ValueError(f"{path}: prefix: found {prefix!r}, expected {allowed}")
        candidates = wanted
    candidates = candidates or copies
    if len(candidates) > 1:
        raise ValueError(
            f"{path}: found tokenizers at {candidates}, expected --prefix to choose one"
        )
    return candidates[0] if candidates else ""


def _undotted(weights: dict[str, Tensor], config: VQConfig) -> dict[str, Tensor]:
    """latent-diffusion's averaged copies, whose names have lost their dots."""
    names = {name.replace(".", ""): name for name in config.weight_shapes()}
    counters = ("decay", "num_updates")
    return {names.get(name, name): w for name, w in weights.items() if name not in counters}


def _from_sequential(path: Path, weights: dict[str, Tensor], config: VQConfig) -> dict[str, Tensor]:
    """CasualGAN's names: layers counted in the order in which they run, and a BatchNorm after
    quant_conv, which becomes part of it: w' = w g / s, b' = (b - mean) g / s + beta with
    s = sqrt(var + 1e-5)."""
    names: dict[str, str] = {}
    for part in ("encoder", "decoder"):
        names |= {f"{part}.model.{i}": name for i, name in enumerate(_in_order(part, config))}
    out: dict[str, Tensor] = {}
    for name, weight in weights.items():
        layer = ".".join(name.split(".")[:3])
        out[name.replace(layer, names[layer], 1) if layer in names else name] = weight
    out.pop("quant_conv.1.num_batches_tracked", None)
    try:
        gain, beta, mean, variance = (
            out.pop(f"quant_conv.1.{name}")
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        weight, bias = (out.pop(f"quant_conv.0.{name}") for name in ("weight", "bias"))
    except KeyError as error:
        raise ValueError(
            f"{path}: found no {error}, expected all of quant_conv.0 and quant_conv.1"
        ) from error
    scale = gain / (variance + 1e-5).sqrt()
    out["quant_conv.weight"] = weight * scale[:, None, None, None]
    out["quant_conv.bias"] = (bias - mean) * scale + beta
    return out


def _in_order(part: str, config: VQConfig) -> list[str]:
    """The layers of the encoder or decoder as they run, swish included."""
    middle = [f"{part}.mid.{layer}" for layer in ("block_1", "attn_1", "block_2")]
    last = len(config.ch_mult) - 1
    levels = []
    for i in range(last + 1):
        down = part == "encoder"
        level = f"{part}.down.{i}" if down else f"{part}.up.{i}"
        layers = []
        for j in range(config.num_res_blocks + (not down)):
            layers.append(f"{level}.block.{j}")
            if config.attends(i):
                layers.append(f"{level}.attn.{j}")
        if down and i != last:
            layers.append(f"{level}.downsample")
        elif not down and i != 0:
            layers.append(f"{level}.upsample")
        levels.append(layers)
    body = [middle, *reversed(levels)] if part == "decoder" else [*levels, middle]
    ends = [f"{part}.norm_out", "swish", f"{part}.conv_out"]
    return [f"{part}.conv_in", *(name for layers in body for name in layers), *ends]
