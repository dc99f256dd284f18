"""Writing files so that a crash leaves the old content or the new one. No torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def replace_file(file: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a temporary file `.NAME.PID.tmp` beside `file`, sync it and rename it: a
    reader, or a crash, meets the old content or the new one and nothing between."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
        write(temporary)
        os.chmod(temporary, mode)  # safetensors lets the owner alone read
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a directory cannot be synced, nor need be
        directory = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
