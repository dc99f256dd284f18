"""The files of this folder import each other by name, as when they are run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
