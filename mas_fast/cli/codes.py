"""`mas-fast encode` and `mas-fast decode`: pictures and scenes to files of codes and back."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mas_fast.cli.runtime import Model, Provider, Runtime, Threads, check_runtime, load_torch
from mas_fast.utils.cores import check_threads

if TYPE_CHECKING:
    import numpy as np

    from mas_fast.models.codec import Codec, Item


def encode(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Pictures; with --scenes PNGs of scenes.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file of codes.")] = Path(
        "tokens.npz"
    ),
    scenes: Annotated[
        bool, typer.Option("--scenes", help="Read scenes, as `mas-fast generate --scene` does.")
    ] = False,
    scene_labels: Annotated[
        str | None, typer.Option(help="The label space of scenes, as `mas-fast generate` has it.")
    ] = None,
    model: Model = None,
    runtime: Runtime = "torch",
    provider: Provider = None,
    threads: Threads = 0,
) -> None:
    """Turn pictures, or scenes, into the codes that VQ-IMG, or VQ-SEG, has for them.

    Of each the middle square is brought to the tokenizer's size. `tokens.npz` is numpy's: `codes`
    [N, h, w], and `names`, those of the files.

    Examples:

    mas-fast encode a.jpg b.jpg -o tokens.npz

    mas-fast encode --scenes out.scene.png -o scene.npz --runtime onnx
    """
    import numpy as np

    from mas_fast.bundle import bundle_files, find_bundle
    from mas_fast.data.token_file import Codes, check_output, distinct_names
    from mas_fast.scene import read_scene, space_named
    from mas_fast.utils.outputs import check_outputs
    from mas_fast.utils.progress import progress_bar

    check_output(output)
    if scene_labels is not None and not scenes:
        raise ValueError(f"--scene-labels: found {scene_labels}, expected --scenes with it")
    space = None if scene_labels is None else space_named(scene_labels)
    model = find_bundle(model)
    check_outputs({"--output": output}, [*files, *bundle_files(model)])
    for file in files:  # before any is encoded
        if not file.is_file():
            raise ValueError(f"{file}: found no such file, expected a picture")
    name = "vq_seg" if scenes else "vq_img"
    codec, bundle = _open(name, "encoder", model, runtime, provider, threads)
    size, codes = codec.config.resolution, []
    try:
        with progress_bar(files, unit="file") as bar:
            for file in bar:
                item: Item
                if scenes:
                    reading = read_scene(file, labels=space, size=size)
                    bar.write(f"{file}: {reading.describe()}", sys.stderr)
                    item = reading.scene
                else:
                    item = _picture(file, size)
                codes.append(codec.encode([item]))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{len(codes)} of {len(files)} files are encoded") from None
    finally:
        if codes:
            names = distinct_names(files)[: len(codes)]
            Codes(name, bundle, names, np.concatenate(codes)).save(output)
            part = f" ({len(codes)} of {len(files)} files)" if len(codes) < len(files) else ""
            typer.echo(f"written: {output}{part}")


def decode(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Of `mas-fast encode`.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder; it is made if need be.")
    ] = Path("decoded"),
    model: Model = None,
    runtime: Runtime = "torch",
    provider: Provider = None,
    threads: Threads = 0,
) -> None:
    """Turn codes back into pictures, or scenes.

    Writes NAME.png for each. A scene's is what `mas-fast generate --scene` takes; NAME.legend.png
    beside it is to look at.

    Example: mas-fast decode tokens.npz -o decoded
    """
    import numpy as np
    from PIL import Image

    from mas_fast.bundle import bundle_files, find_bundle
    from mas_fast.data.token_file import Codes
    from mas_fast.scene import Scene
    from mas_fast.utils.files import replace_file
    from mas_fast.utils.outputs import check_outputs
    from mas_fast.utils.progress import progress_bar

    given = Codes.load(file)
    model = find_bundle(model)
    kinds = ("", ".legend") if given.model == "vq_seg" else ("",)
    places = [output / f"{name}{kind}.png" for name in given.names for kind in kinds]
    check_outputs({"--output": places}, [file, *bundle_files(model)], folder=output)
    codec, bundle = _open(given.model, "decoder", model, runtime, provider, threads)
    if bundle != given.bundle:
        problem = f"found codes of another {given.model}, whose weights have the SHA-256"
        raise ValueError(f"{file}: {problem} {given.bundle}, expected {bundle}")
    finished = 0
    try:
        for name, codes in zip(progress_bar(given.names, unit="file"), given.codes, strict=True):
            (item,) = codec.decode(codes[None])
            output.mkdir(parents=True, exist_ok=True)  # not before a mistake in the codes is found
            if isinstance(item, Scene):
                replace_file(output / f"{name}.png", item.save)
                item = np.asarray(item.render())
            save = functools.partial(Image.fromarray(item).save, format="PNG")
            replace_file(output / f"{name}{kinds[-1]}.png", save)
            finished += 1
    except KeyboardInterrupt:
        count = f"{finished} of {len(given.names)}"
        raise KeyboardInterrupt(f"{count} are decoded") from None
    finally:
        for path in places[: finished * len(kinds)]:
            typer.echo(f"written: {path}")


def _open(
    name: str,
    part: str,
    path: Path,
    runtime: str,
    provider: list[str] | None,
    threads: int,
) -> tuple[Codec, str]:
    """The tokenizer of the bundle `path`, and the SHA-256 of its weights."""
    from mas_fast.bundle import read_vq_config

    read_vq_config(path, name)  # without torch
    check_runtime(runtime, onnx={"provider": provider or None})
    check_threads(threads, "--threads")
    if runtime == "onnx":
        from mas_fast.onnx.codec import OnnxCodec

        codec = OnnxCodec(path, name, providers=provider or None, threads=threads)
        codec.open(part)
        return codec, codec.bundle
    load_torch(threads)
    import torch

    from mas_fast.bundle import load_vq
    from mas_fast.models.torch_codec import TorchCodec
    from mas_fast.onnx.files import sha256
    from mas_fast.utils.devices import find_device

    tokenizer = load_vq(path, name, find_device(None), torch.float32)
    return TorchCodec(f"{path}: {name}", tokenizer), sha256(path / f"{name}.safetensors")


def _picture(file: Path, size: int) -> np.ndarray:
    """uint8 [size, size, 3]: the middle square of a photo."""
    from mas_fast.data.photos.photo import open_photo
    from mas_fast.data.sources.base import Sample

    return Sample(file.stem, open_photo(file)).square(size).pixels
