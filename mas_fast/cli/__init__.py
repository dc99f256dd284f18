"""The command `mas-fast`. Every command imports what it needs when it runs, so help is instant."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from mas_fast.cli.bundle import export_commands, import_, push
from mas_fast.cli.codes import decode, encode
from mas_fast.cli.data import commands as data_commands
from mas_fast.cli.edit import edit
from mas_fast.cli.ending import Commands, end
from mas_fast.cli.eval import commands as eval_commands
from mas_fast.cli.generate import generate
from mas_fast.cli.serve import serve
from mas_fast.cli.train import commands as train_commands
from mas_fast.version import __version__


def _show(message: Warning | str, *_: object, **__: object) -> None:
    """A warning in one line, without the place in the code where it was given."""
    typer.echo(f"warning: {message}", err=True)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",  # in "rich" mode the brackets of ".[bench]" would vanish
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mas-fast {__version__}")
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

    Start with `mas-fast generate "a red house beside a lake at dusk"`; `mas-fast info` shows what
    this machine can use.

    Exit status: 0 all is well, 1 an error, 2 the command line is not understood, 130 interrupted.
    """
    warnings.showwarning = _show


app.command()(generate)
app.command()(edit)
app.command()(encode)
app.command()(decode)
app.command()(serve)


@app.command()
def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show versions, devices, what is in use, and why a fast path is off.

    Nothing is changed. Where a fast path is off, the last lines name the command that turns it on.

    Example: mas-fast info --json
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
    from mas_fast.cli.benchmark import run

    raise typer.Exit(run(subject, json))


app.add_typer(
    data_commands, name="data", help="Pictures with captions become scenes, and scenes tokens."
)
app.add_typer(train_commands, name="train", help="Train the tokenizers and the GPT.")
app.add_typer(
    eval_commands,
    name="eval",
    help="Measure the tokenizers, `vq-seg` and `vq-img`, or all: `storybook`.",
)
app.command("import")(import_)
app.command()(push)
app.add_typer(
    export_commands,
    name="export",
    help="Make files for other runtimes, `onnx`, for diffusers, or for a smaller download, `int4`.",
)


def main() -> None:
    """The entry point: whatever goes wrong ends in one line and not in a traceback (see ending)."""
    end(app, typer.main.get_command(app) if isinstance(app, typer.Typer) else None)
