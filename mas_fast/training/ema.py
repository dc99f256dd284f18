"""The exponential moving average (EMA) of weights: metrics, sheets and bundles are made of it."""

from __future__ import annotations

import copy

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


class EMA:
    """The exponential moving average of a model's weights, beside copies of its buffers.

    Early steps forget faster: at step n, from 1, the decay is at most (1 + n) / (10 + n), and the
    first one takes the weights themselves. A step that the optimizer skipped counts as one that
    left the weights where they were. Make it before the model is put on a device or shared
    between processes, then `attach` it.

    Args:
        model: the model.
        decay: in 0..1.

    Attributes:
        count: updates so far.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.count = decay, 0
        self.twin = copy.deepcopy(model).requires_grad_(False).eval()

    def attach(self, model: nn.Module) -> None:
        """Follow the model, on its device.

        Where its weights are shared between processes, so are the averages.
        """
        self.model = model
        self.shared = any(isinstance(weight, DTensor) for weight in model.parameters())
        self.twin.to("meta" if self.shared else next(model.parameters()).device)
        source = model if self.shared else self.twin
        self.weights: dict[str, Tensor] = {n: w.detach() for n, w in source.named_parameters()}
        if self.shared:
            self.weights = {name: weight.clone() for name, weight in self.weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the model's weights after a step into account."""
        averages = [_local(weight) for weight in self.weights.values()]
        current = [_local(weight) for weight in self.model.parameters()]
        n = self.count
        if n == 0:
            torch._foreach_copy_(averages, current)
        else:
            torch._foreach_lerp_(averages, current, 1 - min(self.decay, (1 + n) / (10 + n)))
        for copied, buffer in zip(self.twin.buffers(), self.model.buffers(), strict=True):
            copied.copy_(buffer)
        self.count += 1

    def state(self) -> dict[str, Tensor]:
        """Its tensors in a checkpoint, which holds `count` too."""
        return {**self.twin.state_dict(), **self.weights}

    def module(self) -> nn.Module:
        """The model with averaged weights, in evaluation mode.

        Where they are shared between processes, all call this, and the first one gets a model of
        its own, for as long as it keeps it.
        """
        if not self.shared:
            return self.twin
        twin, gathered = copy.deepcopy(self.twin), {}
        for name, weight in self.weights.items():
            assert isinstance(weight, DTensor)
            full = weight.full_tensor()
            if dist.get_rank() == 0:
                gathered[name] = full
        twin.load_state_dict(gathered, strict=False, assign=True)
        return twin.requires_grad_(False)


def _local(weight: Tensor) -> Tensor:
    weight = weight.detach()
    return weight.to_local() if isinstance(weight, DTensor) else weight
