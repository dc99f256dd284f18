"""Checkpoints of other projects, made into tokenizers, and a GPT, of ours.

    import_bundle("1.3B", "my-bundle")               # minDALL-E's folder, or one of taming
    model = import_vq("1.3B/stage1_last.ckpt")       # one checkpoint
    model = import_vq("vqgan/last.ckpt", "vqgan/model.yaml")

Read are minDALL-E's stage 1 and taming's first stages (VQ and Gumbel; within a transformer's
checkpoint too), whose names are ours, and the sequential layout of CasualGAN's Make-A-Scene, whose
layers are counted off and whose BatchNorm is folded into the convolution before it. Losses,
discriminators and what Lightning adds are left out; anything else that is missing, unexpected or
of another shape is an error that lists it.
minDALL-E's stage 2 becomes a GPT of text and img (see mindalle).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from mas_fast.bpe import BPE
from mas_fast.bundle import BPE_FILE, GPT_FILE, VQ_NAMES, save_bpe, save_gpt, save_vq
from mas_fast.foreign import check_weights, read_checkpoint, read_yaml, state_dict
from mas_fast.mindalle import gpt_of, import_gpt, is_gpt
from mas_fast.scene import LAYOUTS
from mas_fast.vq_config import VQConfig, preset
from mas_fast.vqvae import VQVAE

PREFIXES = ("", "stage1.", "first_stage_model.", "cond_stage_model.")
LEFT_OUT = ("loss.", "colorize")  # taming's losses, and its random colours of labels


def import_bundle(
    source: str | os.PathLike,
    bundle: str | os.PathLike,
    config: str | os.PathLike | None = None,
    prefix: str | None = None,
) -> list[str]:
    """Put what is at `source` into the bundle and return the names of its files.

    source: a checkpoint; or minDALL-E's unpacked folder, whose captions' tokenizer and, where it is
    there, stage 2 come along; or taming's folder with configs/ and checkpoints/last.ckpt. config
    and prefix as for `import_vq`; of a folder, config is by default its own. ValueError as for
    `import_vq` and `import_gpt`, and nothing written.
    """
    source, bpe, vq, gpt = Path(source), None, None, None
    if source.is_dir():
        checkpoint = _only(source, ("stage1_last.ckpt", "checkpoints/last.ckpt"))
        config = config or _only(
            source, ("config.yaml", "model.yaml", "configs/*project.yaml", "configs/model.yaml")
        )
        vocabulary = source / "tokenizer" / "bpe-16k-vocab.json"
        if vocabulary.is_file():
            bpe = BPE.load_mindalle(vocabulary, vocabulary.with_name("bpe-16k-merges.txt"))
        vq = import_vq(checkpoint, config, prefix)
        if (second := source / "stage2_last.ckpt").is_file():
            gpt = import_gpt(second, config, pad=bpe.pad_id if bpe else 0)
    else:
        weights = state_dict(source, read_checkpoint(source))
        if is_gpt(weights):
            gpt = gpt_of(source, weights, config)
        else:
            vq = _vq_of(source, weights, config, prefix)
    files = []
    if vq is not None:
        name = VQ_NAMES[vq.config.input]
        save_vq(bundle, name, vq)
        files.append(f"{name}.safetensors")
    if bpe is not None:
        save_bpe(bundle, bpe)
        files.append(BPE_FILE)
    if gpt is not None:
        save_gpt(bundle, gpt)
        files.append(GPT_FILE)
    return files


def _only(folder: Path, patterns: tuple[str, ...]) -> Path:
    """The file in the folder that fits the first of the patterns that any fits."""
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if len(found) > 1:
            raise ValueError(f"{folder}: found {[file.name for file in found]}, expected one file")
        if found:
            return found[0]
    raise ValueError(f"{folder}: found none of {list(patterns)}, expected one of them")


def import_vq(
    checkpoint: str | os.PathLike,
    config: str | os.PathLike | None = None,
    prefix: str | None = None,
) -> VQVAE:
    """The tokenizer in a checkpoint, fp32, in evaluation mode.

    config: its YAML; without one minDALL-E's published shape. prefix: of the names, for a file that
    holds several tokenizers; one of PREFIXES, found by itself where only one fits. ValueError for
    a file that is no checkpoint or has code in it, for a config that cannot be built, and for
    names or shapes that differ from the config's.
    """
    path = Path(checkpoint)
    return _vq_of(path, state_dict(path, read_checkpoint(path)), config, prefix)


def _vq_of(
    path: Path,
    weights: dict[str, Tensor],
    config: str | os.PathLike | None,
    prefix: str | None,
) -> VQVAE:
    prefix = _prefix(path, weights, prefix)
    weights = {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}
    shape = preset("vq-img-f16") if config is None else read_config(config, prefix)
    if "encoder.model.0.weight" in weights:
        weights = _from_sequential(path, weights, shape)
    weights = {name: w for name, w in weights.items() if not name.startswith(LEFT_OUT)}
    check_weights(path, weights, shape.weight_shapes())
    return VQVAE.from_weights(shape, {n: w.float() for n, w in weights.items()}).eval()


# ---------------------------------------------------------------------- configs


def read_config(path: str | os.PathLike, prefix: str = "") -> VQConfig:
    """The config of the tokenizer that a YAML file describes: minDALL-E's (stage1), taming's
    (model.params) or CasualGAN's (model). ValueError names what cannot be built."""
    path = Path(path)
    values = read_yaml(path)
    stage = prefix.replace("_model.", "_config")
    try:
        if "stage1" in values:
            part = values["stage1"]
            sizes = part["hparams"]
        else:
            part = values["model"].get("params", values["model"])
            part = part[stage]["params"] if stage in part else part
            sizes = part["ddconfig"]
        return _config(part, sizes)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: found no tokenizer in it: missing {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _config(part: Mapping, sizes: Mapping) -> VQConfig:
    inputs, outputs = sizes["in_channels"], sizes.get("out_ch", sizes.get("out_channels"))
    if inputs != outputs:
        raise ValueError(f"out_ch: found {outputs}, expected {inputs}, the in_channels")
    if sizes.get("double_z"):
        raise ValueError("double_z: found True, expected False: this is no VQ model")
    if "channels" in sizes:  # CasualGAN's widths, the first that of conv_in
        ch, *widths = sizes["channels"]
        if any(width % ch for width in widths):
            raise ValueError(f"channels: found {sizes['channels']}, expected multiples of {ch}")
        mult = [width // ch for width in widths]
    else:
        ch, mult = sizes["ch"], sizes["ch_mult"]
    gumbel = "kl_weight" in part or "temperature_scheduler_config" in part
    layout = next((name for name, one in LAYOUTS.items() if one.channels == inputs), None)
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
    if prefix is not None and prefix not in PREFIXES:
        raise ValueError(f"prefix: found {prefix!r}, expected one of {list(PREFIXES)}")
    found = [p for p in PREFIXES if any(name.startswith(f"{p}encoder.") for name in weights)]
    if prefix is not None:
        found = [p for p in found if p == prefix]
    if len(found) > 1:
        raise ValueError(f"{path}: found tokenizers at {found}, expected --prefix to choose one")
    return found[0] if found else prefix or ""


def _from_sequential(path: Path, weights: dict[str, Tensor], config: VQConfig) -> dict[str, Tensor]:
    """CasualGAN's names: layers counted in the order in which they run, and a BatchNorm after
    quant_conv, which becomes part of it: w' = w g / s, b' = (b - mean) g / s + beta with
    s = sqrt(var + 1e-5)."""
    names = {}
    for half in ("encoder", "decoder"):
        names |= {f"{half}.model.{i}": name for i, name in enumerate(_in_order(half, config))}
    out = {}
    for name, weight in weights.items():
        layer = ".".join(name.split(".")[:3])
        out[name.replace(layer, names[layer], 1) if layer in names else name] = weight
    norm = [out.pop(f"quant_conv.1.{part}", None) for part in ("weight", "bias", "running_mean")]
    norm.append(out.pop("quant_conv.1.running_var", None))
    out.pop("quant_conv.1.num_batches_tracked", None)
    conv = [out.pop(f"quant_conv.0.{part}", None) for part in ("weight", "bias")]
    if any(part is None for part in (*norm, *conv)):
        raise ValueError(f"{path}: missing parts of quant_conv.0 and quant_conv.1")
    gain, beta, mean, variance = norm
    scale = gain / (variance + 1e-5).sqrt()
    out["quant_conv.weight"] = conv[0] * scale[:, None, None, None]
    out["quant_conv.bias"] = (conv[1] - mean) * scale + beta
    return out


def _in_order(half: str, config: VQConfig) -> list[str]:
    """The layers of the encoder or decoder as they run, swish included."""
    middle = [f"{half}.mid.{layer}" for layer in ("block_1", "attn_1", "block_2")]
    last = len(config.ch_mult) - 1
    levels = []
    for i in range(last + 1):
        down = half == "encoder"
        level = f"{half}.down.{i}" if down else f"{half}.up.{i}"
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
    body = [middle, *reversed(levels)] if half == "decoder" else [*levels, middle]
    ends = [f"{half}.norm_out", "swish", f"{half}.conv_out"]
    return [f"{half}.conv_in", *(name for layers in body for name in layers), *ends]
