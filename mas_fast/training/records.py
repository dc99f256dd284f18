"""What a training run leaves in its folder: checkpoints, and the list of rejects."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import torch

from mas_fast.files import replace_file


class Checkpoints:
    """The files step-00000500.pt, step-00001000.pt, ... of `folder`, each whole or absent, of which
    the last `keep` stay."""

    def __init__(self, folder: str | os.PathLike, keep: int) -> None:
        self.folder, self.keep = Path(folder), keep

    def files(self) -> list[Path]:
        """All of them, oldest first."""
        return sorted(self.folder.glob("step-*.pt"), key=_step)

    def latest(self) -> Path | None:
        return next(reversed(self.files()), None)

    def save(self, step: int, state: dict) -> None:
        """Write the checkpoint of `step`, then remove those beyond the last `keep` and what a
        killed process left half-written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"step-{step:08d}.pt"
        replace_file(file, lambda temporary: torch.save({"step": step, **state}, temporary))
        for old in [*self.files()[: -self.keep], *self.folder.glob(".step-*.tmp")]:
            old.unlink(missing_ok=True)

    def load(self, device: torch.device) -> tuple[int, dict] | None:
        """(step, state) of the newest checkpoint; None where there is none. ValueError for a file
        that is damaged."""
        file = self.latest()
        if file is None:
            return None
        try:
            state = torch.load(file, map_location=device, weights_only=True)
            return state.pop("step"), state
        except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError) as error:
            raise ValueError(
                f"{file}: found a damaged checkpoint ({error}); remove it to continue from the "
                "one before"
            ) from error


class Rejects:
    """The lines `key TAB reason` of a file: samples that could not be read. Each process adds a
    sample once, also when it continues an earlier run."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines = set(file.read_text("utf-8").splitlines()) if file.is_file() else set()

    def add(self, key: str, reason: str) -> None:
        line = "\t".join(" ".join(text.split()) for text in (key, reason))
        if line not in self.lines:
            self.lines.add(line)
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with open(self.file, "a", encoding="utf-8") as lines:
                lines.write(f"{line}\n")


def _step(file: Path) -> int:
    return int(file.stem.removeprefix("step-"))
