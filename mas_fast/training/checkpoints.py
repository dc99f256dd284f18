"""Checkpoints of torch.distributed.checkpoint, each whole or absent.

A checkpoint is a folder step-00000500/ with the tensors, each process having written its own share,
and values.json with the plain values. It is filled under another name, synced and renamed. So a
process that is killed leaves the checkpoint before, and another number of processes, or another way
to share the weights between them, can continue from it. What was damaged later, on the disk or in a
copy, is found before anything is read into a model: every byte of the tensors has a checksum.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.tensor import DTensor

from mas_fast.training import distcp
from mas_fast.training.parallel import first, gather

VALUES = "values.json"
NAME = re.compile(r"step-([0-9]{8}|[1-9][0-9]{8,17})")
LARGEST = 1 << 26  # bytes of the plain values
# What opening says of a file that is not there, or is a link to itself or a socket.
NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


class Checkpoints:
    """The folders step-00000500, step-00001000, ... of a folder; other names are left alone.

    All processes call `save`, `newest` and `read` at once.

    Args:
        folder: the folder.
        keep: how many of them stay, the newest.
    """

    def __init__(self, folder: str | os.PathLike, keep: int) -> None:
        self.folder, self.keep = Path(folder), keep

    def all(self) -> list[Path]:
        """All checkpoints, oldest first, whatever is in them."""
        paths = [path for path in self.folder.glob("step-*") if NAME.fullmatch(path.name)]
        return sorted(paths, key=_step)

    def latest(self) -> Path | None:
        """The newest checkpoint, whatever is in it; None where there is none."""
        return next(reversed(self.all()), None)

    def newest(
        self, check: Callable[[dict], None] = lambda values: None
    ) -> tuple[Path, dict] | None:
        """The newest checkpoint that is whole.

        Damaged ones are named on stderr and renamed to *.damaged, so that they count no more.

        Args:
            check: raises ValueError or KeyError for values that are not as they should be.

        Returns:
            Its path and values; None where there is no checkpoint at all.

        Raises:
            ValueError: all are damaged: a run does not begin anew in their place.
        """
        bad: dict[Path, str] = {}
        for path in reversed(first(self.all)):
            reasons = [reason for reason in gather(_damage(path, check)) if reason]
            if reasons:
                bad[path] = reasons[0]
                continue
            first(partial(self._set_aside, bad, path))
            return path, self.values(path)
        if bad:
            damage = "; ".join(f"{path.name}: {reason}" for path, reason in bad.items())
            raise ValueError(
                f"{self.folder}: found {len(bad)} damaged checkpoints and no whole one ({damage}); "
                "copy them here again, or remove them to begin anew"
            )
        return None

    def sweep(self) -> None:
        """Remove all but the last `keep`, and what a killed process left half-written."""
        for scrap in self.folder.glob(".step-*.tmp"):
            shutil.rmtree(scrap)
        for old in self.all()[: -self.keep]:
            scrap = old.with_name(f".{old.name}.tmp")  # so that no half of it has its name
            os.rename(old, scrap)
            shutil.rmtree(scrap)

    def save(self, step: int, values: dict, tensors: dict[str, Tensor]) -> None:
        """Write the checkpoint of `step`, then sweep.

        With an error, as with Ctrl-C, the checkpoint before is unharmed.

        Args:
            step: steps done.
            values: plain values, for JSON.
            tensors: by name. Of those that are not sharded, the first process' are written: a
                buffer can differ elsewhere.

        Raises:
            OSError: with what the disk said.
        """
        final = self.folder / f"step-{step:08d}"
        temporary = final.with_name(f".{final.name}.tmp")
        main, needed = not _group() or dist.get_rank() == 0, _bytes(tensors)
        try:
            first(self._begin)
            if not main:
                tensors = {name: t for name, t in tensors.items() if isinstance(t, DTensor)}
            # By name: those of an optimizer that was filled from a checkpoint have another order.
            _write(temporary, dict(sorted(tensors.items())))
            first(lambda: self._finish(temporary, final, {"step": step, **values}))
        except BaseException as error:
            if main:
                shutil.rmtree(temporary, ignore_errors=True)  # a full disk gets its room back
            if isinstance(error, OSError):
                raise _not_written(final, error, needed) from error
            raise

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for scrap in self.folder.glob(".step-*.tmp"):
            shutil.rmtree(scrap)

    def _finish(self, temporary: Path, final: Path, values: dict) -> None:
        index = hashlib.sha256((temporary / distcp.INDEX).read_bytes()).hexdigest()
        with open(temporary / VALUES, "w", encoding="utf-8") as file:
            json.dump({**values, "index": index}, file)
            file.flush()
            os.fsync(file.fileno())
        _sync(temporary)
        os.rename(temporary, final)
        _sync(self.folder)
        self.sweep()

    def values(self, path: Path) -> dict:
        """The plain values of a checkpoint, and "step".

        Raises:
            ValueError: it is damaged.
        """
        try:
            return _values(path)
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error

    def names(self, path: Path) -> list[str]:
        """The names of the tensors of a checkpoint.

        Raises:
            ValueError: it is damaged.
        """
        try:
            return list(distcp.read_index(path).state_dict_metadata)
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error

    def read(self, path: Path, tensors: dict[str, Tensor]) -> None:
        """Fill the tensors in place.

        Raises:
            ValueError: a tensor is missing or has another shape or dtype, or the checkpoint is
                damaged.
        """
        self.names(path)  # of an index that is damaged, torch logs a traceback before it says so
        try:
            with _quiet():
                dcp.load(tensors, storage_reader=distcp.Reader(path), no_dist=not _group())
        except dcp.CheckpointException as error:  # of torch; it is no Exception
            cause = _cause(error)
            if not isinstance(cause, Exception) or isinstance(cause, MemoryError):
                raise cause from error
            raise ValueError(
                f"{path}: found other tensors than this model's, or damaged ones "
                f"({_last_line(cause)})"
            ) from error

    def _set_aside(self, bad: dict[Path, str], chosen: Path) -> None:
        for path, reason in bad.items():
            aside, n = path.with_name(f"{path.name}.damaged"), 1
            while os.path.lexists(aside):
                aside, n = path.with_name(f"{path.name}.damaged-{n + 1}"), n + 1
            os.rename(path, aside)
            print(f"{path}: damaged ({reason}), now {aside.name}", file=sys.stderr)
        if bad:
            print(f"{chosen}: continued from this one", file=sys.stderr)


def _damage(path: Path, check: Callable[[dict], None]) -> str | None:
    """Why a checkpoint cannot be used; each process looks at its share of the tensors."""
    rank, world = (dist.get_rank(), dist.get_world_size()) if _group() else (0, 1)
    try:
        check(_values(path))
        distcp.check_pieces(path, slice(rank, None, world))
    except OSError as error:
        if error.errno not in NO_FILE:
            raise
        return f"{Path(error.filename).name}: {error.strerror}"
    except KeyError as error:
        return f"{VALUES}: found no {error}"
    except ValueError as error:
        return _last_line(error)
    return None


def _values(path: Path) -> dict:
    """ValueError, besides OSError, for what `save` did not write."""
    with distcp.open_plain(path / VALUES) as file:
        content = file.read(LARGEST + 1)
    try:
        if len(content) > LARGEST:
            raise ValueError(f"found more than {LARGEST} bytes")
        values = json.loads(content)
        step = values.get("step") if isinstance(values, dict) else None
        if type(step) is not int or path.name != f"step-{step:08d}":
            raise ValueError(f"step: found {str(step)[:40]}, expected that of {path.name}")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{VALUES}: {_last_line(error)}") from error
    index = values.pop("index", None)  # of checkpoints of before there is none
    with distcp.open_plain(path / distcp.INDEX) as file:
        if index not in (None, hashlib.sha256(file.read(distcp.LARGEST)).hexdigest()):
            raise ValueError(f"{distcp.INDEX}: found another checksum than {VALUES} has")
    return values


def _write(folder: Path, tensors: dict[str, Tensor]) -> None:
    """By all processes. What happens in one is raised in all, as itself."""
    try:
        with _quiet():
            dcp.save(tensors, storage_writer=distcp.Writer(folder), no_dist=not _group())
    except dcp.CheckpointException as error:
        raise _cause(error) from error


def _cause(error: dcp.CheckpointException) -> BaseException:
    """What went wrong, in whichever process: Ctrl-C before anything else."""
    causes = [cause for cause, _ in error.failures.values()]
    return next((c for c in causes if not isinstance(c, Exception)), causes[0])


def _not_written(final: Path, error: OSError, needed: int) -> OSError:
    text = f"{final}: not written: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = shutil.disk_usage(final.parent).free
        text += f" ({needed} bytes needed, {free} free); make room, and the same command continues"
    return OSError(error.errno, text) if error.errno else OSError(text)


def _bytes(tensors: dict[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _damaged(path: Path, error: BaseException) -> ValueError:
    return ValueError(f"{path}: found a damaged checkpoint ({_last_line(error)})")


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that there is one process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        yield


def _group() -> bool:
    return dist.is_available() and dist.is_initialized()


def _sync(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be synced, nor need be
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
