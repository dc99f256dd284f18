"""Which device a computation runs on."""

from __future__ import annotations

import torch


def find_device(name: str | torch.device | None) -> torch.device:
    """The device called `name`; None: a GPU where there is one. ValueError for one that is not
    here."""
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device: found {str(name)!r}, expected one that is here: {reason}"
        ) from error
