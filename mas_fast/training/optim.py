"""The optimizers: AdamW alone, or Muon for the matrices of a network's hidden layers and AdamW for
the rest, as two parameter groups of one optimizer.

    optimizer(model, settings)                                # of a GPT
    MuonAdamW(matrices, others, lr=1.5e-3, betas=(0.9, 0.96), weight_decay=0.045)

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) takes the nearest orthogonal
matrix to the momentum as its step, so that no direction of a layer waits for the large ones. The
step is scaled to the root mean square that AdamW's has (Liu et al. 2025, arXiv 2502.16982), so that
one learning rate and one decay serve both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.adamw import adamw

from mas_fast.models.gpt import GPT
from mas_fast.training.gpt_settings import GPTSettings

MOMENTUM = 0.95
NEWTON_SCHULZ_STEPS = 5
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan's quintic, steep at 0
SMALLEST_NORM = 1e-7


class MuonAdamW(Optimizer):
    """Muon and AdamW, as two parameter groups: `algorithm` of a group says which.

    As torch's fused optimizers, it takes no step where the tensor `found_inf` is 1, without a look
    at it from the host.

    Args:
        matrices: parameters with two dimensions, which take Muon's steps.
        others: parameters that take AdamW's steps, none of them in `matrices`.
        lr: learning rate of both.
        betas: of AdamW.
        weight_decay: of the matrices alone.
    """

    found_inf: Tensor | None = None  # of the class: what is copied or pickled is without

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Iterable[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        groups = [
            {"params": list(matrices), "algorithm": "muon", "weight_decay": weight_decay},
            {"params": list(others), "algorithm": "adamw", "weight_decay": 0.0},
        ]
        # `fused`: where load_state_dict puts AdamW's step, and how the trainer knows of found_inf.
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": 1e-8, "fused": True})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group.

        Raises:
            ValueError: its `algorithm` is neither "muon" nor "adamw", or its parameters do not fit.
        """
        algorithm = param_group.get("algorithm")
        if algorithm not in ("muon", "adamw"):
            raise ValueError(f'algorithm: found {algorithm!r}, expected "muon" or "adamw"')
        super().add_param_group(param_group)
        if algorithm == "muon" and (wrong := [p for p in param_group["params"] if p.ndim != 2]):
            raise ValueError(
                f"matrices: found the shape {list(wrong[0].shape)}, expected two sizes"
            )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the groups' options and the state of another optimizer of this kind.

        Raises:
            ValueError: it has other groups.
        """
        theirs = [group.get("algorithm") for group in state_dict["param_groups"]]
        ours = [group["algorithm"] for group in self.param_groups]
        if len(theirs) == len(ours) and theirs != ours:
            raise ValueError(f"param_groups: found {theirs}, expected {ours}")
        super().load_state_dict(state_dict)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient.

        Args:
            closure: computes the loss and the gradients; None where they are there.

        Returns:
            The closure's loss; None without one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            update = self._muon if group["algorithm"] == "muon" else self._adamw
            update(parameters, group)
        return loss

    def _muon(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        lr, weight_decay = float(group["lr"]), group["weight_decay"]
        for parameter in parameters:
            gradient, state = parameter.grad, self.state[parameter]
            assert gradient is not None
            if not state:
                state["momentum_buffer"] = torch.zeros_like(gradient)
            momentum = state["momentum_buffer"]
            averaged = momentum.lerp(gradient, 1 - MOMENTUM)
            step = orthogonalized(gradient.lerp(averaged, MOMENTUM))  # Nesterov's
            scale = 0.2 * math.sqrt(max(parameter.shape))
            moved = (parameter * (1 - lr * weight_decay)).add_(step, alpha=-(lr * scale))
            self._take(momentum, averaged)
            self._take(parameter, moved)

    def _take(self, old: Tensor, new: Tensor) -> None:
        if self.found_inf is None:
            old.copy_(new)
        else:
            old.copy_(torch.where(self.found_inf == 1, old, new))

    def _adamw(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if not (state := self.state[parameter]):
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
        if not parameters:
            return
        states = [self.state[parameter] for parameter in parameters]
        beta1, beta2 = group["betas"]
        adamw(
            list[Tensor](parameters),
            [parameter.grad for parameter in parameters if parameter.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=group["fused"],
            found_inf=self.found_inf,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def orthogonalized(matrix: Tensor) -> Tensor:
    """A matrix near the nearest orthogonal one, by Newton-Schulz iterations in bf16.

    Args:
        matrix: floating, [M, N].

    Returns:
        bf16 [M, N]: the matrix with its singular values moved to about 0.5 .. 1.5.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrix.bfloat16()
    tall = matrix.shape[0] > matrix.shape[1]
    if tall:
        x = x.T
    x = x.div(x.norm().clamp(min=SMALLEST_NORM))  # no singular value above 1
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.T
        update = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.addmm(x, update, x, beta=a)
    return x.T if tall else x


def matrices_of(module: nn.Module) -> set[Tensor]:
    """The weights of its linear layers."""
    return {m.weight for m in module.modules() if isinstance(m, nn.Linear)}


def optimizer(model: GPT, settings: GPTSettings) -> Optimizer:
    """The optimizer of a GPT that the settings ask for.

    Only the matrices of linear layers have weight decay, and only those in the blocks take Muon's
    steps.
    """
    lr, betas, weight_decay = settings.lr, settings.betas, settings.weight_decay
    muon = settings.optimizer == "muon"
    linear = matrices_of(model.blocks if muon else model)
    matrices = [p for p in model.parameters() if p in linear]
    others = [p for p in model.parameters() if p not in linear]
    if muon:
        return MuonAdamW(matrices, others, lr=lr, betas=betas, weight_decay=weight_decay)
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return AdamW(groups, lr, betas=betas, fused=True)
