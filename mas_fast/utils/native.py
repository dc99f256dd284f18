"""Find and load the two native libraries: `_engine` (C++ for numpy) and `_torch` (torch operators).

Loading one that is missing or broken raises an ImportError that names the command which fixes it.
Whoever can do without asks first (`problem`) and then chooses the reference implementation itself.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from mas_fast.utils.validate import check_choice

LIBRARIES = ("_engine", "_torch")
TORCH = "torch>=2.11,<2.16"
TORCH_LIBRARY = Path(__file__).parents[1] / "_torch.so"


def engine() -> ModuleType:
    """Import the module `mas_fast._engine`.

    Returns:
        The module.

    Raises:
        ImportError: if it is missing or broken; names the command that fixes it.
    """
    try:
        return importlib.import_module("mas_fast._engine")
    except ModuleNotFoundError as error:
        if error.name != "mas_fast._engine":
            raise  # a package that it needs: numpy
        raise ImportError(
            "the C++ engine (mas_fast._engine) is not built for this Python. "
            "In a checkout of mas_fast run: pip install -e ."
        ) from error
    except ImportError as error:
        raise ImportError(
            f"the C++ engine (mas_fast._engine) does not load: {error}. "
            "Build it on this machine: in a checkout of mas_fast run: pip install -e ."
        ) from error


def load_torch_library() -> None:
    """Register `torch.ops.mas_fast`; a second call does nothing.

    Raises:
        ImportError: if the library is missing or broken; names the command that fixes it.
    """
    if not TORCH_LIBRARY.exists():
        raise ImportError(
            f"the torch operators ({TORCH_LIBRARY.name}) are not built: mas_fast was installed "
            "with MAS_FAST_TORCH=0, or not at all. In a checkout of mas_fast run: "
            "MAS_FAST_TORCH=1 pip install -e ."
        )
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f'the torch operators need torch: {error}. Run: pip install "{TORCH}"'
        ) from error
    try:
        torch.ops.load_library(TORCH_LIBRARY)
    except (OSError, RuntimeError) as error:
        raise ImportError(
            f"the torch operators ({TORCH_LIBRARY.name}) do not load into torch "
            f'{torch.__version__}: {error}. They need "{TORCH}", and with CUDA code a CUDA build '
            "of it. In a checkout of mas_fast run: pip install --no-build-isolation -e ."
        ) from error


def problem(library: str) -> str | None:
    """Tell why a library cannot be used here.

    Args:
        library: one of LIBRARIES.

    Returns:
        The reason, with the fix; None if the library can be used.
    """
    check_choice("library", library, LIBRARIES)
    try:
        engine() if library == "_engine" else load_torch_library()
    except ImportError as error:
        return str(error)
    return None
