"""Which turns of a training run are bad: judged on the device, and told when somebody looks.

    verdicts = Verdicts(device, spike_factor=10.0)
    optimizer.found_inf = verdicts.judge(loss, norm, first=True)   # 1.0: the optimizer does nothing
    verdicts.keep(turn)
    for turn, bad, values in verdicts.told(): ...                  # waits for the device

A host that waits for a loss has nothing queued when it goes on, and so a GPU waits for it in turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

RECENT = 100  # losses that a new one is compared with


@dataclass(frozen=True, eq=False)
class Turn:
    """What there is to say of a part's turn.

    Attributes:
        step: counted from 0.
        part: its name.
        keys: of the samples that this process saw.
        lr: the learning rate.
        scalars: by name, on the device; among them "loss" and "gradient_norm".
    """

    step: int
    part: str
    keys: list[str]
    lr: float
    scalars: dict[str, Tensor]


class Verdicts:
    """The verdicts on the turns of all parts, in their order.

    Args:
        device: where losses are.
        spike_factor: a loss of the first part above this many times the largest of its last RECENT
            ones is bad.

    Attributes:
        recent: float64 [RECENT], on the device, the losses of the first part's last good turns;
            NaN where there were not as many.
    """

    def __init__(self, device: torch.device, spike_factor: float) -> None:
        self.spike_factor = spike_factor
        self.recent = torch.full((RECENT,), math.nan, dtype=torch.float64, device=device)
        self._bad = torch.zeros((), dtype=torch.bool, device=device)
        self._kept: list[tuple[Turn, Tensor]] = []

    @torch.no_grad()
    def judge(self, loss: Tensor, norm: Tensor, first: bool) -> Tensor:
        """Judge a turn.

        It is bad if its loss or the norm of its gradients is not finite, or the loss a spike; and
        after a bad turn so are the others of its step.

        Args:
            loss: a scalar, the same in all processes.
            norm: a scalar, of the gradients.
            first: whether the turn is the first of its step.

        Returns:
            1.0 for a bad turn, else 0.0: fp32, a scalar, as optimizers take it for `found_inf`.
        """
        loss = loss.double()
        bad = ~(loss + norm.double()).isfinite()
        if first:
            # False as long as one of them is NaN, which is then the largest.
            bad |= loss.abs() > self.spike_factor * self.recent.abs().max()
            self.recent = torch.where(bad, self.recent, torch.cat([self.recent[1:], loss[None]]))
            self._bad = bad
        else:
            self._bad = self._bad | bad
        return self._bad.float()

    def keep(self, turn: Turn) -> None:
        """Keep what there is to say of the turn that was judged last, until it is told."""
        scalars = [value.detach().float() for value in turn.scalars.values()]
        self._kept.append((turn, torch.stack([self._bad.float(), *scalars])))

    def told(self) -> list[tuple[Turn, bool, dict[str, float]]]:
        """Tell of all turns since the last time; this waits for the device, once.

        Returns:
            Each turn, whether it was bad, and its scalars.
        """
        if not self._kept:
            return []
        values = torch.cat([row for _, row in self._kept]).tolist()
        told, start = [], 0
        for turn, row in self._kept:
            bad, *scalars = values[start : start + len(row)]
            told.append((turn, bool(bad), dict(zip(turn.scalars, scalars, strict=True))))
            start += len(row)
        self._kept.clear()
        return told

    def losses(self) -> list[float]:
        """The losses that a new one is compared with, oldest first; this waits for the device."""
        return [loss for loss in self.recent.tolist() if not math.isnan(loss)]

    def remember(self, losses: Sequence[float]) -> None:
        """Take up the losses of an earlier run, as `losses` gave them."""
        known = [math.nan] * RECENT + list(losses)
        self.recent.copy_(torch.tensor(known[-RECENT:], dtype=torch.float64))

    def problem(self, values: dict[str, float]) -> str:
        """Say what is bad about the scalars of a turn."""
        loss, norm = values["loss"], values["gradient_norm"]
        if not math.isfinite(loss + norm):
            return f"a loss of {loss} and gradients of norm {norm}"
        factor = f"{self.spike_factor:g} times"
        return f"a loss of {loss:.6g}, over {factor} the largest of the last {RECENT}"
