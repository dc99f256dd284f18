"""The optimizers: AdamW alone, or Muon for the matrices of a network's hidden layers and AdamW for
the rest, as one optimizer.

    optimizer(model, settings)                                # of a GPT
    MuonAdamW(matrices, rest, lr=1.5e-3, betas=(0.9, 0.96), decay=0.045)

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) takes the nearest orthogonal
matrix to the momentum as its step, so that no direction of a layer waits for the large ones. The
step is scaled to the root mean square that AdamW's has (Liu et al. 2025, arXiv 2502.16982), so that
one learning rate and one decay serve both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from mas_fast.models.gpt import GPT
from mas_fast.training.gpt_settings import GPTSettings


class MuonAdamW(Optimizer):
    """matrices, rest: two disjoint sets of parameters, the former with two dimensions; lr: of both;
    betas: of AdamW; decay: of the matrices alone."""

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        rest: Iterable[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float],
        decay: float,
    ) -> None:
        matrices, rest = list(matrices), list(rest)
        defaults = {"lr": lr, "fused": True}
        super().__init__([{"params": matrices}, {"params": rest}], defaults)
        both = (
            Muon(matrices, lr, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
            AdamW(rest, lr, betas=betas, weight_decay=0.0, fused=True),
        )
        self.param_groups = [group for one in both for group in one.param_groups]
        self._share()

    def _share(self) -> None:
        """Two optimizers that step by the groups and the state of this one, and have none of their
        own."""
        matrices, rest = self.param_groups
        self.both = Muon(matrices["params"]), AdamW(rest["params"], fused=True)
        for one, group in zip(self.both, self.param_groups, strict=True):
            one.param_groups, one.state = [group], self.state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Also of `load_state_dict`: groups and state are other objects afterwards."""
        super().__setstate__(state)
        self._share()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """ValueError: the two sets are given at once."""
        if hasattr(self, "both"):
            raise ValueError("param_group: found a third one, expected two, matrices and the rest")
        super().add_param_group(param_group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update both sets.

        Args:
            closure: computes the loss and the gradients anew; it is called once, before the update.

        Returns:
            What the closure returned, None without one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.both:
            part.step()
        return loss


def matrices_of(module: nn.Module) -> set[nn.Parameter]:
    """Of its linear layers."""
    return {m.weight for m in module.modules() if isinstance(m, nn.Linear)}


def optimizer(model: GPT, settings: GPTSettings) -> Optimizer:
    """Weight decay on the matrices of linear layers alone; Muon on those in the blocks alone."""
    lr, betas, decay = settings.lr, settings.betas, settings.decay
    muon = settings.optimizer == "muon"
    linear = matrices_of(model.blocks if muon else model)
    matrices = [p for p in model.parameters() if p in linear]
    rest = [p for p in model.parameters() if p not in linear]
    if muon:
        return MuonAdamW(matrices, rest, lr=lr, betas=betas, decay=decay)
    groups = [
        {"params": matrices, "weight_decay": decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return AdamW(groups, lr, betas=betas, fused=True)
