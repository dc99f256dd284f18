"""An ONNX file made ready by onnxruntime, on the providers that were asked for. No torch.

session = Session("vq_img_decoder.fp32.onnx", providers=["cuda", "cpu"])
image = session.run(codes)
session.provider                                # "CUDAExecutionProvider"
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mas_fast.onnx.files import import_onnxruntime
from mas_fast.utils.validate import check_int

# In the order in which onnxruntime is asked.
PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
QUIET = 3  # errors alone: what it warns of is raised here, or in Session.provider


def find_providers(asked: str | Sequence[str] | None) -> list[str]:
    """onnxruntime's names of the providers asked for, TensorRT first, CPU last.

    Args:
        asked: names, as "cuda" or in full; None for all that are offered.

    Raises:
        ValueError: if a provider is unknown or not offered.
    """
    offered = import_onnxruntime().get_available_providers()
    names = [name for name in PROVIDERS.values() if name in offered]
    if asked is None:
        return names
    asked = [asked] if isinstance(asked, str) else list(asked)
    if not asked:
        raise ValueError(f"providers: found none, expected some of {list(PROVIDERS)}")
    full = [PROVIDERS.get(name, name) for name in asked]
    for name, given in zip(full, asked, strict=True):
        if name not in PROVIDERS.values():
            raise ValueError(f"providers: found {given!r}, expected some of {list(PROVIDERS)}")
        if name not in names:
            raise ValueError(
                f"providers: found {given!r}, which the installed onnxruntime does not offer, "
                f'expected some of {names}; GPUs need onnxruntime-gpu: pip install ".[onnx-gpu]"'
            )
    return [name for name in names if name in full]


class Session:
    """onnxruntime's InferenceSession of a file, and what runs it.

    Args:
        file: the ONNX file.
        providers: as for find_providers. With None it is tried without the first ones until the
            file opens.
        threads: on a CPU; 0 for all cores.

    Attributes:
        inference: onnxruntime's session.
        provider: onnxruntime's name of the provider that runs it.

    Raises:
        ValueError: if onnxruntime does not open the file, or leaves out a provider that was asked
            for.
        ImportError: if onnxruntime is not installed.
    """

    def __init__(
        self,
        file: str | os.PathLike,
        providers: str | Sequence[str] | None = None,
        threads: int = 0,
    ) -> None:
        check_int("threads", threads, 0)
        self._onnxruntime = import_onnxruntime()
        wanted = find_providers(providers)
        if PROVIDERS["cuda"] in wanted and hasattr(self._onnxruntime, "preload_dlls"):
            self._onnxruntime.preload_dlls()  # those of NVIDIA's packages, which torch would load
        self.inference = self._open(Path(file), wanted, providers is None, threads)
        active = self.inference.get_providers()
        missing = [name for name in wanted if name not in active]
        if providers is not None and missing:
            raise ValueError(
                f"{file}: found that onnxruntime runs it on {active}, expected {wanted}, as asked: "
                f"{missing[0]} did not start; its libraries or a device may be missing"
            )
        self.provider = active[0]
        self._device = "cpu" if self.provider == PROVIDERS["cpu"] else "cuda"

    def run(self, *arrays: np.ndarray) -> np.ndarray:
        """The output for the inputs, in the graph's order.

        They are bound to the provider's device, so that on a GPU each array crosses the bus once,
        and nothing between crosses it.
        """
        binding = self.inference.io_binding()
        make = self._onnxruntime.OrtValue.ortvalue_from_numpy
        values = [make(array, self._device, 0) for array in arrays]
        for described, value in zip(self.inference.get_inputs(), values, strict=True):
            binding.bind_ortvalue_input(described.name, value)
        (output,) = self.inference.get_outputs()
        binding.bind_output(output.name, self._device, 0)
        self.inference.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()[0]

    def _open(self, file: Path, wanted: list[str], shorten: bool, threads: int) -> Any:
        options = self._onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = QUIET
        while True:
            try:
                return self._onnxruntime.InferenceSession(
                    str(file),
                    options,
                    providers=[(name, _options(name)) for name in wanted],
                    enable_fallback=0,  # ours does not print, and not where one was asked for
                )
            except Exception as error:  # its own classes share no base but this
                if shorten and len(wanted) > 1:
                    wanted = wanted[1:]
                    continue
                raise ValueError(
                    f"{file}: found no ONNX graph that onnxruntime opens on {wanted}: {error}"
                ) from error


def _options(provider: str) -> dict[str, str]:
    """TensorRT takes minutes to build what it runs, and keeps it if it is told where. On CUDA, TF32
    is the default, with 10 bits of fp32's 23."""
    if provider == PROVIDERS["cuda"]:
        return {"use_tf32": "0"}
    if provider != PROVIDERS["tensorrt"]:
        return {}
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = str(cache / "mas_fast" / "tensorrt")
    return {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder}
