"""Records of a run: as tables on the terminal, and as JSON in results/<machine>.json.

A record is a dict of plain values: "tables", what `show` prints, and whatever else the subject
keeps. A file holds {"machine": ..., "subjects": {subject: record}}; writing a subject leaves the
others as they are."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.versus import Contestant, Match
from mas_fast import info

UNFINISHED = " (unfinished)"
FOLDER = Path(__file__).resolve().parent / "results"
PACKAGES = (
    *("mas_fast", "numpy", "torch", "triton"),
    *("llama_cpp_python", "gguf", "ctranslate2", "transformers", "pytest-benchmark"),
    *("openvino", "nncf", "onnxruntime"),
    *("liger-kernel", "vector-quantize-pytorch", "flash-kmeans", "scikit-learn"),
    *("pillow", "simplejpeg", "opencv-python-headless", "imagecodecs", "kornia-rs", "pyvips"),
)


def machine() -> dict:
    """Return {"name": file name of this machine, "cpu", "cores", "gpus", "system"}."""
    facts = info.collect()
    cpu, gpus = facts["cpu"], [gpu["name"] for gpu in facts["gpus"]]
    words = " ".join([cpu["name"], f"{cpu['cores']} cores", *gpus])
    words = re.sub(r"\((r|tm)\)|\bcpu\b|@.*?ghz", " ", words.lower())
    name = re.sub(r"[^a-z0-9]+", "-", words).strip("-")
    return {
        "name": name,
        "cpu": cpu["name"],
        "cores": cpu["cores"],
        "instruction sets": cpu["isas"],
        "gpus": gpus,
        "system": platform.platform(),
    }


def provenance() -> dict:
    """Tell when, with which versions and from which commit a record is made."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": versions,
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(FOLDER.parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def write(subject: str, record: dict, path: str | os.PathLike | None = None) -> Path:
    """Put a record into a file, in place of an older one of the subject.

    Args:
        subject: the subject.
        record: its record.
        path: the file; by default results/<machine>.json.

    Returns:
        The file.

    Raises:
        ValueError: if the file is not one of results.
    """
    here = machine()
    path = FOLDER / f"{here['name']}.json" if path is None else Path(path)
    subjects = {}
    if path.exists() and path.stat().st_size:
        try:
            subjects = dict(json.loads(path.read_text())["subjects"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}: found no results in it ({error!r}), expected none or JSON"
            ) from error
    subjects[subject] = record
    if not subject.endswith(UNFINISHED):
        subjects.pop(subject + UNFINISHED, None)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    text = json.dumps({"machine": here, "subjects": subjects}, indent=1, allow_nan=False)
    temporary.write_text(text + "\n")
    temporary.replace(path)
    return path


def keeping(
    subject: str, measure: Callable[..., Match], path: str | os.PathLike | None = None
) -> Callable[..., Match]:
    """Store each match as soon as it has been played, so that a run that is cut short loses only
    the one that it was at.

    They are kept under the subject's name and UNFINISHED, which `write` drops when the whole record
    comes.

    Args:
        subject: the subject.
        measure: times contestants, as `versus.measure` does.
        path: the file, as for `write`.

    Returns:
        What `measure` does, and then stores its match.
    """
    record = {**provenance(), "matches": []}

    def measured(contestants: Sequence[Contestant], blocks: int) -> Match:
        match = measure(contestants, blocks)
        record["matches"].append(match.to_dict())
        write(subject + UNFINISHED, record, path)
        return match

    return measured


def show(record: dict, console: Console | None = None) -> None:
    """Print the tables of a record.

    Args:
        record: its "tables" are {"title", "columns", "rows"} each, cells being text, numbers or
            None.
        console: where they go.
    """
    # A file or a pipe has no width of its own, and at 80 columns the tables fold.
    console = console or Console(width=None if sys.stdout.isatty() else 150)
    for content in record["tables"]:
        table = Table(title=content["title"], title_justify="left", title_style="bold")
        for number, column in enumerate(content["columns"]):
            table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
        for row in content["rows"]:
            table.add_row(*map(_text, row))
        console.print(table)


def _text(cell) -> str:
    if cell is None:
        return "-"
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)
