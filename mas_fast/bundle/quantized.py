"""How a bundle stores a GPT in int4: levels and scales in place of matrices. No torch.

NAME has the levels of a matrix, NAME.scale its scales, one for every 32 inputs; a weight is level *
scale, exactly a float32. The first block and the heads are int8 (I8 [outputs, inputs]), the other
blocks int4: each byte (U8 [outputs, groups * 16]) has the indices of two levels in LEVELS, the
earlier in its lower half. Groups are whole: indices beyond the inputs mean nothing. All else is
stored as it is. These are what the C++ engine packs (csrc/core/quantize.h), so that it computes the
same from either form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mas_fast.models.gpt_config import GPTConfig

INT4 = "int4"
GROUP = 32
LEVELS = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int8
)
MATRICES = ("attention.qkv", "attention.proj", "mlp.up", "mlp.down")  # of a block


def matrix_dtype(name: str) -> str | None:
    """Tell in which dtype an int4 bundle stores a weight: int4, int8, or None: as it is."""
    first, _, rest = name.partition(".")
    if first == "head":
        return "int8"
    index, _, part = rest.partition(".")
    if first != "blocks" or part.removesuffix(".weight") not in MATRICES:
        return None
    return "int8" if index == "0" else INT4


def stored_tensors(config: GPTConfig) -> dict[str, tuple[str | None, tuple[int, ...]]]:
    """List the tensors of an int4 bundle.

    Args:
        config: of the GPT.

    Returns:
        By name the dtype, as safetensors calls it, and the shape; None: F32 or BF16.
    """
    tensors: dict[str, tuple[str | None, tuple[int, ...]]] = {}
    for name, shape in config.weight_shapes().items():
        dtype = matrix_dtype(name)
        if dtype is None:
            tensors[name] = None, shape
            continue
        groups = -(-shape[1] // GROUP)
        tensors[name] = ("I8", shape) if dtype == "int8" else ("U8", (shape[0], groups * 16))
        tensors[f"{name}.scale"] = "BF16", (shape[0], groups)
    return tensors


@dataclass(frozen=True)
class Quantized:
    """A matrix as it is stored.

    Attributes:
        label: the file and the name, for messages.
        stored: int8 levels, or uint8 pairs of indices.
        scales: bfloat16 as uint16 [outputs, groups].
        inputs: of the matrix.
    """

    label: str
    stored: np.ndarray
    scales: np.ndarray
    inputs: int

    def pair(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what the C++ engine takes.

        Returns:
            Levels, int8 [outputs, inputs], and scales, bfloat16 as uint16 [outputs, groups].

        Raises:
            ValueError: if a scale is not finite, or a level is -128.
        """
        if (self.scales & 0x7F80 == 0x7F80).any():
            raise ValueError(f"{self.label}: found a scale that is not finite, expected numbers")
        if self.stored.dtype == np.int8:
            if (self.stored == -128).any():
                raise ValueError(f"{self.label}: found the level -128, expected -127 to 127")
            return self.stored, self.scales
        indices = np.stack([self.stored & 15, self.stored >> 4], -1)
        levels = LEVELS[indices.reshape(len(indices), -1)[:, : self.inputs]]
        return levels, self.scales

    def floats(self) -> np.ndarray:
        """Return the weights, float32 [outputs, inputs]: level * scale. Raises as `pair`."""
        levels, scales = self.pair()
        each = (scales.astype(np.uint32) << 16).view(np.float32).repeat(GROUP, 1)
        return levels * each[:, : self.inputs]


def store_int4(levels: np.ndarray) -> np.ndarray:
    """Make the bytes of an int4 matrix.

    Args:
        levels: int8 [outputs, inputs], each one of LEVELS.

    Returns:
        uint8 [outputs, groups * 16].
    """
    padded = np.pad(levels, ((0, 0), (0, -levels.shape[1] % GROUP)), constant_values=LEVELS[8])
    indices = np.searchsorted(LEVELS, padded).astype(np.uint8)
    return indices[:, ::2] | indices[:, 1::2] << 4
