"""Writing files so that a crash leaves the old content or the new one. No torch."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import BinaryIO

from mas_fast.utils.portable import HAS_FLOCK, NO_LINK, NO_WAIT, OPENS_FOLDERS, flock

SCRAP = re.compile(r"\..+\.\d+(\.[0-9a-f]{8})?\.tmp")
SYSTEM_ERROR = re.compile(r"os error (\d+)")  # how Rust's libraries tell a full disk


def replace_file(file: Path, write: Callable[[Path], object]) -> None:
    """Write a file in one step: a reader, or a crash, meets the old content or the new one.

    `write` fills a temporary file `.NAME.PID.RANDOM.tmp` beside `file`, which is synced and
    renamed. The temporary file is new, whoever else may write into the folder: no link is followed.
    Where `file` is a symbolic link, the link is replaced and its target stays as it is. The first
    call of a process removes what killed processes left in the folder.

    Args:
        file: the file to write or replace.
        write: fills the file whose path it is given.

    Raises:
        OSError: with the name of `file`, if the disk is full; nothing is then left behind.
    """
    _sweep_once(file.parent.absolute())
    owner = None
    while owner is None:
        name = f".{file.name[:80]}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        temporary = file.with_name(name)
        owner = _made(file, temporary)
    try:
        with owner:
            mode = os.fstat(owner.fileno()).st_mode
            write(temporary)
            os.chmod(temporary, stat.S_IMODE(mode))  # safetensors lets the owner alone read
            with open(temporary, "rb+") as stream:
                os.fsync(stream.fileno())
            if not HAS_FLOCK:
                owner.close()  # Windows renames no open file, and no sweep comes in between
            os.replace(temporary, file)
    except Exception as error:
        if (reason := _of_the_disk(error, temporary)) is None:
            raise
        raise OSError(*reason, str(file)) from error
    finally:
        temporary.unlink(missing_ok=True)
    if OPENS_FOLDERS:
        directory = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _made(file: Path, temporary: Path) -> BinaryIO | None:
    """The temporary file, new, open and locked until it is closed: see sweep. None where a sweep
    came between the making and the lock, and took it away."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINK
    try:
        owner = open(os.open(temporary, flags, 0o666), "wb")
    except OSError as error:
        if (reason := _of_the_disk(error, temporary)) is None:
            raise
        raise OSError(*reason, str(file)) from error
    with contextlib.suppress(OSError):  # a file system without locks
        flock(owner, wait=True)  # while a sweep looks at it
    if temporary.exists():
        return owner
    owner.close()
    return None


def sweep(folder: Path) -> None:
    """Remove the temporary files of `replace_file` whose writers were killed.

    A living writer, in whatever container or machine, holds its file's lock.

    Args:
        folder: the folder to clean.
    """
    try:
        scraps = [entry.path for entry in os.scandir(folder) if SCRAP.fullmatch(entry.name)]
    except FileNotFoundError:
        return
    for scrap in scraps:
        try:
            descriptor = os.open(scrap, os.O_RDWR | NO_LINK | NO_WAIT)
        except OSError:  # a link, somebody else's, or gone
            continue
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode) and _try_lock(descriptor):
                Path(scrap).unlink(missing_ok=True)
        finally:
            os.close(descriptor)


@cache
def _sweep_once(folder: Path) -> None:
    sweep(folder)


def _try_lock(descriptor: int) -> bool:
    try:
        flock(descriptor, wait=False)
    except OSError:  # held, or there are no locks, and nothing is swept
        return False
    return True


def _of_the_disk(error: Exception, temporary: Path) -> tuple[int, str] | None:
    """Number and words of the operating system's error behind it, as 28, no space left; None where
    there is none, or it is another file's."""
    if isinstance(error, OSError):
        ours = error.filename in (None, str(temporary))
        if not ours or error.errno is None:
            return None
        return error.errno, error.strerror or os.strerror(error.errno)
    match = SYSTEM_ERROR.search(str(error))
    return (int(match[1]), os.strerror(int(match[1]))) if match else None
