"""What can be known of a bundle without running it: that its files lie in it, are not larger than
what config.json describes, and hold what they should. No torch."""

from __future__ import annotations

import math
import os
from pathlib import Path

from mas_fast.bundle.config import CONFIG_FILE, FILES, VQ_INPUTS, read_configs
from mas_fast.bundle.extras import load_bpe, read_sampling, read_words
from mas_fast.bundle.weights import map_gpt, map_weights
from mas_fast.models.gpt_config import GPTConfig
from mas_fast.models.vqvae_config import VQConfig

Configs = dict[str, GPTConfig | VQConfig]
MOST_CONFIG, MOST_TEXT, SLACK = 1 << 20, 1 << 28, 1 << 26  # bytes


def check_bundle(path: str | os.PathLike) -> None:
    """Check all that can be known of a bundle without running it.

    Args:
        path: the bundle.

    Raises:
        ValueError: for the first file that is a link out of the folder, too large, or not what
            config.json says.
    """
    folder = Path(path)
    configs = check_files(folder, folder)
    read_words(folder)
    read_sampling(folder)
    if "gpt" in configs:
        map_gpt(folder)
        load_bpe(folder)
    for name in VQ_INPUTS:
        file = folder / f"{name}.safetensors"
        if name in configs and (file.is_file() or not any(folder.glob(f"onnx/{name}_*.onnx"))):
            map_weights(file, configs[name])


def check_files(folder: Path, root: Path) -> Configs:
    """Check that the files of a bundle are in it, and not larger than they can be.

    Args:
        folder: the bundle.
        root: where the files lie that it may link to.

    Returns:
        The configs of its models, by name.

    Raises:
        ValueError: for the first that is a link to elsewhere, or too large.
    """
    configs: Configs = {}
    for name in FILES:  # config.json comes first, and says how large the others may be
        file = folder / name
        if os.path.lexists(file):
            target = file.resolve()
            if not target.is_relative_to(root.resolve()) or not target.is_file():
                problem = f"found that it leads to {target}"
                raise ValueError(f"{file}: {problem}, expected a file within {root}")
            check_size(str(file), name, file.stat().st_size, configs)
        if name == CONFIG_FILE:
            configs = read_configs(folder)
    return configs


def check_size(label: str, name: str, size: int, configs: Configs) -> None:
    """Check that a file of a bundle is not larger than it can be.

    Args:
        label: what the error calls the file.
        name: the file, as `config.FILES` has it.
        size: in bytes.
        configs: of the bundle's models, by name; of config.json itself they are not needed.

    Raises:
        ValueError: if it is.
    """
    if name == CONFIG_FILE:
        most, why = MOST_CONFIG, ""
    elif name.endswith((".json", ".txt")):
        most, why = MOST_TEXT, ""
    else:  # fp32, and what a header and a graph may take
        described = [config for model, config in configs.items() if model in name]
        shapes = [shape for config in described for shape in config.weight_shapes().values()]
        most = SLACK + 4 * sum(map(math.prod, shapes))
        why = f", as {CONFIG_FILE} describes the model"
    if size > most:
        raise ValueError(f"{label}: found {size} bytes, expected at most {most}{why}")
