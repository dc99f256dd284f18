"""VQModel of diffusers, both ways: config.json and diffusion_pytorch_model.safetensors in a folder.

    model = import_vqmodel("their-vqvae")
    export_vqmodel(model, "for-diffusers")          # VQModel.from_pretrained("for-diffusers")

The network is taming's under other names: levels of the decoder are counted from the coarsest, and
an attention's 1x1 convolutions are linear layers. What VQModel cannot be, or ours cannot, is an
error that names it.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae_config import GROUPS, VQConfig
from mas_fast.scene.labels import LAYOUTS
from mas_fast.utils.checkpoint import check_weights, read_checkpoint, state_dict
from mas_fast.utils.documents import read_json, short
from mas_fast.utils.files import replace_file

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
PICKLE = "diffusion_pytorch_model.bin"  # as older versions wrote it
KIND = "VQModel"
FIXED = {"act_fn": "silu", "norm_num_groups": GROUPS, "norm_type": "group"}
FIXED |= {"mid_block_add_attention": True}
DOWN = {False: "DownEncoderBlock2D", True: "AttnDownEncoderBlock2D"}
UP = {False: "UpDecoderBlock2D", True: "AttnUpDecoderBlock2D"}
ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
KINDS = {"block": "resnets", "attn": "attentions"}
KINDS |= {"downsample": "downsamplers.0", "upsample": "upsamplers.0"}
PLACES = {
    "mid.block_1": "mid_block.resnets.0",
    "mid.block_2": "mid_block.resnets.1",
    "mid.attn_1": "mid_block.attentions.0",
    "norm_out": "conv_norm_out",
}


def is_vqmodel(folder: Path) -> bool:
    """Tell whether a folder may be one that diffusers wrote."""
    return (folder / CONFIG).is_file()


def import_vqmodel(folder: str | os.PathLike) -> VQVAE:
    """Import a VQModel.

    Args:
        folder: as `VQModel.save_pretrained` writes it.

    Returns:
        The tokenizer, fp32, in evaluation mode.

    Raises:
        ValueError: if the folder has no VQModel, or one with parts that ours do not have, or if
            names or shapes differ from the config's.
    """
    folder = Path(folder)
    config = read_config(folder / CONFIG)
    file = folder / WEIGHTS
    if file.is_file():
        try:
            stored = load_file(file)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{file}: {error}; expected safetensors") from error
    else:
        file = folder / PICKLE
        if not file.is_file():
            raise ValueError(f"{folder}: found no {WEIGHTS}, and no {PICKLE}, expected one of them")
        stored = state_dict(file, read_checkpoint(file))
    named = {_current(name): weight for name, weight in stored.items()}
    shapes = {_theirs(n, config): _linear(n, shape) for n, shape in config.weight_shapes().items()}
    check_weights(file, named, shapes)
    weights = {
        name: named[_theirs(name, config)].float().reshape(shape)
        for name, shape in config.weight_shapes().items()
    }
    return VQVAE.from_weights(config, weights).eval()


def export_vqmodel(model: VQVAE, folder: str | os.PathLike) -> list[str]:
    """Write a tokenizer as a VQModel.

    Args:
        model: the tokenizer.
        folder: where config.json and the weights go; made if need be.

    Returns:
        Names of the files.

    Raises:
        ValueError: if VQModel has no such network.
    """
    config, folder = model.config, Path(folder)
    text = json.dumps(_config_of(config), indent=2) + "\n"
    weights: dict[str, Tensor] = {
        _theirs(name, config): weight.reshape(_linear(name, tuple(weight.shape))).contiguous()
        for name, weight in model.weights().items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {"format": "pt"}
    replace_file(folder / WEIGHTS, lambda file: save_file(weights, file, metadata))
    replace_file(folder / CONFIG, lambda file: file.write_text(text, "utf-8"))
    return [CONFIG, WEIGHTS]


# ---------------------------------------------------------------------- configs


def read_config(file: Path) -> VQConfig:
    """The config of the tokenizer that diffusers' config.json describes.

    Args:
        file: the file.

    Raises:
        ValueError: if it is of another class, or cannot be built; the message names why.
    """
    values = read_json(file, strict=False)
    try:
        if values.get("_class_name") != KIND:
            raise ValueError(
                f"_class_name: found {short(values.get('_class_name'))}, expected {KIND}"
            )
        for name, needed in FIXED.items():
            if values.get(name, needed) != needed:
                raise ValueError(f"{name}: found {short(values[name])}, expected {needed!r}")
        return _config(values)
    except KeyError as error:
        raise ValueError(f"{file}: found no {error}, expected that of a {KIND}") from error
    except (TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{file}: {error}; expected the config of a {KIND}") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _config(values: dict[str, Any]) -> VQConfig:
    inputs, widths = values["in_channels"], values["block_out_channels"]
    if values["out_channels"] != inputs:
        problem = f"found {short(values['out_channels'])}"
        raise ValueError(f"out_channels: {problem}, expected {short(inputs)}, the in_channels")
    if any(width % widths[0] for width in widths):
        problem = f"found {short(widths)}"
        raise ValueError(f"block_out_channels: {problem}, expected multiples of the first")
    down, up = values["down_block_types"], values["up_block_types"]
    attends = [kind == DOWN[True] for kind in down]
    for name, kinds, types in (
        ("down_block_types", down, [DOWN[attention] for attention in attends]),
        ("up_block_types", up, [UP[attention] for attention in reversed(attends)]),
    ):
        if kinds != types or len(kinds) != len(widths):
            problem = f"found {short(kinds)} for {len(widths)} levels"
            raise ValueError(f"{name}: {problem}, expected {short(types)}")
    size, depth = values["sample_size"], values["latent_channels"]
    return VQConfig(
        input="image" if inputs <= 4 else "labels",
        channels=inputs,
        codes=values["num_vq_embeddings"],
        layout=next((name for name, known in LAYOUTS.items() if known.channels == inputs), None),
        resolution=size,
        ch=widths[0],
        ch_mult=tuple(width // widths[0] for width in widths),
        num_res_blocks=values["layers_per_block"],
        attn_resolutions=tuple(size >> level for level, here in enumerate(attends) if here),
        z_channels=depth,
        embed_dim=depth if values.get("vq_embed_dim") is None else values["vq_embed_dim"],
    )


def _config_of(config: VQConfig) -> dict[str, Any]:
    """What config.json holds. ValueError where VQModel has no such network."""
    for name, found, needed in (
        ("quantizer", config.quantizer == "gumbel", "gradient or ema"),
        ("patch", config.patch != 1, "1"),
        ("ch_mult", config.ch_mult[0] != 1, "1 in front"),
    ):
        if found:
            value = short(getattr(config, name))
            raise ValueError(f"{name}: found {value}, expected {needed}, as {KIND} of diffusers")
    attends = [config.attends(level) for level in range(len(config.widths))]
    return {
        "_class_name": KIND,
        "in_channels": config.channels,
        "out_channels": config.channels,
        "down_block_types": [DOWN[attention] for attention in attends],
        "up_block_types": [UP[attention] for attention in reversed(attends)],
        "block_out_channels": list(config.widths),
        "layers_per_block": config.num_res_blocks,
        "latent_channels": config.z_channels,
        "sample_size": config.resolution,
        "num_vq_embeddings": config.codes,
        "vq_embed_dim": config.embed_dim,
        **FIXED,
    }


# ---------------------------------------------------------------------- names


def _theirs(name: str, config: VQConfig) -> str:
    """Our name of a weight, in diffusers' words."""
    layer, _, suffix = name.rpartition(".")
    part, _, place = layer.partition(".")
    if match := re.fullmatch(r"(down|up)\.(\d+)\.(block|attn|downsample|upsample)\.(.+)", place):
        side, level, kind, rest = match[1], int(match[2]), match[3], match[4]
        number = level if side == "down" else len(config.ch_mult) - 1 - level
        place = f"{side}_blocks.{number}.{KINDS[kind]}.{rest}"
    for ours, theirs in PLACES.items():
        place = re.sub(rf"^{re.escape(ours)}(?=\.|$)", theirs, place)
    if ".attentions." in f".{place}":
        head, _, last = place.rpartition(".")
        place = f"{head}.{ATTENTION[last]}"
    place = place.replace("nin_shortcut", "conv_shortcut")
    return ".".join(filter(None, (part, place, suffix)))


def _current(name: str) -> str:
    """The name that a weight of an attention has had since 2023."""
    words = name.split(".")
    if "attentions" in words and len(words) > 2 and words[-2] in OLD:
        words[-2] = OLD[words[-2]]
    return ".".join(words)


def _linear(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in diffusers of a weight that is called so, and has this shape, here."""
    attention = re.search(r"\.attn(_1|\.\d+)\.(q|k|v|proj_out)\.weight$", name)
    return shape[:2] if attention else shape
