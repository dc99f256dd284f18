"""Checkpoints of other projects, made into tokenizers of ours.

    import_bundle("1.3B", "my-bundle")               # minDALL-E's folder, or one of taming
    model = import_vq("1.3B/stage1_last.ckpt")       # one checkpoint
    model = import_vq("vqgan/last.ckpt", "vqgan/model.yaml")

Read are minDALL-E's stage 1 and taming's first stages (VQ and Gumbel; within a transformer's
checkpoint too), whose names are ours, and the sequential layout of CasualGAN's Make-A-Scene, whose
layers are counted off and whose BatchNorm is folded into the convolution before it. Losses,
discriminators and what Lightning adds are left out; anything else that is missing, unexpected or
of another shape is an error that lists it.

A checkpoint is a pickle, and a pickle can hold code. So torch reads it with weights_only, and
where that refuses (Lightning stores its callbacks), `Tensors` does: it builds tensors and plain
containers, leaves an empty shell for known harmless classes, and refuses every other name without
importing it.
"""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor

from mas_fast.bpe import BPE
from mas_fast.bundle import BPE_FILE, save_bpe, save_vq
from mas_fast.scene import LAYOUTS
from mas_fast.vq_config import VQConfig, preset
from mas_fast.vqvae import VQVAE

PREFIXES = ("", "stage1.", "first_stage_model.", "cond_stage_model.")
LEFT_OUT = ("loss.", "colorize")  # taming's losses, and its random colours of labels
SHOWN = 20  # names in an error

# Globals of a pickle that are built, and packages whose objects become empty shells.
BUILT = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
}
BUILT |= {
    ("builtins", kind.__name__): kind for kind in (bool, dict, float, int, list, set, str, tuple)
}
SHELLS = ("argparse", "lightning", "lightning_fabric", "numpy", "omegaconf", "pathlib")
SHELLS += ("pytorch_lightning", "taming", "typing")


def import_bundle(
    source: str | os.PathLike,
    bundle: str | os.PathLike,
    config: str | os.PathLike | None = None,
    prefix: str | None = None,
) -> list[str]:
    """Put the tokenizers at `source` into the bundle and return the names of their files.

    source: a checkpoint; or minDALL-E's unpacked folder, whose captions' tokenizer comes along; or
    taming's folder with configs/ and checkpoints/last.ckpt. config and prefix as for `import_vq`;
    of a folder, config is by default its own. ValueError as for `import_vq`, and nothing written.
    """
    source, bpe = Path(source), None
    if source.is_dir():
        checkpoint = _only(source, ("stage1_last.ckpt", "checkpoints/last.ckpt"))
        config = config or _only(
            source, ("config.yaml", "model.yaml", "configs/*project.yaml", "configs/model.yaml")
        )
        vocabulary = source / "tokenizer" / "bpe-16k-vocab.json"
        if vocabulary.is_file():
            bpe = BPE.load_mindalle(vocabulary, vocabulary.with_name("bpe-16k-merges.txt"))
    else:
        checkpoint = source
    model = import_vq(checkpoint, config, prefix)
    name = "vq_img" if model.config.input == "image" else "vq_seg"
    save_vq(bundle, name, model)
    if bpe is not None:
        save_bpe(bundle, bpe)
    return [f"{name}.safetensors"] + ([BPE_FILE] if bpe else [])


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
    weights = _state(path, read_checkpoint(path))
    prefix = _prefix(path, weights, prefix)
    weights = {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}
    shape = preset("vq-img-f16") if config is None else read_config(config, prefix)
    if "encoder.model.0.weight" in weights:
        weights = _from_sequential(path, weights, shape)
    weights = {name: w for name, w in weights.items() if not name.startswith(LEFT_OUT)}
    _check(path, weights, shape)
    return VQVAE.from_weights(shape, {n: w.float() for n, w in weights.items()}).eval()


# ---------------------------------------------------------------------- reading, safely


class Shell:
    """Stands for an object of a foreign class: takes whatever the pickle gives it, keeps
    nothing."""

    def __init__(self, *args, **kwargs) -> None:
        pass

    def __setstate__(self, state) -> None:
        pass

    def __setitem__(self, key, value) -> None:
        pass

    def append(self, value) -> None:
        pass

    def extend(self, values) -> None:
        pass


class Tensors(pickle.Unpickler):
    """Builds what BUILT names, shells for SHELLS, and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in BUILT:
            return BUILT[module, name]
        if module.split(".")[0] in SHELLS:
            return Shell
        raise pickle.UnpicklingError(f"found {module}.{name} in it, which may be code")


def read_checkpoint(path: str | os.PathLike) -> object:
    """What `torch.save` stored, on the CPU. ValueError, and nothing run, for a pickle with code
    and for a file that is not a checkpoint."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: found no such file, expected a checkpoint")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # broken files raise all sorts of errors
        if not zipfile.is_zipfile(path):
            # Not torch's own words: they advise to read the file unsafely.
            raise ValueError(
                f"{path}: found {path.stat().st_size} bytes that are truncated, no checkpoint of "
                "torch.save, or an old one with code in it; expected one of tensors"
            ) from error
    reader = SimpleNamespace(Unpickler=Tensors, __name__="mas_fast.importers")
    try:
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("constants.pkl") for name in archive.namelist()):
                raise ValueError("found a TorchScript archive, expected a state dict")
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=reader)
    except Exception as error:
        raise ValueError(f"{path}: not read: {error}") from error


def read_config(path: str | os.PathLike, prefix: str = "") -> VQConfig:
    """The config of the tokenizer that a YAML file describes: minDALL-E's (stage1), taming's
    (model.params) or CasualGAN's (model). ValueError names what cannot be built."""
    import yaml

    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: found no YAML that can be read ({error})") from error
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


def _state(path: Path, stored: object) -> dict[str, Tensor]:
    """The state dict: the file's own, or what it has under "state_dict" or "model"."""
    for key in ("state_dict", "model"):
        if isinstance(stored, Mapping) and isinstance(stored.get(key), Mapping):
            stored = stored[key]
    if not isinstance(stored, Mapping):
        raise ValueError(f"{path}: found {type(stored).__name__}, expected a state dict")
    return {str(name): w for name, w in stored.items() if isinstance(w, Tensor)}


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


def _check(path: Path, weights: dict[str, Tensor], config: VQConfig) -> None:
    shapes = config.weight_shapes()
    missing = [name for name in shapes if name not in weights]
    unexpected = [name for name in weights if name not in shapes]
    if missing or unexpected:
        found = f"found {len(weights)} tensors, expected {len(shapes)}"
        lists = f"missing {_some(missing)}, unexpected {_some(unexpected)}"
        raise ValueError(f"{path}: {found}: {lists}")
    wrong = [
        f"{name} {list(weights[name].shape)} for {list(shape)}"
        for name, shape in shapes.items()
        if tuple(weights[name].shape) != shape
    ]
    if wrong:
        raise ValueError(f"{path}: found other shapes than expected: {_some(wrong)}")
    for name, weight in weights.items():
        if not weight.is_floating_point():
            raise ValueError(f"{path}: {name}: found {weight.dtype}, expected floating point")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"[{', '.join(names[:SHOWN])}]{more}"
