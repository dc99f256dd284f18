"""Small runs of `mas-fast train vq-seg` and `vq-img`, and how they end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mas_fast.cli import main
from mas_fast.training.settings import build
from mas_fast.training.vq import ImgSettings, SegSettings

KINDS = {"seg": SegSettings, "img": ImgSettings}
TINY = {"steps": 3, "batch": 4, "lr": 1e-3, "sheet_every": 2, "metric_samples": 8, "log_every": 1}


def settings(kind: str, data, folder, **changes) -> SegSettings | ImgSettings:
    torch.set_num_threads(1)
    values = TINY | {"model": {"preset": f"tiny-{kind}"}} | changes
    return build(KINDS[kind], values | {"data": str(data), "folder": str(folder)}, "test")


def command(*arguments, processes: int = 0) -> list[str]:
    launch = []
    if processes:
        launch = [sys.executable]
        launch += ["-m", "torch.distributed.run", "--standalone", "--no-python"]
        launch += ["--nproc-per-node", str(processes)]
    script = Path(sys.executable).with_name("mas-fast")
    return [*launch, str(script), "train", *map(str, arguments)]


def run(*arguments, **how) -> subprocess.CompletedProcess:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    words = command(*arguments, **how)
    return subprocess.run(words, capture_output=True, text=True, timeout=300, env=environment)


def config(tmp_path, kind: str, **changes) -> Path:
    import yaml

    file = tmp_path / f"{kind}.yaml"
    file.write_text(yaml.safe_dump(TINY | {"model": {"preset": f"tiny-{kind}"}} | changes))
    return file


def stopped(monkeypatch, *arguments) -> str:
    """The one line with which `mas-fast train` ends."""
    monkeypatch.setattr(sys, "argv", ["mas-fast", "train", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    message = end.value.code
    assert message.startswith("mas-fast: ")
    assert "Traceback" not in message
    return message
