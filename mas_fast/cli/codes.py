"""`mas-fast encode` and `mas-fast decode`: pictures and scenes to files of codes and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mas_fast.cli.runtime import Provider, Runtime, check_runtime, load_torch

if TYPE_CHECKING:
    import numpy as np

    from mas_fast.codec import Codec

Model = Annotated[
    Path | None, typer.Option(help="A bundle; by default the one that comes with mas-fast.")
]
Threads = Annotated[int, typer.Option(help="On a CPU; 0 is all cores.")]


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
    from tqdm import tqdm

    from mas_fast.codes_file import Codes, check_output, distinct_names
    from mas_fast.scene import open_scene

    check_output(output)
    name = "vq_seg" if scenes else "vq_img"
    codec, bundle = _open(name, "encoder", model, runtime, provider, threads)
    codes = []
    for file in tqdm(files, unit="file"):
        size = codec.config.resolution
        item = open_scene(file, size=size) if scenes else _picture(file, size)
        codes.append(codec.encode([item]))
    Codes(name, bundle, distinct_names(files), np.concatenate(codes)).save(output)
    typer.echo(f"written: {output}")


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
    from PIL import Image
    from tqdm import tqdm

    from mas_fast.codes_file import Codes
    from mas_fast.scene import Scene

    given = Codes.load(file)
    codec, bundle = _open(given.model, "decoder", model, runtime, provider, threads)
    if bundle != given.bundle:
        found = f"found codes of another {given.model}, whose weights have the SHA-256"
        raise ValueError(f"{file}: {found} {given.bundle}, expected {bundle}")
    written = []
    for name, codes in zip(tqdm(given.names, unit="file"), given.codes, strict=True):
        (item,) = codec.decode(codes[None])
        output.mkdir(parents=True, exist_ok=True)  # not before a mistake in the codes is found
        path = output / f"{name}.png"
        written.append(path)
        if isinstance(item, Scene):
            item.save(path)
            written.append(output / f"{name}.legend.png")
            item.render().save(written[-1])
        else:
            Image.fromarray(item).save(path)
    for path in written:
        typer.echo(f"written: {path}")


def _open(
    name: str,
    part: str,
    model: Path | None,
    runtime: str,
    provider: list[str] | None,
    threads: int,
) -> tuple[Codec, str]:
    """The tokenizer, and the SHA-256 of its weights."""
    from mas_fast.bundle import shipped

    check_runtime(runtime, onnx={"provider": provider or None})
    path = shipped() if model is None else model
    if runtime == "onnx":
        from mas_fast.onnx_codec import OnnxCodec

        codec = OnnxCodec(path, name, providers=provider or None, threads=threads)
        codec.open(part)
        return codec, codec.bundle
    load_torch(threads)
    import torch

    from mas_fast.bundle import load_vq
    from mas_fast.codes import TorchCodec
    from mas_fast.devices import find_device
    from mas_fast.onnx_files import sha256

    tokenizer = load_vq(path, name, find_device(None), torch.float32)
    return TorchCodec(f"{path}: {name}", tokenizer), sha256(path / f"{name}.safetensors")


def _picture(file: Path, size: int) -> np.ndarray:
    """uint8 [size, size, 3]: the middle square of a photo."""
    from PIL import Image

    from mas_fast.data.images import open_photo
    from mas_fast.data.samples import Sample
    from mas_fast.scene.scene import TEXT_KEY

    photo = open_photo(file)
    with Image.open(file) as image:
        if TEXT_KEY in image.info:
            found = "found a scene that mas_fast saved"
            raise ValueError(f"{file}: {found}, expected a picture; --scenes reads scenes")
    return Sample(file.stem, photo).square(size).pixels
