"""The public functional ops, each with the implementations that this machine has.

`impl=None` takes the fast one for the device of the inputs (`default_impl` says which); a name
forces one and fails where it is missing. Every implementation gives the same result to the bit.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from . import native, reference

IMPLEMENTATIONS = ("cpp", "cuda", "reference")


def sample(
    logits: Tensor,
    *,
    seed: int,
    sample: int | Tensor = 0,
    position: int | Tensor = 0,
    uncond: Tensor | None = None,
    guidance: float = 1.0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    impl: str | None = None,
) -> Tensor:
    """The token drawn for each row, int64 [B], as `reference.sample` defines it.

    logits, uncond: floating [B, V] on one device; sample, position: int or int64 [B].
    impl: None, "cpp", "cuda" or "reference". Raises ValueError or TypeError for arguments as
    `reference.check_sampling`, ValueError for NaN logits (on a GPU this waits for the kernel;
    torch.ops.mas_fast.sample does not, and returns -1 - i where token i is the first NaN), and
    ImportError, with the command that fixes it, where `impl` is not built.
    """
    settings = {
        "uncond": uncond,
        "guidance": guidance,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
    }
    sample, position = reference.check_sampling(
        logits, seed=seed, sample=sample, position=position, **settings
    )
    if impl is None:
        impl = default_impl(logits.device)
    if impl not in IMPLEMENTATIONS:
        raise ValueError(f"impl must be None or one of {IMPLEMENTATIONS}, found {impl!r}")
    if impl == "reference":
        return reference.sample(logits, seed=seed, sample=sample, position=position, **settings)

    device = "cpu" if impl == "cpp" else "cuda"
    if logits.device.type != device:
        raise ValueError(f"impl={impl!r} needs logits on {device}, found them on {logits.device}")
    load_library()
    if not _has_kernel(device):
        raise ImportError(
            "mas_fast was built without CUDA code. With nvcc and a CUDA torch installed, run: "
            "MAS_FAST_CUDA=1 pip install --no-build-isolation -e ."
        )
    token, _ = torch.ops.mas_fast.sample(
        logits.float().contiguous(),
        None if uncond is None else uncond.float().contiguous(),
        float(guidance),
        float(temperature),
        None if top_k is None else min(top_k, logits.shape[1]),
        None if top_p is None else float(top_p),
        seed if seed < 1 << 63 else seed - (1 << 64),
        sample,
        position,
    )
    if (token < 0).any():
        row = int((token < 0).nonzero()[0])
        raise reference.nan_error(row, -1 - int(token[row]))
    return token


def default_impl(device: torch.device | str) -> str:
    """What `impl=None` means for inputs on this device: "cpp", "cuda" or "reference"."""
    kind = torch.device(device).type
    try:
        load_library()
    except ImportError:
        return "reference"
    if kind in ("cpu", "cuda") and _has_kernel(kind):
        return "cpp" if kind == "cpu" else "cuda"
    return "reference"


@functools.cache
def load_library() -> None:
    """Load torch.ops.mas_fast. Raises ImportError, with the command that fixes it, if not built."""
    native.load_torch_library()
    torch.library.register_fake("mas_fast::sample", _sample_fake)


def _has_kernel(device: str) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key("mas_fast::sample", device.upper())


def _sample_fake(
    logits, uncond, guidance, temperature, top_k, top_p, seed, sample, position
) -> tuple[Tensor, Tensor]:
    token = logits.new_empty(logits.shape[0], dtype=torch.int64)
    return token, torch.empty_like(logits, dtype=torch.bool)
