"""Decoders in int8, by onnxruntime's static quantization. No torch.

    quantize("vq_img_decoder.fp32.onnx", "vq_img_decoder.int8.onnx", codes)

Convolutions compute in 8 bits between QuantizeLinear and DequantizeLinear (QDQ): weights have a
scale for each channel, activations one for each tensor, taken from what they reach while `codes`
are decoded. All else is fp32, and so is the last convolution: its outputs are the picture itself,
and 256 levels of their range would cost 1.4 dB and gain no time.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mas_fast.onnx.files import import_onnxruntime


class Drawn(NamedTuple):
    """Codes of pictures, or of scenes, int64 [N, h, w].

    Attributes:
        calibration: those that the ranges of activations are taken from.
        held_out: those that the result is measured by.
    """

    calibration: np.ndarray
    held_out: np.ndarray


def quantize(source: str | os.PathLike, file: str | os.PathLike, codes: np.ndarray) -> None:
    """Write a decoder's graph in int8.

    Args:
        source: the fp32 graph.
        file: the file to write.
        codes: to calibrate with, int64 [N, h, w].

    Raises:
        ImportError: if onnx or onnxruntime is missing.
    """
    import_onnxruntime()
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(codes)

        def get_next(self) -> dict[str, np.ndarray] | None:
            grid = next(self.left, None)
            return None if grid is None else {"codes": grid[None]}

    with tempfile.TemporaryDirectory() as folder:
        ready = str(Path(folder) / "ready.onnx")
        quant_pre_process(str(source), ready, skip_optimization=True, skip_symbolic_shape=True)
        convolutions = [node.name for node in onnx.load(ready).graph.node if node.op_type == "Conv"]
        quantization.quantize_static(
            ready,
            str(file),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=convolutions[-1:],
            per_channel=True,
            # 7 bits: without VNNI sums of two products saturate, and pictures have 27.5 dB, not 40.
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
