"""The content of a folder of scene shards: as tables, and as one HTML page with pictures.

    report = Report.read("scenes")       # `mas-fast data report`; reads sidecars, not pixels
    report.show()
    report.write_html("report.html")

A label that covers most pixels, a person gate that nobody passes, rejects of one kind: mistakes
that would spoil a tokenizer days later can be seen here. So can a run that is still going on.
"""

from __future__ import annotations

import base64
import html
import io
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from rich.console import Console
from rich.table import Table

from mas_fast.data import rejects
from mas_fast.data.prepare import jpeg
from mas_fast.data.shards import MANIFEST, SCENES, read_manifest, read_sidecar
from mas_fast.data.sources.base import Sample
from mas_fast.data.sources.tars import TarSource
from mas_fast.data.statistics import Statistics, add_up, mean, quantile
from mas_fast.scene import VOID, Layout, Scene, layout_named
from mas_fast.utils.files import replace_file

CLASSES = 12  # rows for each layer on the terminal; the page has all
REASONS = 12
PICTURES = 24
Row = list[str]


@dataclass(frozen=True)
class Content:
    """A table of the report.

    Attributes:
        title: heading of the table.
        columns: headings of the columns.
        rows: cells of each row; the first column is text, the others are numbers.
        bars: share in 0..1 for each row, drawn on the page; None for a table without bars.
    """

    title: str
    columns: Row
    rows: list[Row]
    bars: list[float] | None = None


@dataclass(frozen=True)
class Report:
    """The content of a folder of scene shards.

    Attributes:
        folder: the folder.
        tars: the shards that are there, each with its number of samples.
        layout: layout of the scenes.
        statistics: counts of all shards.
        rejects: number of rejects by kind (see `data.rejects`).
        finished: whether the run is finished.
    """

    folder: Path
    tars: dict[Path, int]
    layout: Layout
    statistics: Statistics
    rejects: Counter[str]
    finished: bool

    @classmethod
    def read(cls, folder: str | os.PathLike) -> Report:
        """Read the manifest and the sidecars of a folder.

        Args:
            folder: folder of scene shards; its run may still be going on.

        Returns:
            The report.

        Raises:
            ValueError: if it is another folder, or if it has no shards yet.
        """
        folder = Path(folder)
        manifest = read_manifest(folder, SCENES, finished=False)
        files = sorted(file for file in folder.glob("*.json") if file.name != MANIFEST)
        if not files:
            raise ValueError(f"{folder}: found no shard yet, expected one at least")
        sidecars = {file: read_sidecar(file, SCENES) for file in files}
        return cls(
            folder,
            {folder / sidecar["file"]: sidecar["samples"] for sidecar in sidecars.values()},
            _layout(folder / MANIFEST, manifest["options"]),
            add_up(_statistics(file, sidecar) for file, sidecar in sidecars.items()),
            rejects.count(reason for car in sidecars.values() for _, reason in car["rejects"]),
            manifest["shards"] is not None,
        )

    def show(self, console: Console | None = None) -> None:
        """Print the tables, with the most frequent classes and reasons alone.

        Args:
            console: where to print; standard output if None.
        """
        console = console or Console()
        for content in self.contents():
            title = content.title
            limit = CLASSES if content.bars else REASONS
            if len(content.rows) > limit:
                title += f" (the first {limit} of {len(content.rows)})"
            table = Table(title=title, title_justify="left", show_header=any(content.columns))
            for number, column in enumerate(content.columns):
                table.add_column(column, justify="right" if number else "left", overflow="fold")
            for row in content.rows[:limit]:
                table.add_row(*row)
            console.print(table)

    def write_html(self, file: str | os.PathLike) -> None:
        """Write the page: all tables, and pictures beside their scenes, spread over the shards.

        Args:
            file: the page, which replaces an existing file. Its name ends in .html or .htm.

        Raises:
            ValueError: if the name has another ending, or as for `pictures`.
        """
        if Path(file).suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"{file}: found no name of a page, expected one that ends in .html")
        parts = [_html_table(content) for content in self.contents()]
        parts += [_html_sample(sample) for sample in self.pictures()]
        page = _PAGE.format(title=html.escape(str(self.folder)), body="\n".join(parts))
        replace_file(Path(file), lambda temporary: temporary.write_text(page, "utf-8"))

    def contents(self) -> list[Content]:
        """Return all tables."""
        tables = [self._overview(), self._layers(), *self._classes(), self._captions()]
        if self.rejects:
            rows = [[reason, str(n)] for reason, n in self.rejects.most_common()]
            tables.append(Content("rejects", ["reason", "samples"], rows))
        return tables

    def pictures(self) -> Iterator[Sample]:
        """Read some samples, evenly spread.

        Yields:
            At most PICTURES samples.

        Raises:
            ValueError: if a shard is missing or cannot be read.
        """
        first = np.cumsum([0, *self.tars.values()])
        positions = np.linspace(0, first[-1] - 1, min(PICTURES, first[-1])).round().astype(int)
        numbers = np.searchsorted(first, positions, side="right") - 1
        for number in np.unique(numbers):
            tar, samples = list(self.tars.items())[number]
            if not tar.is_file():
                expected = f"expected a shard of {samples} samples"
                raise ValueError(f"{tar}: found no such file, {expected}")
            source = TarSource([tar])
            if (count := len(source)) != samples:
                expected = f"expected a shard of {samples} samples"
                raise ValueError(f"{tar}: found {count} samples, {expected}")
            for position in positions[numbers == number]:
                item = source[int(position - first[number])]
                if not isinstance(item, Sample):
                    raise ValueError(f"{tar}: {item.key}: {item.reason}")
                yield item

    def _overview(self) -> Content:
        s, rejects = self.statistics, self.rejects.total()
        captions = sum(s.characters.values())
        rows = [
            ["shards", f"{len(self.tars)}" + ("" if self.finished else " so far")],
            ["samples", str(s.samples)],
            ["rejects", _part(rejects, s.samples + rejects)],
            ["captions", f"{captions} ({_ratio(captions, s.samples):.2f} a sample)"],
            ["samples without a caption", _part(s.captions[0], s.samples)],
            ["samples with a person (the gate is open)", _part(s.persons, s.samples)],
            ["samples that lost human or face parts at the gate", _part(s.closed, s.samples)],
            ["void pixels", f"{100 * self._share(VOID):.2f}%"],
        ]
        return Content(str(self.folder), ["", ""], rows)

    def _layers(self) -> Content:
        rows, bars = [], []
        for name, labels in self._ranges().items():
            bars.append(sum(map(self._share, labels)))
            classes = [label for label in labels if self.statistics.pixels[label]]
            counts = f"{len(classes)} of {len(labels)}"
            rows.append([name, f"{100 * bars[-1]:.2f}%", counts])
        return Content("layers", ["", "pixels", "classes that occur"], rows, bars)

    def _classes(self) -> Iterator[Content]:
        s = self.statistics
        for name, labels in self._ranges().items():
            classes = sorted(labels, key=lambda label: (-s.pixels[label], label))
            classes = [label for label in classes if s.pixels[label]]
            if name == "void" or not classes:
                continue
            rows = [
                [
                    self.layout.names[label],
                    f"{100 * self._share(label):.2f}%",
                    _part(s.pictures[label], s.samples),
                ]
                for label in classes
            ]
            columns = ["class", "pixels", "samples that have it"]
            yield Content(f"{name} classes", columns, rows, list(map(self._share, classes)))

    def _captions(self) -> Content:
        s = self.statistics
        rows = []
        for name, lengths in (("characters", s.characters), ("words", s.words)):
            marks = [quantile(lengths, share) for share in (0, 0.05, 0.5, 0.95, 1)]
            rows.append([name, *map(str, marks), f"{mean(lengths):.1f}"])
        columns = ["length in", "least", "5%", "median", "95%", "most", "mean"]
        return Content("captions", columns, rows)

    def _ranges(self) -> dict[str, range]:
        layout = self.layout
        parts = {
            "panoptic": layout.panoptic_channels,
            "human": layout.human_channels,
            "face": layout.face_channels,
            "void": slice(VOID, VOID + 1),
        }
        return {name: range(part.start, part.stop) for name, part in parts.items()}

    def _share(self, label: int) -> float:
        return _ratio(self.statistics.pixels[label], self.statistics.pixels.total())


