"""What the commands of both runtimes share: PyTorch, or ONNX files without it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mas_fast.generation.engines import ENGINES, check_engine, dtype_names
from mas_fast.utils.cores import check_threads
from mas_fast.utils.validate import check_choice

if TYPE_CHECKING:
    from mas_fast.pipelines.base import Painter

RUNTIMES = ("torch", "onnx")
Model = Annotated[
    Path | None,
    typer.Option(
        help="A bundle, or owner/name of the Hugging Face hub; by default the one that comes with "
        "mas-fast."
    ),
]
Runtime = Annotated[
    str, typer.Option(help="`torch`, or `onnx`: the bundle's ONNX files, without torch.")
]
Provider = Annotated[
    list[str] | None,
    typer.Option(help="With onnx: tensorrt, cuda, cpu; may come twice. By default what is here."),
]
EngineName = Annotated[
    str | None,
    typer.Option(help=f"With torch: {' or '.join(ENGINES)}; by default the first that runs here."),
]
Dtype = Annotated[str, typer.Option(help=f"In which the GPT computes: {dtype_names()}.")]
Device = Annotated[
    str | None, typer.Option(help="With torch; by default a GPU where there is one.")
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


def painter_options(
    runtime: str,
    dtype: str,
    *,
    engine: str | None,
    device: str | None,
    provider: list[str] | None,
    onnx_dtype: str | None,
) -> dict[str, Any]:
    """Check the runtime of a command that paints.

    Args:
        runtime: one of RUNTIMES.
        dtype: in which the GPT computes.
        engine: with torch alone, as the device.
        device: of the model.
        provider: with onnx alone, as the dtype of its files.
        onnx_dtype: of the ONNX files.

    Returns:
        Those of the runtime, by name, for `load_painter`.

    Raises:
        ValueError: as `check_runtime`, and for an engine or a dtype that it does not have.
    """
    only: dict[str, dict[str, Any]] = {
        "torch": {"engine": engine, "device": device},
        "onnx": {"provider": provider or None, "onnx_dtype": onnx_dtype},
    }
    check_runtime(runtime, **only)
    if engine is not None:
        check_engine(engine, dtype=dtype)
    return only[runtime]


def load_painter(runtime: str, path: Path, *, dtype: str, threads: int, **options: Any) -> Painter:
    """Load a bundle in a runtime, with its options by their names in the command."""
    if runtime == "onnx":
        from mas_fast.pipelines.onnx_pipeline import Pipeline

        chosen = {"providers": options["provider"], "onnx_dtype": options["onnx_dtype"] or "fp32"}
        return Pipeline(path, dtype=dtype, threads=threads, **chosen)
    load_torch(threads)
    from mas_fast.pipelines.torch_pipeline import load

    return load(path, dtype=dtype, threads=threads, **options)
