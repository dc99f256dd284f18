"""What the commands of both runtimes share: PyTorch, or ONNX files without it."""

from __future__ import annotations

from typing import Annotated

import typer

from mas_fast.utils.cores import check_threads
from mas_fast.utils.validate import check_choice

RUNTIMES = ("torch", "onnx")
Runtime = Annotated[
    str, typer.Option(help="`torch`, or `onnx`: the bundle's ONNX files, without torch.")
]
Provider = Annotated[
    list[str] | None,
    typer.Option(help="With onnx: tensorrt, cuda, cpu; may come twice. By default what is here."),
]

Threads = Annotated[int, typer.Option(help="On a CPU; 0 is all cores, and no more can be had.")]


def check_runtime(runtime: str, **only: dict[str, object]) -> None:
    """Check a runtime and the options that go with it.

    Args:
        runtime: one of RUNTIMES.
        only: by runtime, the options that it alone takes, as values by name; None: not given.

    Raises:
        ValueError: if there is no such runtime, or an option of the other one was given.
    """
    check_choice("--runtime", runtime, RUNTIMES)
    for other, options in only.items():
        for name, value in options.items():
            if other != runtime and value is not None:
                problem = f"found {value!r} with --runtime {runtime}"
                option = name.replace("_", "-")
                raise ValueError(f"--{option}: {problem}, expected it with --runtime {other} only")


def load_torch(threads: int) -> None:
    """Import torch.

    Args:
        threads: how many it uses; 0: all cores.

    Raises:
        ImportError: if torch is not installed; says what does without it.
        ValueError: if there are fewer cores.
    """
    check_threads(threads, "--threads")
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ImportError(f"{error}; without it: --runtime onnx") from error

    if threads > 0:
        torch.set_num_threads(threads)
