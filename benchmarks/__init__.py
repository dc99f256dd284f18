"""The benchmark suite: every case of ours beside its named peers, in one run. See README.md."""

import os
from pathlib import Path

SUBJECTS = sorted(f.stem.removeprefix("test_") for f in Path(__file__).parent.glob("test_*.py"))
# The real data beside the checkout.
REAL_DATA = Path(
    os.environ.get("MAS_FAST_REAL_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)
