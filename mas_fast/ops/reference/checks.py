"""What the definitions require of their arguments, also of the tensors and numbers of a graph."""

from __future__ import annotations

import math
import numbers
import operator

import torch
from torch import Tensor
from torch._subclasses import FakeTensor


def has_values(tensor: Tensor) -> bool:
    """Whether a tensor has values to look at; while a graph is made or captured it has none."""
    if torch.compiler.is_compiling() or tensor.is_meta or isinstance(tensor, FakeTensor):
        return False
    return not (tensor.is_cuda and torch.cuda.is_current_stream_capturing())


def check_finite(name: str, tensor: Tensor) -> None:
    """Checks the values of [rows, channels]. Copies nothing if all are finite, and does nothing if
    there are no values.

    Raises:
        ValueError: a value is NaN or infinite; names the first one.
    """
    if not has_values(tensor) or not tensor.numel():
        return
    if torch.stack(tensor.aminmax()).isfinite().all():  # one answer to wait for
        return
    row, channel = (~tensor.isfinite()).nonzero()[0].tolist()
    bad_value = f"found {tensor[row, channel].item()} in row {row}, channel {channel}"
    raise ValueError(f"{name}: {bad_value}, expected finite values")


def to_integer(name: str, value: int) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: found {type(value).__name__}, expected an int") from None


def to_real(name: str, value: float) -> float:
    if not isinstance(value, numbers.Real | torch.SymFloat):
        raise TypeError(f"{name}: found {type(value).__name__}, expected a float")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
