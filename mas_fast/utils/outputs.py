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
            where = f"{option}: {path}" if option else f"{path}"
            if path.parent not in parents:
                new = folder is not None and not os.path.lexists(folder)
                parents[path.parent] = (_new_folder if new else _folder)(path.parent, where)
            place = parents[path.parent] / path.name
            if len(os.fsencode(path.name)) > LONGEST:
                found = f"found a name of {len(os.fsencode(path.name))} bytes"
                raise ValueError(f"{where}: {found}, expected at most {LONGEST}")
            if os.path.lexists(path):
                place = _check_old(path, where, given)
            if place in given:
                raise ValueError(f"{where}: found an input of this command, {INSTEAD}")
            if place in taken:
                other = f" with {taken[place]}" if taken[place] != option else ""
                raise ValueError(f"{where}: found it twice{other}, expected a file for each output")
            taken[place] = option


LONGEST = 200  # bytes of a name; beside the file goes a temporary one, whose name is longer
INSTEAD = "which would be replaced; expected another place for what is written"


def _listed(paths: Paths) -> list[Path]:
    if paths is None:
        return []
    return [Path(p) for p in ([paths] if isinstance(paths, str | os.PathLike) else paths)]


def _folder(folder: Path, where: str) -> Path:
    """The folder of an output. ValueError unless it is there and can be written to."""
    if not folder.is_dir():
        raise ValueError(f"{where}: found no folder {folder}, expected one that is there")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{where}: found no permission to write to the folder {folder}")
    _check_takes_files(folder, where)
    return folder.resolve()


def _check_takes_files(folder: Path, where: str) -> None:
    """ValueError for a folder in which no file can be made, whatever its permissions say: /proc, a
    full or a read-only file system."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"{where}: found that no file can be made in {folder} ({error.strerror}), expected a "
            "folder that takes files"
        ) from error


def _new_folder(folder: Path, where: str) -> Path:
    """A folder that is not there. ValueError unless it can be made."""
    above = next(path for path in folder.absolute().parents if path.exists())
    if not above.is_dir():
        raise ValueError(f"{where}: found that {above} is a file, expected a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ValueError(f"{where}: found no permission to make {folder} in {above}")
    _check_takes_files(above, where)
    return folder.resolve()


def _check_old(path: Path, where: str, given: set[Path]) -> Path:
    """Where an output is that is there already. ValueError for a folder and for an input."""
    if path.is_dir():
        raise ValueError(f"{where}: found a folder, expected the name of a file")
    place = path.resolve()
    for other in given:
        if other.is_dir() and place.is_relative_to(other):
            raise ValueError(f"{where}: found a file of the input {other}, {INSTEAD}")
        if other.is_file() and path.exists() and os.path.samefile(path, other):
            raise ValueError(f"{where}: found an input of this command, {INSTEAD}")
    return place


def check_apart(
    output: str | os.PathLike, source: str | os.PathLike, *, around: bool = False
) -> None:
    """ValueError where the folder `output` is what is read, lies inside of it or, unless it may be
    `around` it, has it inside, also through links: the next run would read the output, or write
    over its input; and where it is a file."""
    new, old = Path(os.path.realpath(output)), Path(os.path.realpath(source))
    if new == old:
        where = "is"
    elif old in new.parents and old.is_dir():
        where = "lies in"
    elif new in old.parents and not around:
        where = "has in it"
    elif new.is_file():
        raise ValueError(f"{output}: found a file, expected a folder, new or to go on")
    else:
        return
    raise ValueError(
        f"{output}: found an output that {where} the input {source}, expected a folder outside of "
        "it: give another one"
    )
