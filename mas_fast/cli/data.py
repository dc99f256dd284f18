"""`mas-fast data ...`: pictures with captions become scenes, and scenes tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mas_fast.utils import cores

commands = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

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


@commands.command("prepare")
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
        typer.Option(
            help="Captions that lie elsewhere: COCO JSON, or a CSV, JSON, JSONL or Parquet table."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="The label space of label maps beside the photos: mini158, mas159, coco-panoptic, "
            "coco-stuff, ade20k, cityscapes, voc, camvid, ... (a wrong name lists all), or a file "
            "with a line for each class: its name, a tab, its value."
        ),
    ] = None,
    landmarks: Annotated[
        Path | None,
        typer.Option(
            help="Annotated faces, which become face parts: the XML of dlib's imglab, the JSON of "
            "COCO-WholeBody, a list of WFLW, or a folder of 300-W's .pts."
        ),
    ] = None,
    tsv: Annotated[
        Path | None,
        typer.Option(
            help="First download what this CC3M or CC12M file names, by img2dataset, into SOURCE."
        ),
    ] = None,
    size: Annotated[int, typer.Option(help="Pixels of the shorter side.")] = 256,
    annotator: Annotated[
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
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Remember every byte of the source, or compare with what is remembered.",
        ),
    ] = False,
    workers: Workers = None,
    ray_address: RayAddress = None,
) -> None:
    """Make shards of clean scenes from pictures with captions.

    Each tar of the source, or each run of its samples, becomes one webdataset tar: jpg, txt, json,
    seg.png and edge.png of each sample. Pictures that cannot be used are in rejects.tsv, with the
    reason, and the last line counts them. The same command again continues a run that was stopped,
    with the same result, byte for byte, whatever the number of workers; if the source has changed
    since, it is refused.

    Label maps are found by their names, in whatever folders: images/a.jpg and annotations/a.png,
    leftImg8bit/ and gtFine/, a.jpg and a_L.png. Those of ADE20K, COCO-Stuff and CIHP are known by
    what is in their folders; of others --labels says which classes the numbers are.

    A COCO folder has `panoptic_*.json`, its PNGs and photos, and maybe `captions_*.json`; it is
    recognised, so no option names the kind of a source. A folder of images may have captions.* or
    metadata.* (csv, jsonl, parquet) in any folder, with the columns file_name and text.

    Examples:

    mas-fast data prepare coco --captions captions_val2017.json.gz -o scenes

    mas-fast data prepare VOC2012 --labels voc -o scenes

    mas-fast data prepare cc3m --tsv Train_GCC-training.tsv -o scenes --annotator "transformers
    model=NAME device=cuda" --annotator "schp weights=exp-schp-lip.pth device=cuda" --annotator face
    """
    from mas_fast.data.prepare import Rules, prepare, uncaptioned
    from mas_fast.utils.outputs import check_apart

    check_apart(output, source)
    if tsv is not None:
        _download(tsv, source, size)
    manifest = prepare(
        source,
        output,
        captions=captions,
        labels=labels,
        landmarks=landmarks,
        rules=Rules(size, layout, min_person_px, restrict_to_person),
        annotators=annotator or (),
        per_shard=per_shard,
        verify=verify,
        workers=cores.available() if workers is None else workers,
        ray=ray_address,
    )
    _finished(output, manifest, uncaptioned(output))
    _left_out(output)
    _check_used(output, manifest)


@commands.command("storybook")
def data_storybook(
    folder: Annotated[Path, typer.Argument(help="Becomes a source of painted stories.")],
    scenes: Annotated[int, typer.Option(help="Number of stories.")],
    size: Annotated[int, typer.Option(help="Height and width in pixels.")] = 256,
    split: Annotated[str, typer.Option(help="`train`, `validation` or `test`.")] = "train",
    seed: Annotated[int, typer.Option(help="Of the stories.")] = 0,
    world: Annotated[
        int, typer.Option(help="`2`, or the old one: `1`, of fewer things and simpler captions.")
    ] = 2,
) -> None:
    """Make a folder a source of painted stories with captions and annotations.

    They are painted when `data prepare` reads them. Needs pip install "mas_fast[storybook]"

    Example: mas-fast data storybook stories --scenes 10000
    """
    from mas_fast.data.storybook.source import write_storybook

    write_storybook(folder, scenes, size, split, seed, world)
    typer.echo(f"{folder}: {scenes} stories of world {world}, painted when they are read")


@commands.command("tokenize")
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
    from mas_fast.data.tokenize import caption_counts, tokenize

    manifest = tokenize(
        scenes,
        bundle,
        output,
        format=format,
        batch=batch,
        device=device,
        workers=cores.available() if workers is None else workers,
        ray=ray_address,
    )
    _finished(output, manifest)
    captions, cut = caption_counts(output)
    if cut:
        typer.echo(f"{cut} of {captions} captions are longer than the tokenizer's length, and cut")
    _check_used(output, manifest)


@commands.command("report")
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
    from mas_fast.data.rejects import FILE, summary
    from mas_fast.data.report import Report
    from mas_fast.utils.outputs import check_outputs

    page = html or scenes / "report.html"
    if scenes.is_dir():  # of it, only a page may be replaced
        kept = [file for file in scenes.iterdir() if file.suffix != ".html"]
        check_outputs({"--html": page}, kept)
    report = Report.read(scenes)
    report.show()
    report.write_html(page)
    typer.echo(f"written: {page}")
    if report.rejects:
        typer.echo(summary(report.rejects, scenes / FILE))
    if not report.statistics.samples:
        raise ValueError(f"{scenes}: found 0 samples, expected some")


def _download(tsv: Path, folder: Path, size: int) -> None:
    from mas_fast.data.download import STATS, failures, run
    from mas_fast.data.rejects import FILE, count, summary

    try:
        left_out = run(tsv, folder, size=size)
    except RuntimeError as error:
        raise ValueError(error) from error
    if left_out:
        typer.echo(summary(count(reject.reason for reject in left_out), folder / FILE), err=True)
    if missing := failures(folder):
        typer.echo(summary(missing, folder / STATS), err=True)


def _finished(output: Path, manifest: dict, uncaptioned: int = 0) -> None:
    samples = sum(shard["samples"] for shard in manifest["shards"])
    without = f", {uncaptioned} without a caption" if uncaptioned else ""
    typer.echo(f"{output}: {samples} samples in {len(manifest['shards'])} shards{without}")


def _left_out(output: Path) -> None:
    """Count what did not come through."""
    from mas_fast.data.rejects import FILE, read, summary

    if kinds := read(output / FILE):
        typer.echo(summary(kinds, output / FILE))


def _check_used(output: Path, manifest: dict) -> None:
    """A run that used nothing ends with an error, so that no script goes on with it."""
    if not any(shard["samples"] for shard in manifest["shards"]):
        raise ValueError(f"{output}: found 0 samples that can be used, expected some")
