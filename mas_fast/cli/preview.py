"""Pictures in a terminal that has 24-bit colours: while they appear, and when they are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image
    from rich.console import Console
    from rich.segment import Segments

    from mas_fast.pipelines.output import Generation
    from mas_fast.pipelines.stream import Event

WIDTH = 64  # columns of a picture, at most


@contextmanager
def watching(wanted: bool) -> Iterator[Callable[[Event], None] | None]:
    """Show each picture while it is drawn, in place, with how much of it is.

    Args:
        wanted: whether it shall be shown.

    Yields:
        What takes the events; None where the terminal cannot show them, or shall not. All that was
        shown is gone at the end.
    """
    console = _console() if wanted else None
    if console is None:
        yield None
        return
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=console, auto_refresh=False, transient=True) as live:

        def show(event: Event) -> None:
            line = Text(f"picture {event.index + 1}, {event.share:.0%} drawn")
            if event.image is not None:
                live.update(Group(segments(event.image, console), line), refresh=True)

        yield show


def show_result(out: Generation) -> None:
    """Show the picture, or the sheet of several, in a terminal that can."""
    console = _console()
    if console is not None:
        image = out.images[0] if len(out.images) == 1 else out.sheet()
        console.print(segments(image, console), end="")


def segments(image: Image.Image, console: Console) -> Segments:
    """Draw a picture: each character is two pixels, the upper one in the colour of its ink."""
    import numpy as np
    from PIL import Image
    from rich.color import Color
    from rich.segment import Segment, Segments
    from rich.style import Style

    width = min(WIDTH, console.width, image.width)
    height = max(2, round(image.height * width / image.width / 2) * 2)
    rows = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BOX))
    parts = []
    for y in range(0, height, 2):
        for x in range(width):
            ink, paper = (Color.from_rgb(*rows[y + i, x].tolist()) for i in (0, 1))
            parts.append(Segment("\u2580", Style(color=ink, bgcolor=paper)))
        parts.append(Segment.line())
    return Segments(parts)


def _console() -> Console | None:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal and console.color_system == "truecolor" else None
