"""The models of a bundle as modules of PyTorch: written and read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mas_fast.bundle.config import (
    CONFIG_FILE,
    check_input,
    check_name,
    config_text,
    read_configs,
    read_gpt_dtype,
    read_vq_config,
)
from mas_fast.bundle.weights import float32, floats, map_gpt, map_weights
from mas_fast.utils.files import replace_file

if TYPE_CHECKING:
    import torch

    from mas_fast.models.gpt import GPT
    from mas_fast.models.vqvae import VQVAE

Stored = Literal["fp32", "bf16"]


def save_gpt(path: str | os.PathLike, model: GPT, stored: Stored | None = None) -> None:
    """Write the model into a bundle, beside the models that are there.

    Each file is replaced in one step once its new content is on the disk.

    Args:
        path: the folder, made if need be.
        model: the GPT.
        stored: the dtype that the weights are rounded to; None: the model's own.

    Raises:
        ValueError: for a model that is on the meta device or neither fp32 nor bf16.
    """
    _save(path, "gpt", model, model.state_dict(), stored)


def save_vq(path: str | os.PathLike, name: str, model: VQVAE, stored: Stored | None = None) -> None:
    """Write a tokenizer into a bundle, as `save_gpt` does.

    What its codebook remembers of its training is left out.

    Args:
        path: the folder, made if need be.
        name: vq_seg or vq_img.
        model: the tokenizer.
        stored: the dtype that the weights are rounded to; None: the model's own.

    Raises:
        ValueError: as in `save_gpt`, also for the other kind of input.
    """
    check_name(name)
    check_input(path, name, model.config)
    _save(path, name, model, model.weights(), stored)


def load_gpt(
    path: str | os.PathLike,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> GPT:
    """Load the GPT of a bundle.

    Args:
        path: the bundle.
        device: where it goes.
        dtype: None: as stored; fp32 where that is int4, which it holds exactly.

    Returns:
        The model.

    Raises:
        ValueError: as in `read_weights`.
    """
    from mas_fast.models.gpt import GPT

    config, arrays = map_gpt(path)
    one = floats if read_gpt_dtype(path) is None else float32  # all of one dtype
    weights = _tensors(((name, one(array)) for name, array in arrays.items()), device)
    model = GPT(config)
    model.load_state_dict(weights, assign=True)
    return model if dtype is None else model.to(dtype)


def load_vq(
    path: str | os.PathLike,
    name: str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> VQVAE:
    """Load a tokenizer of a bundle, in evaluation mode.

    Args:
        path: the bundle.
        name: vq_seg or vq_img.
        device: where it goes.
        dtype: None: as stored.

    Returns:
        The tokenizer.

    Raises:
        ValueError: as in `load_gpt`.
    """
    from mas_fast.models.vqvae import VQVAE

    config = read_vq_config(path, name)
    arrays = map_weights(Path(path) / f"{name}.safetensors", config)
    model = VQVAE.from_weights(config, _tensors(arrays.items(), device), device=device).eval()
    return model if dtype is None else model.to(dtype)


def _save(
    path: str | os.PathLike,
    name: str,
    model: GPT | VQVAE,
    weights: dict[str, torch.Tensor],
    stored: Stored | None,
) -> None:
    import torch
    from safetensors.torch import save_file

    if model.device.type == "meta":
        raise ValueError(f"{path}: found a model on the meta device, expected one that has weights")
    dtypes = {parameter.dtype for parameter in model.parameters()}
    if dtypes not in ({torch.float32}, {torch.bfloat16}):
        names = sorted(map(str, dtypes))
        raise ValueError(
            f"{path}: found a model of {names}, expected all torch.float32 or torch.bfloat16"
        )
    if stored is not None:
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[stored]
        weights = {key: weight.to(dtype) for key, weight in weights.items()}
    directory = Path(path)
    configs = read_configs(path) if (directory / CONFIG_FILE).exists() else {}
    gpt_dtype = read_gpt_dtype(path) if configs and name != "gpt" else None
    configs[name] = model.config
    directory.mkdir(parents=True, exist_ok=True)
    # The weights first: until the config names it, the model is not in the bundle.
    replace_file(directory / f"{name}.safetensors", lambda file: save_file(weights, file))
    text = config_text(configs, gpt_dtype)
    replace_file(directory / CONFIG_FILE, lambda file: file.write_text(text, "utf-8"))


def _tensors(
    arrays: Iterable[tuple[str, np.ndarray]], device: torch.device | str
) -> dict[str, torch.Tensor]:
    import torch

    tensors = {}
    for key, array in arrays:
        values = array.copy()  # the file may change later
        if values.dtype == np.uint16:
            tensor = torch.from_numpy(values.view(np.int16)).view(torch.bfloat16)
        else:
            tensor = torch.from_numpy(values)
        tensors[key] = tensor.to(device)
    return tensors
