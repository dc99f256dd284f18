"""The scripts of examples/ run as they stand, and write what they say that they write."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.py"))
LINES = 60


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_an_example_runs(script: Path, tmp_path: Path) -> None:
    if "onnx" in script.stem:
        pytest.importorskip("onnxruntime")
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    promised = set(re.findall(rf"\b{script.stem}\.[\w.]*\w", script.read_text())) - {script.name}
    assert {name for name in promised if not (tmp_path / name).exists()} == set()
    assert promised or done.stdout


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_an_example_is_a_page(script: Path) -> None:
    text = script.read_text()
    assert len(text.splitlines()) <= LINES
    assert f"python examples/{script.name}" in text
