"""The command `mas-fast`. Every command imports what it needs when it runs, so help is instant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

import mas_fast

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",  # in "rich" mode the brackets of ".[bench]" would vanish
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mas-fast {mas_fast.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """A small, fast Make-A-Scene: a caption becomes a scene, the scene becomes a picture.

    Start with `mas-fast info`, which shows what this machine can use.
    """


@app.command()
def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show versions, devices, what is in use, and why a fast path is off.

    Nothing is changed. Where a fast path is off, the last lines name the command that turns it on.
    """
    from mas_fast.info import collect, render

    facts = collect()
    if as_json:
        import json

        typer.echo(json.dumps(facts, indent=2))
    else:
        typer.echo(render(facts))


@app.command()
def bench(
    subject: Annotated[str, typer.Argument(help="A file of benchmarks/, such as `decode`.")],
    json: Annotated[Path | None, typer.Option(help="Write the results to this file.")] = None,
) -> None:
    """Run one subject of the benchmark suite beside its peers and print a table with ratios.

    Needs a checkout of mas_fast, and the peers: pip install -e ".[bench]"

    Example: mas-fast bench decode --json decode.json
    """
    from mas_fast.bench import run

    raise typer.Exit(run(subject, json))


training = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(training, name="train", help="Train the tokenizers: `bpe`, `vq-seg`, `vq-img`.")

FREE_FORM = {"allow_extra_args": True, "ignore_unknown_options": True}
ConfigFile = Annotated[Path, typer.Argument(help="A YAML file, such as those in configs/.")]


