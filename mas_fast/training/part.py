"""A model that takes one turn in each step of a training run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer


@dataclass
class Part:
    """A model that takes one turn per step.

    Attributes:
        name: name in the log and in checkpoints.
        model: what checkpoints save.
        loss: maps (batch, step) to a scalar and named scalars to log; holds `model` as a submodule.
        optimizer: has the parameters of `model` that the turn updates; a fused one, which does
            nothing where its `found_inf` is 1.
        ema: whether an exponential moving average of the weights is kept, see ema.EMA.
        start: first step with a turn.
        prepare: called in every process with the batches and the number of a step before its
            passes. The batches are still on the host, where it may look at them without waiting.
    """

    name: str
    model: nn.Module
    loss: nn.Module
    optimizer: Optimizer
    ema: bool = True
    start: int = 0
    prepare: Callable[[list[dict], int], None] | None = None

    def parameters(self) -> list[nn.Parameter]:
        """The parameters that the turn updates."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The same with their names in the model, in its order."""
        updated = set(self.parameters())
        return [(n, p) for n, p in self.model.named_parameters() if p in updated]

    def replace_parameters(self, names: dict[nn.Parameter, str]) -> None:
        """Give the optimizer the parameters that took the place of those it has.

        Args:
            names: names in the model of the parameters that it has.
        """
        current = dict(self.model.named_parameters())
        for group in self.optimizer.param_groups:
            group["params"] = [current[names[parameter]] for parameter in group["params"]]
