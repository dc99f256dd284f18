"""What fills a bundle, makes other files of one, or publishes it: `mas-fast import`, `mas-fast
export`, `mas-fast push`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

export_commands = typer.Typer(no_args_is_help=True)


def import_(
    source: Annotated[
        Path, typer.Argument(help="A checkpoint, or the folder of one with its config.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The bundle to write into.")],
    config: Annotated[
        Path | None,
        typer.Option(help="The checkpoint's YAML; without one, minDALL-E's published shape."),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(
            help="Of the names, where a file holds several tokenizers, as `first_stage_model.`; "
            "or that of averaged weights, as `model_ema.`"
        ),
    ] = None,
) -> None:
    """Put the tokenizers of another project into a bundle.

    Reads minDALL-E (both stages and captions), taming-transformers (VQ and Gumbel; also inside
    DALLE-pytorch), CasualGAN's Make-A-Scene, and a folder of diffusers' VQModel. No code in a
    checkpoint is ever run.

    Example: mas-fast import 1.3B -o my-bundle
    """
    from mas_fast.bundle import BPE_FILE, CONFIG_FILE
    from mas_fast.utils.outputs import check_outputs

    if not source.exists():
        raise ValueError(
            f"{source}: found no such file, expected a checkpoint or a folder with one"
        )
    if source.is_dir() and output.resolve() == source.resolve():
        raise ValueError(f"--output: found the input {output}, expected another folder")
    files = [
        CONFIG_FILE,
        BPE_FILE,
        *(f"{name}.safetensors" for name in ("gpt", "vq_seg", "vq_img")),
    ]
    check_outputs({"--output": [output / name for name in files]}, [source, config], folder=output)
    from mas_fast.importers.bundle import import_bundle

    for name in import_bundle(source, output, config, prefix):
        typer.echo(f"written: {output / name}")


@export_commands.command("int4")
def export_int4(
    bundle: Annotated[Path, typer.Argument(help="The bundle whose GPT is stored in int4.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write into; another one.")
    ],
) -> None:
    """Write a bundle whose GPT is in int4: less than half of the download.

    All else is copied. `generate --dtype int4` takes the weights as they are, so that the pictures
    are those of the original bundle with `--dtype int4`, and starts faster; other dtypes compute
    with what int4 left of the weights.

    Example: mas-fast export int4 my-bundle -o small
    """
    from mas_fast.bundle import GPT_FILE, bundle_files, export_int4
    from mas_fast.utils.outputs import check_apart, check_outputs

    files = [file.relative_to(bundle) for file in bundle_files(bundle)]
    check_apart(output, bundle)
    check_outputs(
        {"--output": [output / file for file in files if len(file.parts) == 1]}, (), folder=output
    )
    export_int4(bundle, output)
    sizes = [f"{(folder / GPT_FILE).stat().st_size / 1e6:.1f}" for folder in (output, bundle)]
    typer.echo(f"written: {output} (the GPT has {sizes[0]} MB instead of {sizes[1]})")


@export_commands.command("diffusers")
def export_diffusers(
    bundle: Annotated[Path, typer.Argument(help="The bundle whose tokenizer is exported.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write into; another one.")
    ],
    tokenizer: Annotated[str, typer.Option(help="vq_img or vq_seg.")] = "vq_img",
) -> None:
    """Write a tokenizer as VQModel of diffusers: config.json and its weights.

    `mas-fast import` reads the folder again. Tokenizers that VQModel cannot be, such as the bundled
    pictures' one, which works on squares of 2 x 2 pixels, are refused.

    Example: mas-fast export diffusers my-bundle -o vqvae
    """
    from mas_fast.bundle import load_vq, read_vq_config
    from mas_fast.utils.outputs import check_apart, check_outputs

    read_vq_config(bundle, tokenizer)  # before torch is imported
    check_apart(output, bundle)
    check_outputs({"--output": [output / "config.json"]}, (), folder=output)
    from mas_fast.importers.diffusers import export_vqmodel

    try:
        names = export_vqmodel(load_vq(bundle, tokenizer), output)
    except ValueError as error:
        raise ValueError(f"{bundle}: {tokenizer}: {error}") from error
    for name in names:
        typer.echo(f"written: {output / name}")


@export_commands.command("onnx")
def export_onnx(
    bundle: Annotated[Path, typer.Argument(help="The bundle whose tokenizers are exported.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The folder to write into; the bundle itself, or another."
        ),
    ],
    part: Annotated[
        list[str], typer.Option(help="encoder or decoder; may be given twice. Both by default.")
    ] = ["encoder", "decoder"],  # noqa: B006 (typer copies it)
    dtype: Annotated[
        list[str],
        typer.Option(
            help="fp32, fp16 or int8; may be given several times. fp32 and fp16 by default."
        ),
    ] = ["fp32", "fp16"],  # noqa: B006
) -> None:
    """Write the tokenizers as ONNX files, and say how near they are to PyTorch.

    DIR/onnx/ gets {vq_seg,vq_img}_{encoder,decoder}.{fp32,fp16}.onnx and the report as parity.json;
    DIR gets the rest of the bundle, so that it is all that a machine without PyTorch needs. Nothing
    is written where a graph differs too much. int8 is of decoders alone, faster on CPUs, made and
    measured with what the bundle draws. Needs: pip install -e ".[export]"

    Example: mas-fast export onnx my-bundle -o deployed --part decoder
    """
    from mas_fast.bundle import models_of
    from mas_fast.onnx.files import DTYPES, PARTS
    from mas_fast.utils.validate import check_choice

    models_of(bundle)  # before torch is imported
    for option, values, allowed in (("--part", part, PARTS), ("--dtype", dtype, DTYPES)):
        for value in values:
            check_choice(option, value, allowed)
    from rich.console import Console

    from mas_fast.onnx.export import export_onnx
    from mas_fast.pipelines.calibration import draw

    report = export_onnx(bundle, output, parts=part, dtypes=dtype, draw=draw, progress=True)
    Console().print(report.table())
    typer.echo(f"written: {output / 'onnx'}")


def push(
    bundle: Annotated[Path, typer.Argument(help="The bundle.")],
    name: Annotated[str, typer.Argument(help="The repository, as owner/name.")],
    license: Annotated[
        str, typer.Option(help="Of the weights, by its name on the hub, such as apache-2.0.")
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Where it is new: seen by its owner alone.")
    ] = False,
) -> None:
    """Put a bundle on the Hugging Face hub, where `--model owner/name` finds it.

    The bundle is checked first. The repository is made if need be, and one commit has all: the
    files of the bundle, and a model card with what quality.json measured. Log in first: hf auth
    login

    Example: mas-fast push my-bundle owner/name --license apache-2.0
    """
    from mas_fast.bundle import push_to_hub

    typer.echo(f"written: {push_to_hub(bundle, name, license=license, private=private)}")