@training.command("bpe")
def train_bpe(
    files: Annotated[
        list[Path],
        typer.Argument(help="Captions: text, CC3M or CC12M TSV, COCO JSON, or those as .gz."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The bundle that receives tokenizer.json.")
    ],
    vocab_size: Annotated[int, typer.Option(help="Number of tokens.")] = 16384,
    length: Annotated[int, typer.Option(help="Tokens per caption, padded or cut.")] = 64,
) -> None:
    """Train the caption tokenizer.

    Example: mas-fast train bpe captions.tsv.gz -o my-bundle
    """
    from mas_fast.bpe import BPE
    from mas_fast.bundle import BPE_FILE, save_bpe

    save_bpe(output, BPE.train(files, vocab_size=vocab_size, length=length))
    typer.echo(output / BPE_FILE)


@training.command("vq-seg", context_settings=FREE_FORM)
def train_vq_seg(context: typer.Context, config: ConfigFile) -> None:
    """Train the tokenizer of scenes.

    Every setting of the file can be given as `--key value` too, also `--model.codes 512`. DATA is a
    COCO folder, webdataset tars, or a folder of images with scenes. The same command again
    continues a run that was stopped. In several processes:
    `torchrun --nproc-per-node N --no-python mas-fast train vq-seg ...`

    Example: mas-fast train vq-seg configs/vq-seg-small.yaml --data DATA --folder runs/seg
    """
    from mas_fast.training.settings import read
    from mas_fast.training.vq import SegSettings, train

    typer.echo(train(read(SegSettings, config, context.args)))


@training.command("vq-img", context_settings=FREE_FORM)
def train_vq_img(context: typer.Context, config: ConfigFile) -> None:
    """Train the tokenizer of pictures: as `vq-seg`, but needs no scenes.

    `--perceptual FOLDER` adds LPIPS, `--object-weight 1` LPIPS of each object, `--face FOLDER` the
    distance of each face, `--gan-start STEP` the GAN loss. FOLDER has the published weights: where
    one is missing, the message names it and where to get it. Objects and faces are those of
    "object_boxes" and "face_boxes" in a sample's json, lists of [x0, y0, x1, y1] in pixels, else
    those that its scene shows.

    Example: mas-fast train vq-img configs/vq-img-small.yaml --data DATA --folder runs/img
    """
    from mas_fast.training.settings import read
    from mas_fast.training.vq import ImgSettings, train

    typer.echo(train(read(ImgSettings, config, context.args)))


evaluation = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(evaluation, name="eval", help="Measure the tokenizers: `vq-seg`, `vq-img`.")

Bundle = Annotated[Path, typer.Argument(help="A folder that `train` or `import` wrote.")]
Data = Annotated[
    Path, typer.Option(help="A COCO folder, webdataset tars, or a folder of images and scenes.")
]
Samples = Annotated[int | None, typer.Option(help="So many, evenly spread; without it, all.")]
Batch = Annotated[int, typer.Option(help="Pictures at a time.")]
Workers = Annotated[int, typer.Option(help="Processes that read the data.")]
Device = Annotated[str | None, typer.Option(help="By default a GPU where there is one.")]
SheetFile = Annotated[Path | None, typer.Option(help="Draw inputs beside reconstructions: a PNG.")]
JsonFile = Annotated[Path | None, typer.Option(help="Write the results to this file.")]


@evaluation.command("vq-seg")
def eval_vq_seg(
    bundle: Bundle,
    data: Data,
    samples: Samples = None,
    batch: Batch = 8,
    workers: Workers = 0,
    device: Device = None,
    sheet: SheetFile = None,
    json: JsonFile = None,
) -> None:
    """Measure the tokenizer of scenes: IoU of each class and their mean, use of the codebook.

    Each scene is cut to its middle square at the model's resolution, encoded and decoded.

    Example: mas-fast eval vq-seg my-bundle --data coco --sheet seg.png
    """
    from mas_fast.reconstruction import evaluate

    options = {"samples": samples, "batch": batch, "workers": workers, "device": device}
    _show(evaluate(bundle, "vq_seg", data, **options), sheet, json)


@evaluation.command("vq-img")
def eval_vq_img(
    bundle: Bundle,
    data: Data,
    lpips: Annotated[
        Path | None, typer.Option(help="Folder with the weights of LPIPS, to measure it.")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            help="A TorchScript file that extracts features, to measure rFID: pictures "
            "[N, 3, H, W] in 0..255 -> [N, D], as StyleGAN's inception-2015-12-05.pt. It is a "
            "program: take it from whom you trust."
        ),
    ] = None,
    samples: Samples = None,
    batch: Batch = 8,
    workers: Workers = 0,
    device: Device = None,
    sheet: SheetFile = None,
    json: JsonFile = None,
) -> None:
    """Measure the tokenizer of pictures: PSNR, SSIM, LPIPS and rFID, use of the codebook.

    Each picture is cut to its middle square at the model's resolution, encoded and decoded.

    Example: mas-fast eval vq-img my-bundle --data photos --lpips weights --json img.json
    """
    from mas_fast.reconstruction import evaluate

    options = {"samples": samples, "batch": batch, "workers": workers, "device": device}
    found = evaluate(bundle, "vq_img", data, lpips=lpips, features=features, **options)
    _show(found, sheet, json)


def _show(found, sheet: Path | None, json: Path | None) -> None:
    """Print a Reconstruction, and write what was asked for."""
    from json import dumps

    from rich.console import Console

    Console().print(*found.tables())
    if sheet is not None:
        found.sheet().save(sheet, "PNG")
    if json is not None:
        json.write_text(dumps(found.to_dict(), indent=2) + "\n")


@app.command("import")
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
        typer.Option(help="Of the names, where a file holds several, as `first_stage_model.`"),
    ] = None,
) -> None:
    """Put the tokenizers of another project into a bundle.

    Reads minDALL-E (stage 1 and captions), taming-transformers (VQ and Gumbel) and CasualGAN's
    Make-A-Scene. No code in a checkpoint is ever run.

    Example: mas-fast import 1.3B -o my-bundle
    """
    from mas_fast.importers import import_bundle

    for name in import_bundle(source, output, config, prefix):
        typer.echo(f"written: {output / name}")


def main() -> None:
    """The entry point: bad input and missing parts end in one line, not in a traceback."""
    try:
        app()
    except (ValueError, ImportError, OSError) as error:
        sys.exit(f"mas-fast: {error}")
