"""`mas-fast serve`."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from mas_fast.cli.runtime import (
    Device,
    Dtype,
    Provider,
    Runtime,
    Threads,
    load_painter,
    load_torch,
    painter_options,
)
from mas_fast.generation.engines import ENGINES, find_engine

KEY = "MAS_FAST_API_KEY"


def serve(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            help="The model, or owner/name of the Hugging Face hub; by default the one that is "
            "bundled."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen at; 0.0.0.0: all of this machine's.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free.")] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(envvar=KEY, help="What clients must say. Better in the environment."),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(help="Origin of a page elsewhere that may use it; may come several times."),
    ] = None,
    waiting: Annotated[
        int, typer.Option(min=0, help="Requests that may wait; more are answered with 429.")
    ] = 64,
    seconds: Annotated[float, typer.Option(min=1, help="That a request may take.")] = 120,
    runtime: Runtime = "onnx",
    dtype: Dtype = "fp32",
    device: Device = None,
    provider: Provider = None,
    onnx_dtype: Annotated[
        str | None, typer.Option(help="With onnx: fp32, fp16, or int8 decoders. [fp32]")
    ] = None,
    threads: Threads = 0,
) -> None:
    """Serve pictures: a page to paint on, and OpenAI's image API for programs.

    Open http://127.0.0.1:8000 in a browser, or ask it as OpenAI's clients do, with
    base_url="http://127.0.0.1:8000/v1". /docs has all routes, /metrics figures for Prometheus.
    Clients that come at once share each pass over the weights. Needs: pip install -e ".[serve]"

    Example: mas-fast serve --port 8080
    """
    options = painter_options(
        runtime, dtype, engine=None, device=device, provider=provider, onnx_dtype=onnx_dtype
    )
    listening = _listen(host, port)
    create_app, limits, listen = _libraries(waiting, seconds)
    from mas_fast.bundle import find_bundle

    if runtime == "torch":
        load_torch(threads)
        options["engine"] = _shared_engine(device)
    painter = load_painter(runtime, find_bundle(bundle), dtype=dtype, threads=threads, **options)
    app = create_app(painter, key=api_key, origins=cors or (), limits=limits)
    shown = "127.0.0.1" if host == "0.0.0.0" else host
    typer.echo(f"serving {painter.name} at http://{shown}:{listening.getsockname()[1]}")
    listen(app, listening, _log())


def _shared_engine(device: str | None) -> str:
    """The engine that PyTorch's runtime takes on a device."""
    from mas_fast.utils.devices import find_device

    name = find_engine(find_device(device).type)
    if not ENGINES[name].shared:
        known = " or ".join(repr(name) for name, engine in ENGINES.items() if engine.shared)
        raise ValueError(
            f"--runtime torch: found the engine {name!r}, which draws each request alone, expected "
            f"{known}; this draws by 'cpp': mas-fast serve --runtime onnx"
        )
    return name


def _listen(host: str, port: int) -> socket.socket:
    """A socket that nobody else has."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        problem = f"found that it cannot be listened at ({error.strerror or error})"
        raise ValueError(f"{host}:{port}: {problem}, expected another --port or --host") from error
    return listening


def _libraries(waiting: int, seconds: float):  # type: ignore[no-untyped-def]  # of a library
    try:
        from mas_fast.serve.app import Limits, create_app
        from mas_fast.serve.listener import listen
    except ImportError as error:
        raise ImportError(
            f'a server needs more: {error}. In a checkout run: pip install -e ".[serve]"'
        ) from error
    return create_app, Limits(waiting=waiting, seconds=seconds), listen


def _log() -> dict:
    """One JSON line a request, and uvicorn's warnings."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "loggers": {
            "mas_fast.serve": {"handlers": ["stderr"], "level": "INFO"},
            "uvicorn": {"handlers": ["stderr"], "level": "WARNING"},
        },
    }
