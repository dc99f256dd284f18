"""`mas-fast eval ...`: measures what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

Bundle = Annotated[Path, typer.Argument(help="A folder that `train` or `import` wrote.")]
Data = Annotated[
    Path, typer.Option(help="A COCO folder, webdataset tars, or a folder of images and scenes.")
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
    from mas_fast.reconstruction import evaluate

    options = {"samples": samples, "batch": batch, "workers": workers, "device": device}
    _show(evaluate(bundle, "vq_seg", data, **options), sheet, json)


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
    from mas_fast.reconstruction import evaluate

    options = {"samples": samples, "batch": batch, "workers": workers, "device": device}
    found = evaluate(bundle, "vq_img", data, lpips=lpips, features=features, **options)
    _show(found, sheet, json)


@commands.command("storybook")
def eval_storybook(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle; by default the one that comes with mas-fast.")
    ] = None,
    captions: Annotated[int, typer.Option(help="How many it is asked for.")] = 500,
    seed: Annotated[int, typer.Option(help="Of its pictures.")] = 0,
    segmenter: Annotated[
        Path, typer.Option(help="Where the segmenter is, or goes: six minutes of a core.")
    ] = Path("runs/storybook-segmenter"),
    device: Device = None,
    threads: Annotated[int, typer.Option(help="On a CPU; 0 is all cores.")] = 0,
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
    from json import dumps

    import torch
    from rich.console import Console

    from mas_fast.bundle import shipped
    from mas_fast.model import load

    try:
        from mas_fast.quality import evaluate_storybook
        from mas_fast.training.segmenter import load_segmenter
    except ImportError as error:
        raise ImportError(f'{error}: pip install "mas_fast[storybook]"') from error
    if threads > 0:
        torch.set_num_threads(threads)
    model = load(shipped() if bundle is None else bundle, device=device, threads=threads)
    segment = load_segmenter(segmenter, progress=True).segment
    found = evaluate_storybook(model, segment, count=captions, seed=seed, progress=True)
    Console().print(found.table())
    if keep is not None:
        found.save(keep)
    if sheet is not None:
        found.sheet().save(sheet, "PNG")
    if json is not None:
        json.write_text(dumps(found.to_dict(), indent=2) + "\n")


def _show(found, sheet: Path | None, json: Path | None) -> None:
    """Print a Reconstruction, and write what was asked for."""
    from json import dumps

    from rich.console import Console

    Console().print(*found.tables())
    if sheet is not None:
        found.sheet().save(sheet, "PNG")
    if json is not None:
        json.write_text(dumps(found.to_dict(), indent=2) + "\n")
