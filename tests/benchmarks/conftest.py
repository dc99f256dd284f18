"""The package `benchmarks` by its place: nobody installs it, and with the checkout on sys.path its
kernels/ would shadow another package."""

import importlib.util
import sys
from pathlib import Path

if "benchmarks" not in sys.modules:
    folder = Path(__file__).resolve().parents[2] / "benchmarks"
    spec = importlib.util.spec_from_file_location(
        "benchmarks", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    sys.modules["benchmarks"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["benchmarks"])
