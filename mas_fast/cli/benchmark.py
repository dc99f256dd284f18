"""`mas-fast bench SUBJECT`: `python -m benchmarks SUBJECT`, started in the checkout.

The suite lives beside the package, in the checkout, and not in a wheel: it times the peers too, and
its results belong to the sources that gave them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mas_fast.utils.outputs import check_outputs
from mas_fast.utils.validate import check_choice

CHECKOUT = Path(__file__).resolve().parents[2]


def subjects() -> list[str]:
    """List what can be timed: each subject has a test_SUBJECT.py.

    Returns:
        The subjects.

    Raises:
        ImportError: if there is no suite.
    """
    folder = CHECKOUT / "benchmarks"
    if not (folder / "__main__.py").is_file():
        raise ImportError(
            f"{folder}: found no benchmarks; they come with the sources, not with a wheel: "
            'clone the repository and run pip install -e ".[bench]" there'
        )
    return sorted(file.stem.removeprefix("test_") for file in folder.glob("test_*.py"))


def run(subject: str, json_path: str | os.PathLike | None = None) -> int:
    """Run a subject, which prints its tables and stores its result.

    Args:
        subject: one of `subjects`.
        json_path: file of the result; by default benchmarks/results/<machine>.json.

    Returns:
        The exit status.

    Raises:
        ValueError: if the subject is unknown or the file cannot be written.
    """
    check_choice("subject", subject, subjects())
    command = [sys.executable, "-m", "benchmarks", subject]
    if json_path is not None:
        check_outputs({"--json": json_path})
        command += ["--json", os.path.abspath(json_path)]
    return subprocess.run(command, cwd=CHECKOUT).returncode
