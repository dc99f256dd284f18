"""Checkpoints of torch.distributed.checkpoint, each whole or absent.

A checkpoint is a folder step-00000500/ with the tensors, each process having written its own share,
and values.json with the plain values. It is filled under another name, synced and renamed. So a
process that is killed leaves the checkpoint before, and another number of processes, or another way
to share the weights between them, can continue from it.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.tensor import DTensor

VALUES = "values.json"


class Checkpoints:
    """The folders step-00000500, step-00001000, ... of `folder`, of which the last `keep` stay.
    `save` and `read` are for all processes at once."""

    def __init__(self, folder: str | os.PathLike, keep: int) -> None:
        self.folder, self.keep = Path(folder), keep

    def all(self) -> list[Path]:
        """Oldest first."""
        return sorted(self.folder.glob("step-*"), key=lambda path: int(path.name[5:]))

    def latest(self) -> Path | None:
        return next(reversed(self.all()), None)

    def save(self, step: int, values: dict, tensors: dict[str, Tensor]) -> None:
        """Write the checkpoint of `step`, then remove those beyond the last `keep` and what a
        killed process left half-written. values: for JSON. Of tensors that are not shared out, the
        first process' are written: a buffer can differ elsewhere. OSError for a disk that is
        full."""
        final, first = self.folder / f"step-{step:08d}", not _group() or dist.get_rank() == 0
        temporary = final.with_name(f".{final.name}.tmp")
        if first:
            self.folder.mkdir(parents=True, exist_ok=True)
            for scrap in self.folder.glob(".step-*.tmp"):
                shutil.rmtree(scrap)
        else:
            tensors = {name: t for name, t in tensors.items() if isinstance(t, DTensor)}
        _wait()
        writer = dcp.FileSystemWriter(temporary, sync_files=True)
        try:
            with _quiet():
                dcp.save(tensors, storage_writer=writer, no_dist=not _group())
        except dcp.CheckpointException as error:  # of torch; it is no Exception
            raise OSError(f"{final}: not written ({_last_line(error)})") from error
        if first:
            with open(temporary / VALUES, "w", encoding="utf-8") as file:
                json.dump({"step": step, **values}, file)
                file.flush()
                os.fsync(file.fileno())
            _sync(temporary)
            os.rename(temporary, final)
            _sync(self.folder)
            for old in self.all()[: -self.keep]:
                scrap = old.with_name(f".{old.name}.tmp")  # so that no half of it has its name
                os.rename(old, scrap)
                shutil.rmtree(scrap)
        _wait()

    def values(self, path: Path) -> dict:
        """The plain values, and "step". ValueError for a checkpoint that is damaged."""
        try:
            found = json.loads((path / VALUES).read_bytes())
            if type(found["step"]) is not int:
                raise ValueError(f"step: found {found['step']!r}")
            return found
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _damaged(path, error) from error

    def names(self, path: Path) -> list[str]:
        """Of the tensors. ValueError for a checkpoint that is damaged."""
        try:
            return list(_Reader(path).read_metadata().state_dict_metadata)
        except (OSError, EOFError, pickle.UnpicklingError, AttributeError) as error:
            raise _damaged(path, error) from error

    def read(self, path: Path, tensors: dict[str, Tensor]) -> None:
        """Fill the tensors in place. ValueError where one is not in it or has another shape, and
        for a checkpoint that is damaged."""
        try:
            with _quiet():
                dcp.load(tensors, storage_reader=_Reader(path), no_dist=not _group())
        except (Exception, dcp.CheckpointException) as error:  # the latter is none of the former
            raise _damaged(path, error) from error


class _Reader(dcp.FileSystemReader):
    """Reads the index of the files, which torch pickles, without running code."""

    def read_metadata(self, *args, **kwargs) -> Metadata:
        with open(Path(self.path) / ".metadata", "rb") as file:
            metadata = _Metadata(file).load()
        metadata.storage_meta.load_id = self.load_id
        return metadata


class _Metadata(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        torch_value = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if torch_value or module in (
            "torch.distributed.checkpoint.metadata",
            "torch.distributed.checkpoint.filesystem",
        ):
            return super().find_class(module, name)
        if (module, name) in (
            ("torch", "Size"),
            ("torch.serialization", "_get_layout"),
            ("pathlib", "PosixPath"),
            ("pathlib", "WindowsPath"),
            ("pathlib._local", "PosixPath"),  # its name in Python 3.13
            ("pathlib._local", "WindowsPath"),
        ):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"found {module}.{name} in it, which may be code")


def _damaged(path: Path, error: BaseException) -> ValueError:
    return ValueError(
        f"{path}: found a damaged checkpoint ({_last_line(error)}); remove it to continue from the "
        "one before"
    )


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that there is one process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        yield


def _group() -> bool:
    return dist.is_available() and dist.is_initialized()


def _wait() -> None:
    if _group():
        dist.barrier()


def _sync(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be synced, nor need be
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
