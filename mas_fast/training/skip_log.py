"""Lists of samples that a training run leaves in its folder."""

from __future__ import annotations

from pathlib import Path


class Records:
    """The lines `name TAB text` of a file, such as a sample that could not be read and why.

    Each process adds a line once, also when it continues an earlier run.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines = set(file.read_text("utf-8").splitlines()) if file.is_file() else set()

    def add(self, name: str, text: str) -> None:
        """Add a line, unless it is there."""
        line = "\t".join(" ".join(part.split()) for part in (name, text))
        if line not in self.lines:
            self.lines.add(line)
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with open(self.file, "a", encoding="utf-8") as lines:
                lines.write(f"{line}\n")
