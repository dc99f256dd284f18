"""`mas-fast train ...`: the tokenizers and the GPT."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

commands = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

MACHINE, PAIRS = "8xH200", 14_000_000  # of a plan, unless it is told otherwise
FREE_FORM = {"allow_extra_args": True, "ignore_unknown_options": True}
ConfigName = Annotated[
    str | None,
    typer.Argument(metavar="CONFIG", help="A YAML file, or the name of one in configs/."),
]
ConfigOption = Annotated[
    str | None, typer.Option("--config", metavar="CONFIG", help="The same, as an option.")
]


class TrainCommand(TyperCommand):
    """A command whose help ends with the settings that it takes."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # of click, or of typer's copy of it
        super().format_help(ctx, formatter)
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        from mas_fast.training.settings_help import COLUMNS, KINDS, rows

        table = Table(*COLUMNS, box=None, title="Settings", title_justify="left")
        table.columns[0].no_wrap = True
        for row in rows(KINDS[self.name or ""]):
            table.add_row(*map(Text, (row.option, row.default, row.unit, row.text)))
        Console().print(table)


def _chosen(
    kind: str, context: typer.Context, name: str | None, option: str | None
) -> tuple[Path, list[str]]:
    """The file and the settings that replace its own, of `train WHAT CONFIG --key value ...`; found
    without torch, which takes a second or more to import."""
    from mas_fast.training.settings import configs, find

    overrides = context.args
    if name is not None and name.startswith("--"):  # an override, where CONFIG is an option
        overrides, name = [name, *overrides], None
    if name is not None and option is not None:
        raise ValueError(f"train {kind}: found {name!r} and --config {option!r}, expected one")
    chosen = name or option
    if not chosen:
        known = list(configs(kind))
        expected = f"expected a YAML file, or the name of one: {', '.join(known)}"
        command = f"mas-fast train {kind} {min(known, key=len)}"  # small, tiny
        raise ValueError(f"train {kind}: found no CONFIG, {expected}; for example `{command}`")
    return find(kind, chosen), overrides


def _finish(bundle: Path, folder: Path | None = None) -> None:
    """Say what the run in `folder` left out and where the bundle is, and end. In one of several
    processes without the interpreter's exit: gloo's threads abort it now and then (torch 2.13),
    when all is done and written."""
    from mas_fast.data.rejects import FILE, read, summary

    if folder is not None and (kinds := read(folder / FILE)):
        typer.echo(summary(kinds, folder / FILE))
    typer.echo(bundle)
    if "WORLD_SIZE" in os.environ:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


@commands.command("bpe")
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
    from mas_fast.bundle import BPE_FILE, save_bpe
    from mas_fast.text.bpe import BPE
    from mas_fast.utils.outputs import check_outputs

    check_outputs({"--output": output / BPE_FILE}, files, folder=output)
    save_bpe(output, BPE.train(files, vocab_size=vocab_size, length=length))
    typer.echo(output / BPE_FILE)


@commands.command("vq-seg", cls=TrainCommand, context_settings=FREE_FORM)
def train_vq_seg(
    context: typer.Context, name: ConfigName = None, config: ConfigOption = None
) -> None:
    """Train the tokenizer of scenes.

    Every setting of the file can be given as `--key value` too, also `--model.codes 512`. DATA is a
    COCO folder, webdataset tars, or a folder of images with scenes. The same command again
    continues a run that was stopped. `--decoder-of BUNDLE` goes on with the decoder of a tokenizer
    that there is; its tokens keep their meaning. In several processes:
    `torchrun --nproc-per-node N --no-python mas-fast train vq-seg ...`

    Example: mas-fast train vq-seg small --data DATA --folder runs/seg
    """
    chosen = _chosen("vq-seg", context, name, config)
    from mas_fast.training.settings import read
    from mas_fast.training.vq import SegSettings, train

    settings = read(SegSettings, *chosen)
    _finish(train(settings), settings.folder)


@commands.command("vq-img", cls=TrainCommand, context_settings=FREE_FORM)
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
    chosen = _chosen("vq-img", context, name, config)
    from mas_fast.training.settings import read
    from mas_fast.training.vq import ImgSettings, train

    settings = read(ImgSettings, *chosen)
    _finish(train(settings), settings.folder)


@commands.command("gpt", cls=TrainCommand, context_settings=FREE_FORM)
def train_gpt(
    context: typer.Context,
    name: ConfigName = None,
    config: ConfigOption = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print memory, hours and disk, and do nothing.")
    ] = False,
    machine: Annotated[
        str | None, typer.Option(help="Of the plan: COUNTxGPU, such as 1xRTX4090. [8xH200]")
    ] = None,
    pairs: Annotated[
        int | None, typer.Option(help="Of the plan: pictures with captions. [14000000]")
    ] = None,
) -> None:
    """Train the GPT on token shards, which `mas-fast data tokenize` makes.

    CONFIG: tiny, storybook-1, mini-270m, mini-270m-sparse, make-a-scene-4b, or a file. The model
    takes the lengths and vocabularies of the data. `--bundle DIR`, with the tokenizers, adds sample
    sheets; `--start DIR` begins with the weights of another GPT. As for `vq-seg`: every setting can
    be given, the same command continues a run, and torchrun starts it in several processes, by
    itself with whole weights in each (`--parallel ddp`) or shared between them (`--parallel fsdp`).

    Example: mas-fast train gpt tiny --data TOKENS --folder runs/tiny
    """
    chosen = _chosen("gpt", context, name, config)
    for option, value in (("--machine", machine), ("--pairs", pairs)):
        if value is not None and not plan:
            raise ValueError(
                f"{option}: found {value} without --plan, expected it with --plan only"
            )
    from mas_fast.training.gpt import train
    from mas_fast.training.gpt_settings import GPTSettings
    from mas_fast.training.settings import read

    settings = read(GPTSettings, *chosen)
    if not plan:
        _finish(train(settings))
        return
    from rich.console import Console
    from rich.table import Table

    from mas_fast.training.plan import Machine
    from mas_fast.training.plan import plan as plan_of

    for content in plan_of(
        settings, Machine.parse(machine or MACHINE), PAIRS if pairs is None else pairs
    ):
        table = Table()
        for number, column in enumerate(content.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in content.rows:
            table.add_row(*row)
        Console().print(f"[bold]{content.title}[/bold]", table, sep="\n")


@commands.command("all", cls=TrainCommand, context_settings=FREE_FORM)
def train_all(context: typer.Context, name: ConfigName = None, config: ConfigOption = None) -> None:
    """Train the model that ships with mas_fast, from nothing: scenes, tokenizers, tokens, GPT.

    Prints the plan, with what each stage takes on this machine, and before each stage the time that
    is left. The same command again goes on where it was stopped. Painting the scenes needs skia:
    pip install -e ".[storybook]". Settings of a stage can be replaced too, as `--gpt.steps 100`.

    Example: mas-fast train all --config storybook --folder runs/storybook
    """
    chosen = _chosen("all", context, name, config)
    from mas_fast.training.settings import read
    from mas_fast.training.train_all import AllSettings, run

    typer.echo(run(read(AllSettings, *chosen)))