def _layout(file: Path, options: dict) -> Layout:
    try:
        return layout_named(cast(str, options.get("layout")))  # layout_named checks it
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _statistics(file: Path, sidecar: dict) -> Statistics:
    try:
        return Statistics.from_dict(sidecar["statistics"])
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _ratio(part: float, total: float) -> float:
    return part / total if total else 0.0


def _part(part: int, total: int) -> str:
    return f"{part} ({100 * _ratio(part, total):.1f}%)"


# ---------------------------------------------------------------------------- the page


def _html_table(content: Content) -> str:
    def cells(kind: str, row: Row) -> str:
        return "".join(f"<{kind}>{html.escape(cell)}</{kind}>" for cell in row)

    def bar(share: float) -> str:
        return f'<td class="bar"><i style="width:{100 * share:.2f}%"></i></td>'

    lines = [f"<h2>{html.escape(content.title)}</h2><table>"]
    if any(content.columns):
        lines.append(f"<tr>{cells('th', content.columns)}</tr>")
    for number, row in enumerate(content.rows):
        last = bar(content.bars[number]) if content.bars else ""
        lines.append(f"<tr>{cells('td', row)}{last}</tr>")
    return "\n".join([*lines, "</table>"])


def _html_sample(sample: Sample) -> str:
    scene = io.BytesIO()
    cast(Scene, sample.scene).render(1).save(scene, "PNG")  # scene shards have one for each
    pictures = "".join(
        f'<img alt="" src="data:image/{kind};base64,{base64.b64encode(content).decode()}">'
        for kind, content in (("jpeg", jpeg(sample)), ("png", scene.getvalue()))
    )
    captions = "<br>".join(map(html.escape, sample.captions)) or "(no caption)"
    text = f"{html.escape(sample.key)}<br>{captions}"
    return f"<figure>{pictures}<figcaption>{text}</figcaption></figure>"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em }}
table {{ border-collapse: collapse }}
td, th {{ border-bottom: 1px solid #ddd; padding: 2px 12px; text-align: right }}
td:first-child, th:first-child {{ text-align: left; padding-left: 0 }}
.bar {{ width: 20em }}
.bar i {{ background: #4682b4; display: block; height: 0.8em }}
figure {{ margin: 2em 0 }}
img {{ margin-right: 8px; max-width: 100%; vertical-align: top }}
</style>
<h1>Scenes</h1>
{body}
</html>
"""
