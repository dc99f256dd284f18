"""Where results go: found out before the work, so that it is not done in vain, and never onto what
is read. No torch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

Paths = str | os.PathLike | Iterable[str | os.PathLike] | None


def check_outputs(
    outputs: Mapping[str, Paths],
    inputs: Iterable[str | os.PathLike | None] = (),
    folder: str | os.PathLike | None = None,
) -> None:
    """Check that outputs can be written, and that none replaces an input or another output.

    Args:
        outputs: the files that are written, by the option that names them, "" for none; None: one
            that is not asked for.
        inputs: files that are read, and folders, of which no file may be replaced.
        folder: the folder of the outputs, where the command makes it.

    Raises:
        ValueError: names the option, the file and what is wrong with it.
    """
    given = {Path(path).resolve() for path in inputs if path is not None}
    parents: dict[Path, Path] = {}
    taken: dict[Path, str] = {}
    for option, paths in outputs.items():
        for path in _listed(paths):
            label = f"{option}: {path}" if option else f"{path}"
            if path.parent not in parents:
                new = folder is not None and not os.path.lexists(folder)
                parents[path.parent] = (_new_folder if new else _folder)(path.parent, label)
            target = parents[path.parent] / path.name
            if len(os.fsencode(path.name)) > LONGEST:
                problem = f"found a name of {len(os.fsencode(path.name))} bytes"
                raise ValueError(f"{label}: {problem}, expected at most {LONGEST}")
            if os.path.lexists(path):
                target = _check_old(path, label, given)
            if target in given:
                raise ValueError(f"{label}: found an input of this command, {INSTEAD}")
            if target in taken:
                other = f" with {taken[target]}" if taken[target] != option else ""
                raise ValueError(f"{label}: found it twice{other}, expected a file for each output")
            taken[target] = option


LONGEST = 200  # bytes of a name; beside the file goes a temporary one, whose name is longer
INSTEAD = "which would be replaced; expected another place for what is written"


def _listed(paths: Paths) -> list[Path]:
    if paths is None:
        return []
    return [Path(p) for p in ([paths] if isinstance(paths, str | os.PathLike) else paths)]


def _folder(folder: Path, label: str) -> Path:
    """The folder of an output. ValueError unless it is there and can be written to."""
    if not folder.is_dir():
        raise ValueError(f"{label}: found no folder {folder}, expected one that is there")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{label}: found no permission to write to the folder {folder}")
    _check_takes_files(folder, label)
    return folder.resolve()


def _check_takes_files(folder: Path, label: str) -> None:
    """ValueError for a folder in which no file can be made, whatever its permissions say: /proc, a
    full or a read-only file system."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"{label}: found that no file can be made in {folder} ({error.strerror}), expected a "
            "folder that takes files"
        ) from error


def _new_folder(folder: Path, label: str) -> Path:
    """A folder that is not there. ValueError unless it can be made."""
    above = next(path for path in folder.absolute().parents if path.exists())
    if not above.is_dir():
        raise ValueError(f"{label}: found that {above} is a file, expected a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ValueError(f"{label}: found no permission to make {folder} in {above}")
    _check_takes_files(above, label)
    return folder.resolve()


def _check_old(path: Path, label: str, given: set[Path]) -> Path:
    """Where an output is that is there already. ValueError for a folder and for an input."""
    if path.is_dir():
        raise ValueError(f"{label}: found a folder, expected the name of a file")
    target = path.resolve()
    for other in given:
        if other.is_dir() and target.is_relative_to(other):
            raise ValueError(f"{label}: found a file of the input {other}, {INSTEAD}")
        if other.is_file() and path.exists() and os.path.samefile(path, other):
            raise ValueError(f"{label}: found an input of this command, {INSTEAD}")
    return target


def check_apart(
    output: str | os.PathLike, source: str | os.PathLike, *, around: bool = False
) -> None:
    """Check that a folder of output is apart from the input, also through links.

    Otherwise the next run would read the output, or write over its input.

    Args:
        output: the folder of the output.
        source: what is read.
        around: whether `output` may have `source` inside.

    Raises:
        ValueError: if `output` is the input, lies inside of it, has it inside (unless `around`), or
            is a file.
    """
    new, old = Path(os.path.realpath(output)), Path(os.path.realpath(source))
    if new == old:
        relation = "is"
    elif old in new.parents and old.is_dir():
        relation = "lies in"
    elif new in old.parents and not around:
        relation = "has in it"
    elif new.is_file():
        raise ValueError(f"{output}: found a file, expected a folder, new or to go on")
    else:
        return
    raise ValueError(
        f"{output}: found an output that {relation} the input {source}, expected a folder outside "
        "of it: give another one"
    )
