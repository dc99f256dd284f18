"""The command `mas-fast`. Every command imports what it needs when it runs, so help is instant."""

from __future__ import annotations

import os
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


data = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(data, name="data", help="Pictures with captions become scenes, and scenes tokens.")

Workers = Annotated[
    int | None, typer.Option(help="Processes; by default one for each core.", show_default=False)
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        help="Run on Ray Data: `local`, `auto`, or the address of a cluster, whose machines "
        "have to see the same folders.",
        show_default=False,
    ),
]


@data.command("prepare")
def data_prepare(
    source: Annotated[
        Path,
        typer.Argument(
            help="A COCO folder or a panoptic .json, webdataset tars or a folder of them, or a "
            "folder of images: what is there decides. With --tsv, where the tars go."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder of scene shards, new or to go on.")
    ],
    captions: Annotated[
        Path | None,
        typer.Option(help="Captions that lie elsewhere: COCO JSON, or a CSV or JSONL table."),
    ] = None,
    tsv: Annotated[
        Path | None,
        typer.Option(
            help="First download what this CC3M or CC12M file names, by img2dataset, into SOURCE."
        ),
    ] = None,
    size: Annotated[int, typer.Option(help="Pixels of the shorter side.")] = 256,
    segmenter: Annotated[
        list[str] | None,
        typer.Option(
            help="An annotator, `NAME KEY=VALUE ...`, or your own, `MODULE:CLASS`; repeat it, "
            "panoptic first. Without any, the source's own annotations are used.",
            show_default=False,
        ),
    ] = None,
    layout: Annotated[str, typer.Option(help="Of the labels: mini158 or mas159.")] = "mini158",
    min_person_px: Annotated[
        int, typer.Option(help="Person pixels below which human and face parts are dropped.")
    ] = 1,
    restrict_to_person: Annotated[
        bool, typer.Option("--restrict-to-person", help="Drop parts outside of persons.")
    ] = False,
    per_shard: Annotated[
        int, typer.Option(help="Samples in a shard, where the source has no tars.")
    ] = 1000,
    workers: Workers = None,
    ray_address: RayAddress = None,
) -> None:
    """Make shards of clean scenes from pictures with captions.

    Each tar of the source, or each run of its samples, becomes one webdataset tar: jpg, txt, json,
    seg.png and edge.png of each sample. Pictures that cannot be used are in rejects.tsv, with the
    reason. The same command again continues a run that was stopped, with the same result, byte for
    byte, whatever the number of workers.

    A COCO folder has `panoptic_*.json`, its PNGs and photos, and maybe `captions_*.json`; it is
    recognised, so no option names the kind of a source.

    Examples:

    mas-fast data prepare coco --captions captions_val2017.json.gz -o scenes

    mas-fast data prepare cc3m --tsv Train_GCC-training.tsv -o scenes --segmenter "transformers
    model=NAME device=cuda" --segmenter "schp weights=exp-schp-lip.pth device=cuda" --segmenter face
    """
    from mas_fast.data.prepare import Rules, prepare

    if tsv is not None:
        _download(tsv, source, size)
    manifest = prepare(
        source,
        output,
        captions=captions,
        rules=Rules(size, layout, min_person_px, restrict_to_person),
        segmenters=segmenter or (),
        per_shard=per_shard,
        workers=workers or _cores(),
        ray=ray_address,
    )
    _finished(output, manifest)


@data.command("tokenize")
def data_tokenize(
    scenes: Annotated[Path, typer.Argument(help="The folder that `data prepare` made.")],
    bundle: Annotated[
        Path, typer.Option("--bundle", "-b", help="Has tokenizer.json, vq_seg and vq_img.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder of token shards, new or to go on.")
    ],
    format: Annotated[
        str, typer.Option(help="`arrow` to train on; `parquet` for other programs.")
    ] = "arrow",
    batch: Annotated[int, typer.Option(help="Pictures that are encoded at once.")] = 8,
    device: Annotated[str, typer.Option(help="`cpu` or `cuda`.")] = "cpu",
    workers: Workers = None,
    ray_address: RayAddress = None,
) -> None:
    """Encode scene shards with the three tokenizers of a bundle.

    Each scene shard becomes one Arrow file with the tokens of captions, scenes and pictures, which
    training maps into memory. Captions stay beside their tokens. The same command again continues a
    run that was stopped. On GPUs, give each two or more workers: one reads while another computes.

    Example: mas-fast data tokenize scenes --bundle my-bundle -o tokens
    """
    from mas_fast.data.encode import tokenize

    manifest = tokenize(
        scenes,
        bundle,
        output,
        format=format,
        batch=batch,
        device=device,
        workers=workers or _cores(),
        ray=ray_address,
    )
    _finished(output, manifest)


@data.command("report")
def data_report(
    scenes: Annotated[
        Path, typer.Argument(help="The folder of `data prepare`, also while it is being filled.")
    ],
    html: Annotated[
        Path | None, typer.Option(help="Where the page goes; by default SCENES/report.html.")
    ] = None,
) -> None:
    """Show what is in scene shards: classes of each layer, void, persons, captions, rejects.

    Prints tables, and writes a page with all of them and with pictures beside their scenes. Look at
    it before you train: a label that covers most of the pixels is what a tokenizer will predict.

    Example: mas-fast data report scenes
    """
    from mas_fast.data.report import Report

    report = Report.read(scenes)
    report.show()
    page = html or scenes / "report.html"
    report.write_html(page)
    typer.echo(f"written: {page}")


def _download(tsv: Path, folder: Path, size: int) -> None:
    from mas_fast.data.download import run

    try:
        rejects = run(tsv, folder, size=size)
    except RuntimeError as error:
        raise ValueError(error) from error
    for reject in rejects[:10]:
        typer.echo(f"left out: {reject.key}: {reject.reason}", err=True)
    if len(rejects) > 10:
        typer.echo(f"left out: {len(rejects) - 10} more rows", err=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _finished(output: Path, manifest: dict) -> None:
    samples = sum(shard["samples"] for shard in manifest["shards"])
    typer.echo(f"{output}: {samples} samples in {len(manifest['shards'])} shards")


training = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(training, name="train", help="Train the tokenizers and the GPT.")

FREE_FORM = {"allow_extra_args": True, "ignore_unknown_options": True}
ConfigName = Annotated[
    str | None,
    typer.Argument(metavar="CONFIG", help="A YAML file, or the name of one in configs/."),
]
ConfigOption = Annotated[
    str | None, typer.Option("--config", metavar="CONFIG", help="The same, as an option.")
]


def _settings(what: str, kind: type, context: typer.Context, name: str | None, option: str | None):
    """The settings of `train WHAT CONFIG --key value ...`."""
    from mas_fast.training.settings import find, read

    overrides = context.args
    if name is not None and name.startswith("--"):  # an override, where CONFIG is an option
        name, overrides = None, [name, *overrides]
    if (name is None) == (option is None):
        raise ValueError(f"train {what}: found {name!r} and --config {option!r}, expected one")
    return read(kind, find(what, name or option), overrides)


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
def train_vq_seg(
    context: typer.Context, name: ConfigName = None, config: ConfigOption = None
) -> None:
    """Train the tokenizer of scenes.

    Every setting of the file can be given as `--key value` too, also `--model.codes 512`. DATA is a
    COCO folder, webdataset tars, or a folder of images with scenes. The same command again
    continues a run that was stopped. In several processes:
    `torchrun --nproc-per-node N --no-python mas-fast train vq-seg ...`

    Example: mas-fast train vq-seg small --data DATA --folder runs/seg
    """
    from mas_fast.training.vq import SegSettings, train

    typer.echo(train(_settings("vq-seg", SegSettings, context, name, config)))


@training.command("vq-img", context_settings=FREE_FORM)
def train_vq_img(
    context: typer.Context, name: ConfigName = None, config: ConfigOption = None
) -> None:
    """Train the tokenizer of pictures: as `vq-seg`, but needs no scenes.

    `--perceptual FOLDER` adds LPIPS, `--object-weight 1` LPIPS of each object, `--face FOLDER` the
    distance of each face, `--gan-start STEP` the GAN loss. FOLDER has the published weights: where
    one is missing, the message names it and where to get it. Objects and faces are those of
    "object_boxes" and "face_boxes" in a sample's json, lists of [x0, y0, x1, y1] in pixels, else
    those that its scene shows.

    Example: mas-fast train vq-img small --data DATA --folder runs/img
    """
    from mas_fast.training.vq import ImgSettings, train

    typer.echo(train(_settings("vq-img", ImgSettings, context, name, config)))


@training.command("gpt", context_settings=FREE_FORM)
def train_gpt(
    context: typer.Context,
    name: ConfigName = None,
    config: ConfigOption = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print memory, hours and disk, and do nothing.")
    ] = False,
    machine: Annotated[
        str, typer.Option(help="Of the plan: COUNTxGPU, such as 1xRTX4090.")
    ] = "8xH200",
    pairs: Annotated[int, typer.Option(help="Of the plan: pictures with captions.")] = 14_000_000,
) -> None:
    """Train the GPT on token shards, which `mas-fast data tokenize` makes.

    CONFIG: tiny, storybook, mini-270m, make-a-scene-4b, or a file. The model takes the lengths and
    vocabularies of the data. `--bundle DIR`, with the tokenizers, adds sample sheets; `--start DIR`
    begins with the weights of another GPT. As for `vq-seg`: every setting can be given, the same
    command continues a run, and torchrun starts it in several processes, by itself with whole
    weights in each (`--parallel ddp`) or shared between them (`--parallel fsdp`).

    Example: mas-fast train gpt tiny --data TOKENS --folder runs/tiny
    """
    from mas_fast.training.gpt import GPTSettings, train

    settings = _settings("gpt", GPTSettings, context, name, config)
    if not plan:
        typer.echo(train(settings))
        return
    from rich.console import Console
    from rich.table import Table

    from mas_fast.training.plan import Machine
    from mas_fast.training.plan import plan as plan_of

    for content in plan_of(settings, Machine.parse(machine), pairs):
        table = Table()
        for number, column in enumerate(content.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in content.rows:
            table.add_row(*row)
        Console().print(f"[bold]{content.title}[/bold]", table, sep="\n")


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
