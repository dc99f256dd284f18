"""The definition of a decode step's draw in plain PyTorch: `sampling.py` row by row, with settings
that lie in tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from mas_fast.ops.reference import sampling
from mas_fast.ops.reference.checks import to_integer

IDLE = -1  # what a row draws beyond the end; -2 - i where the logit of token i is the first NaN

# Dtype and shape of each argument; B sequences, rows = B * window.
_ARGUMENTS = {
    "logits": (torch.float32, "[rows, vocabulary]"),
    "uncond": (torch.float32, "[rows, vocabulary]"),
    "first": (torch.int32, "[sequences]"),
    "forced": (torch.int32, "[sequences, positions]"),
    "guidance": (torch.float32, "[sequences, positions]"),
    "temperature": (torch.float32, "[sequences]"),
    "top_k": (torch.int32, "[sequences]"),
    "top_p": (torch.float64, "[sequences]"),
    "seed": (torch.int64, "[sequences]"),
    "sample": (torch.int64, "[sequences]"),
    "drawn": (torch.int32, "[sequences, window]"),
}


def sample_step(
    logits: Tensor,
    uncond: Tensor | None,
    first: Tensor,
    forced: Tensor,
    guidance: Tensor,
    temperature: Tensor,
    top_k: Tensor,
    top_p: Tensor,
    seed: Tensor,
    sample: Tensor,
    drawn: Tensor,
    *,
    window: int,
    end: int,
) -> None:
    """Defines `ops.sample_step`."""
    check_sample_step(
        logits, uncond, first, forced, guidance, temperature, top_k, top_p, seed, sample, drawn,
        window, end,
    )  # fmt: skip
    for row in range(len(logits)):
        b, offset = divmod(row, window)
        position = int(first[b]) + 1 + offset
        if not 0 <= position < end:
            drawn[b, offset] = IDLE
            continue
        if forced[b, position] >= 0:
            drawn[b, offset] = forced[b, position]
            continue
        cond, u, scale = logits[row : row + 1], None, 1.0
        if uncond is not None and guidance[b, position] != 1:
            u, scale = uncond[row : row + 1], guidance[b, position].item()
        nan = sampling.guided_logits(cond, u, scale, temperature[b].item())[0].isnan()
        if nan.any():
            drawn[b, offset] = -2 - int(nan.nonzero()[0])
            continue
        drawn[b, offset] = sampling.sample(
            cond,
            seed=int(seed[b]) & (1 << 64) - 1,
            sample=int(sample[b]),
            position=position,
            uncond=u,
            guidance=scale,
            temperature=temperature[b].item(),
            top_k=int(top_k[b]) or None,
            top_p=top_p[b].item() or None,
        )[0]


def check_sample_step(
    logits: Tensor,
    uncond: Tensor | None,
    first: Tensor,
    forced: Tensor,
    guidance: Tensor,
    temperature: Tensor,
    top_k: Tensor,
    top_p: Tensor,
    seed: Tensor,
    sample: Tensor,
    drawn: Tensor,
    window: int,
    end: int,
) -> None:
    """Checks what can be told without looking at values, which would wait for a GPU.

    Raises:
        TypeError: an argument has a wrong type or dtype.
        ValueError: an argument has a wrong shape, device or layout, or window or end is out of
            range.
    """
    given: dict[str, Tensor] = {
        "logits": logits, "first": first, "forced": forced,
        "guidance": guidance, "temperature": temperature, "top_k": top_k, "top_p": top_p,
        "seed": seed, "sample": sample, "drawn": drawn,
    }  # fmt: skip
    if uncond is not None:
        given["uncond"] = uncond
    for name, tensor in given.items():
        dtype, shape = _ARGUMENTS[name]
        if not isinstance(tensor, Tensor) or tensor.dtype != dtype:
            kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise TypeError(f"{name}: found {kind}, expected {dtype} {shape}")
    if to_integer("window", window) < 1:
        raise ValueError(f"window: found {window}, expected an integer >= 1")
    if logits.dim() != 2 or not 1 <= logits.shape[1] <= sampling.MAX_VOCAB:
        raise ValueError(
            f"logits: found {list(logits.shape)}, "
            f"expected [rows, vocabulary] with 1 to {sampling.MAX_VOCAB} tokens"
        )
    if forced.dim() != 2:
        raise ValueError(f"forced: found {list(forced.shape)}, expected [sequences, positions]")
    sequences, positions = forced.shape
    sizes = {
        "rows": sequences * window,
        "vocabulary": logits.shape[1],
        "sequences": sequences,
        "positions": positions,
        "window": window,
    }
    for name, tensor in given.items():
        names = _ARGUMENTS[name][1]
        expected = [sizes[size] for size in names.strip("[]").split(", ")]
        if list(tensor.shape) != expected or tensor.device != logits.device:
            raise ValueError(
                f"{name}: found {list(tensor.shape)} on {tensor.device}, "
                f"expected {expected} on {logits.device}: {names} for {window=}"
            )
        if not tensor.is_contiguous():
            raise ValueError(f"{name}: found strides {tensor.stride()}, expected it contiguous")
    if not 0 <= to_integer("end", end) <= positions:
        raise ValueError(f"end: found {end}, expected an integer in 0..{positions}")
