"""`mas-fast eval ...`: measures what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mas_fast.cli.runtime import Dtype, Threads
from mas_fast.utils.cores import check_threads

if TYPE_CHECKING:
    from mas_fast.evaluation.reconstruction import Reconstruction
    from mas_fast.evaluation.storybook import Quality

commands = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

Bundle = Annotated[Path, typer.Argument(help="A folder that `train` or `import` wrote.")]
Data = Annotated[
    Path, typer.Option(help="A COCO folder, webdataset tars, or a folder of images and scenes.")
]
Labels = Annotated[
    str | None,
    typer.Option(help="The label space of label maps beside photos, as `data prepare` has it."),
]
Samples = Annotated[int | None, typer.Option(help="So many, evenly spread; without it, all.")]
Batch = Annotated[int, typer.Option(help="Pictures at a time.")]
Readers = Annotated[int, typer.Option(help="Processes that read the data.")]
Device = Annotated[str | None, typer.Option(help="By default a GPU where there is one.")]
SheetFile = Annotated[Path | None, typer.Option(help="Draw inputs beside reconstructions: a PNG.")]
JsonFile = Annotated[Path | None, typer.Option(help="Write the results to this file.")]


@commands.command("vq-seg")
def eval_vq_seg(
    bundle: Bundle,
    data: Data,
    labels: Labels = None,
    samples: Samples = None,
    batch: Batch = 8,
    workers: Readers = 0,
    device: Device = None,
    sheet: SheetFile = None,
    json: JsonFile = None,
) -> None:
    """Measure the tokenizer of scenes: IoU of each class and their mean, use of the codebook.

    Each scene is cut to its middle square at the model's resolution, encoded and decoded.

    Example: mas-fast eval vq-seg my-bundle --data coco --sheet seg.png
    """
    options: dict[str, Any] = {
        "samples": samples,
        "batch": batch,
        "workers": workers,
        "device": device,
    }
    _check(bundle, "vq_seg", data, options, sheet, json)
    from mas_fast.evaluation.reconstruction import evaluate

    _show(evaluate(bundle, "vq_seg", data, labels=labels, **options), sheet, json)


@commands.command("vq-img")
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
    labels: Labels = None,
    samples: Samples = None,
    batch: Batch = 8,
    workers: Readers = 0,
    device: Device = None,
    sheet: SheetFile = None,
    json: JsonFile = None,
) -> None:
    """Measure the tokenizer of pictures: PSNR, SSIM, LPIPS and rFID, use of the codebook.

    Each picture is cut to its middle square at the model's resolution, encoded and decoded.

    Example: mas-fast eval vq-img my-bundle --data photos --lpips weights --json img.json
    """
    options: dict[str, Any] = {
        "samples": samples,
        "batch": batch,
        "workers": workers,
        "device": device,
    }
    _check(bundle, "vq_img", data, options, sheet, json)
    from mas_fast.evaluation.reconstruction import evaluate

    report = evaluate(
        bundle, "vq_img", data, labels=labels, lpips=lpips, features=features, **options
    )
    _show(report, sheet, json)


@commands.command("storybook")
def eval_storybook(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            help="A bundle, or owner/name of the Hugging Face hub; by default the one that comes "
            "with mas-fast."
        ),
    ] = None,
    world: Annotated[
        int, typer.Option(help="The world that it was trained on, 1 or 2; the shipped one on 1.")
    ] = 1,
    captions: Annotated[int, typer.Option(help="How many it is asked for.")] = 500,
    seed: Annotated[int, typer.Option(help="Of its pictures.")] = 0,
    segmenter: Annotated[
        Path, typer.Option(help="Where the segmenter is, or goes: six minutes of a core.")
    ] = Path("runs/storybook-segmenter"),
    device: Device = None,
    threads: Threads = 0,
    dtype: Dtype = "fp32",
    keep: Annotated[
        Path | None,
        typer.Option(help="Write its captions, pictures and scenes to this folder."),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Draw some of them beside the truth: a PNG.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Measure a model of the storybook: does it paint what the caption says?

    Its captions are those of stories that training never saw; half of them have a thing, a colour
    and a place that it never saw together. Each figure stands beside its goal, its ceiling (the
    true scenes and pictures through the model's tokenizers) and its floor (other captions). The
    same bundle gives the same table.

    Needs pip install "mas_fast[storybook]"

    Example: mas-fast eval storybook --captions 100 --sheet sheet.png --json quality.json
    """
    from mas_fast.bundle import bundle_files, find_bundle, read_config
    from mas_fast.utils.outputs import check_outputs
    from mas_fast.utils.validate import check_int

    bundle = find_bundle(bundle)
    check_int("world", world, 1, 2)
    check_int("captions", captions, 2)
    check_int("seed", seed, 0, 2**64 - 1)
    check_threads(threads, "--threads")
    read_config(bundle)
    check_outputs({"--sheet": sheet, "--json": json}, bundle_files(bundle))
    if keep is not None:
        check_outputs({"--keep": keep / "captions.txt"}, bundle_files(bundle), folder=keep)
    import torch
    from rich.console import Console

    from mas_fast.pipelines.torch_pipeline import load

    try:
        from mas_fast.evaluation.segmenter import Recipe, load_segmenter
        from mas_fast.evaluation.storybook import evaluate_storybook
    except ImportError as error:
        raise ImportError(f'{error}: pip install "mas_fast[storybook]"') from error
    if threads > 0:
        torch.set_num_threads(threads)
    model = load(bundle, device=device, dtype=dtype, threads=threads)
    eye = load_segmenter(segmenter, Recipe(world=world), progress=True)
    report = evaluate_storybook(model, eye, world, count=captions, seed=seed, progress=True)
    Console().print(report.table())
    if keep is not None:
        report.save(keep)
    _write(report, sheet, json)


def _check(
    bundle: Path, name: str, data: Path, options: dict, sheet: Path | None, json: Path | None
) -> None:
    """What can be wrong without torch, which takes a second to import."""
    from mas_fast.bundle import bundle_files, read_vq_config
    from mas_fast.utils.outputs import check_outputs
    from mas_fast.utils.validate import check_int

    for option, least in (("samples", 1), ("batch", 1), ("workers", 0)):
        if options[option] is not None:
            check_int(option, options[option], least, 2**31 - 1)
    read_vq_config(bundle, name)
    check_outputs({"--sheet": sheet, "--json": json}, [data, *bundle_files(bundle)])


def _show(report: Reconstruction, sheet: Path | None, json: Path | None) -> None:
    """Print a Reconstruction, and write what was asked for."""
    from rich.console import Console

    from mas_fast.data.rejects import count, summary

    Console().print(*report.tables())
    if report.rejects:
        kinds = count(reason for _, reason in report.rejects)
        typer.echo(summary(kinds, json or "--json FILE lists them"))
    _write(report, sheet, json)


def _write(report: Reconstruction | Quality, sheet: Path | None, json: Path | None) -> None:
    from json import dumps

    from mas_fast.utils.files import replace_file

    if sheet is not None:
        picture = report.sheet()
        replace_file(sheet, lambda file: picture.save(file, "PNG"))
        typer.echo(f"written: {sheet}")
    if json is not None:
        text = dumps(report.to_dict(), indent=2) + "\n"
        replace_file(json, lambda file: file.write_text(text, "utf-8"))
        typer.echo(f"written: {json}")
