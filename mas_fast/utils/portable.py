"""What some systems do not have: Windows has no flock, and opens no folder. No torch."""

from __future__ import annotations

import errno
import os
from types import ModuleType
from typing import BinaryIO

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:
    fcntl = None

HAS_FLOCK = fcntl is not None
OPENS_FOLDERS = hasattr(os, "O_DIRECTORY")
# For os.open: no link is followed, no child inherits, no pipe is waited for; 0 where that is not
# known.
NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def flock(file: BinaryIO | int, *, wait: bool) -> None:
    """Lock a file for this process, until it is closed.

    Args:
        file: an open file, or its descriptor.
        wait: whether to wait for another process that has the lock.

    Raises:
        BlockingIOError: if another process has it, unless `wait`.
        OSError: if the system (ENOSYS) or the file system has no locks.
    """
    if fcntl is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
