"""One writer to a folder at a time. No torch."""

from __future__ import annotations

import errno
import os
import sys
import weakref
from pathlib import Path
from typing import BinaryIO

from mas_fast.utils.portable import NO_LINK, NO_WAIT, flock

LOCK = ".lock"
_OPEN: weakref.WeakSet[BinaryIO] = weakref.WeakSet()


def lock(folder: str | os.PathLike, busy: str) -> BinaryIO:
    """Lock a folder, which is made where it is missing.

    Args:
        folder: the folder.
        busy: message of the error if another process has the lock.

    Returns:
        An open file. The lock ends when the file is closed, and with this process, however that
        ends.

    Raises:
        ValueError: with the words `busy`, if another process has the lock.
        OSError: if the folder cannot be written to, or a link, which is not followed, is in the
            place of the lock.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | NO_LINK | NO_WAIT
    file = os.fdopen(os.open(folder / LOCK, flags, 0o666), "rb", buffering=0)
    try:
        flock(file, wait=False)
    except BlockingIOError:
        file.close()
        raise ValueError(f"{folder}: found another run that writes to it; {busy}") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            file.close()
            raise
        print(f"{folder}: there are no locks here: start no other run in it", file=sys.stderr)
    _OPEN.add(file)
    return file


def _close_in_child() -> None:
    """A forked worker that outlives its killed parent must not hold the parent's locks."""
    for file in list(_OPEN):
        file.close()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_close_in_child)
