"""A run of `mas-fast train` that SIGKILL ends between two checkpoints, at any speed."""

import os
import signal
import subprocess
import sys

SCRIPT = """
import os, signal
from mas_fast.cli import main
from mas_fast.training.checkpoints import Checkpoints

save, saved = Checkpoints.save, []

def dying(*arguments):
    if saved:  # what was learned since the first checkpoint is lost
        os.kill(os.getpid(), signal.SIGKILL)
    save(*arguments)
    saved.append(True)

Checkpoints.save = dying
main()
"""


def train_killed(*arguments) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "train", *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
