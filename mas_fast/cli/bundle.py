"""What fills a bundle, or makes other files of one: `mas-fast import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
