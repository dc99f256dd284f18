"""preview.py: pictures in a terminal."""

import os
import pty
import subprocess
import sys

import pytest
from PIL import Image

from mas_fast.cli.preview import segments

CAPTION = "a red house beside the lake"
COMMAND = [sys.executable, "-c", "from mas_fast.cli import main; main()", "generate"]


def test_a_picture_has_two_pixels_in_each_character() -> None:
    from io import StringIO

    from rich.console import Console

    image = Image.new("RGB", (2, 4))
    image.putdata([(n, 0, 9) for n in range(8)])
    text = StringIO()
    console = Console(file=text, force_terminal=True, color_system="truecolor", width=80)
    console.print(segments(image, console), end="")
    lines = text.getvalue().splitlines()
    assert len(lines) == 2
    assert [line.count("\u2580") for line in lines] == [2, 2]
    for n, above, below in ((0, 0, 2), (0, 1, 3), (1, 4, 6), (1, 5, 7)):
        assert f"38;2;{above};0;9;48;2;{below};0;9m" in lines[n]


@pytest.mark.parametrize(
    ("words", "colors", "shown"),
    [([], "truecolor", True), (["--no-preview"], "truecolor", False), ([], "", False)],
)
def test_the_preview_needs_a_terminal_with_colours(
    tiny_bundle, tmp_path, words, colors, shown
) -> None:
    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": colors}
    command = [*COMMAND, CAPTION, "--model", str(tiny_bundle), *words]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=follower, stderr=subprocess.PIPE, env=environment
    )
    os.close(follower)
    text = "".join(_lines(leader))
    assert process.wait() == 0, process.stderr.read()
    assert ("\u2580" in text) == shown
    assert ("picture 1, 100% drawn" in text) == shown  # it appeared row by row
    assert "written: out.png" in text


def _lines(leader: int):
    """What comes from a terminal until its other end is closed."""
    with open(leader, encoding="utf-8", errors="replace") as stream:
        try:
            yield from stream
        except OSError:  # how Linux says it
            return
