"""Figures of a model of the storybook: rows of a table, each beside its goal, ceiling and floor."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mas_fast.data.storybook.world import World
from mas_fast.evaluation.faithfulness import faithfulness, rates
from mas_fast.evaluation.reconstruction import spread
from mas_fast.scene.scene import Scene
from mas_fast.utils.contact_sheet import sheet

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = 10  # captions on the sheet
NAN = float("nan")


@dataclass(frozen=True)
class Goal:
    """What a figure is to be.

    Attributes:
        least: at least this.
        most: at most this.
        ceilings: `most` is a ratio to the ceiling.
    """

    least: float = -math.inf
    most: float = math.inf
    ceilings: bool = False

    def bounds(self, ceiling: float) -> tuple[float, float]:
        """The least and the most, for a figure with this ceiling."""
        return self.least, self.most * ceiling if self.ceilings else self.most

    def text(self, ceiling: float) -> str:
        least, most = self.bounds(ceiling)
        if math.isinf(least):
            return f"<= {_text(most)}"
        return _text(least) if math.isinf(most) else f"{_text(least)}..{_text(most)}"


# Of the worlds' models, by world.
GOALS = {
    1: {
        "recall": Goal(0.9),
        "recall, unseen": Goal(0.8),
        "precision": Goal(0.8),
        "counts": Goal(0.7),
        "left, right": Goal(0.8),
        "colours": Goal(0.7),
        "VQ-SEG mIoU": Goal(0.85),
        "VQ-IMG PSNR": Goal(24.0),
        "scene given, mIoU": Goal(0.6),
    },
    2: {
        "recall": Goal(0.98),
        "recall, unseen": Goal(0.97),
        "precision": Goal(0.94),
        "counts": Goal(0.92),
        "left, right": Goal(0.95),
        "other relations": Goal(0.85),
        "colours": Goal(0.92),
        "joint": Goal(0.7),
        "VQ-SEG mIoU": Goal(0.9),
        "VQ-IMG PSNR": Goal(26.0),
        "sharpness": Goal(0.9, 1.1),
        "scene given, mIoU": Goal(0.75),
        "Frechet distance": Goal(most=2.0, ceilings=True),
    },
}


@dataclass(frozen=True)
class Row:
    """One figure, NaN where there is none.

    Attributes:
        name: what is measured.
        value: of the model.
        ceiling: of the true scenes and pictures, through the tokenizers.
        floor: of the same results with each other's captions.
    """

    name: str
    value: float
    ceiling: float = NAN
    floor: float = NAN

    def reached(self, goal: Goal | None) -> bool | None:
        """Whether the value reaches a goal; None where there is none."""
        if goal is None:
            return None
        least, most = goal.bounds(self.ceiling)
        return least <= self.value <= most


@dataclass
class Drawn:
    """Captions with their scenes and pictures, as many of each.

    Attributes:
        captions: the captions.
        scenes: their scenes.
        pictures: their pictures, uint8 [H, W, 3].
    """

    captions: list[str]
    scenes: list[Scene]
    pictures: list[np.ndarray]

    def rates(self, world: World, captions: Sequence[str] | None = None) -> dict[str, float]:
        """faithfulness.METRICS, of its own captions or of others."""
        told = zip(captions or self.captions, self.scenes, self.pictures, strict=True)
        return rates(faithfulness(*parts, world) for parts in told)


@dataclass
class Quality:
    """How good a model is.

    Attributes:
        bundle: path of the bundle.
        world: number of the world whose stories were asked for.
        seed: seed of the model's sampling.
        rows: the figures.
        truth: the true scenes and pictures of the captions.
        drawn: those of the model.
        given: those of the model where it was given the true scene.
    """

    bundle: str
    world: int
    seed: int
    rows: list[Row]
    truth: Drawn = field(repr=False)
    drawn: Drawn = field(repr=False)
    given: Drawn = field(repr=False)

    def goal(self, row: Row) -> Goal | None:
        """The goal of a figure, where there is one."""
        return GOALS[self.world].get(row.name)

    def to_dict(self) -> dict:
        """Plain values for JSON; null where there is no number."""
        metrics = {}
        for row in self.rows:
            goal = self.goal(row)
            least, most = goal.bounds(row.ceiling) if goal else (NAN, NAN)
            values = {"goal": least, "value": row.value, "ceiling": row.ceiling, "floor": row.floor}
            if math.isfinite(most):
                values["at most"] = most
            metrics[row.name] = {k: v if math.isfinite(v) else None for k, v in values.items()}
        count = len(self.drawn.captions)
        asked = {"bundle": self.bundle, "world": self.world, "captions": count, "seed": self.seed}
        return {**asked, "metrics": metrics}

    def table(self) -> Table:
        """A table for rich's console."""
        from rich.table import Table

        title = f"{len(self.drawn.captions)} captions, seed {self.seed}: {self.bundle}"
        table = Table("", title=title)
        for name in ("goal", "value", "ceiling", "floor"):
            table.add_column(name, justify="right")
        table.add_column("reached")
        for row in self.rows:
            goal = self.goal(row)
            values = [_text(value) for value in (row.value, row.ceiling, row.floor)]
            reached = {None: "", True: "yes", False: "no"}[row.reached(goal)]
            table.add_row(row.name, goal.text(row.ceiling) if goal else "", *values, reached)
        return table

    def sheet(self) -> Image.Image:
        """A sheet of some captions.

        Each row has the model's scene and picture, the true ones, and the model's picture of the
        true scene.
        """
        rows, told = [], []
        for n in spread(len(self.drawn.captions), SHOWN).tolist():
            scenes = (self.drawn.scenes[n].colors(), self.truth.scenes[n].colors())
            ours, true, given = (x.pictures[n] for x in (self.drawn, self.truth, self.given))
            rows.append([scenes[0], ours, scenes[1], true, given])
            told.append(self.drawn.captions[n])
        return sheet(rows, told)

    def save(self, folder: str | os.PathLike) -> None:
        """Write what faithfulness was measured on: captions.txt, NNN.png, NNN.scene.png."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        drawn = self.drawn
        text = "".join(f"{line}\n" for line in drawn.captions)
        (folder / "captions.txt").write_text(text, "utf-8")
        for n, (scene, pixels) in enumerate(zip(drawn.scenes, drawn.pictures, strict=True)):
            Image.fromarray(pixels).save(folder / f"{n:03}.png")
            scene.save(folder / f"{n:03}.scene.png")


def _text(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.1f}" if value > 2 else f"{value:.3f}"
