"""`mas-fast bench SUBJECT`: runs one subject of the suite in benchmarks/ and writes its result.

The suite lives beside the package, in the checkout, and not in a wheel: it times the peers too, and
its results belong to the sources that gave them.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path

from mas_fast.utils.outputs import check_outputs

SUBJECTS = (
    *("attention", "collapse", "cpu_attention", "cross_entropy", "decode", "first_layer"),
    *("images", "onnx", "prepare", "sampler", "tokenizers", "training", "vq"),
)


def suite() -> None:
    """Make the folder benchmarks/ of this checkout importable as the package `benchmarks`,
    without putting the checkout on sys.path, where its kernels/ would shadow another package.
    ImportError where there is none."""
    if "benchmarks" in sys.modules:
        return
    folder = Path(__file__).resolve().parent.parent / "benchmarks"
    if not (folder / "__init__.py").is_file():
        raise ImportError(
            f"{folder}: found no benchmarks; they come with the sources, not with a wheel: "
            'clone the repository and run pip install -e ".[bench]" there'
        )
    spec = importlib.util.spec_from_file_location(
        "benchmarks", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmarks"] = module
    spec.loader.exec_module(module)


def run(subject: str, json_path: str | os.PathLike | None = None) -> int:
    """Run a subject, print its tables and store its result in `json_path`, by default
    benchmarks/results/<machine>.json, beside the other subjects there. Returns 0: a goal that is
    missed is shown as missed and is no error. ValueError for an unknown subject, and for one that
    this machine cannot run, with the reason."""
    if subject not in SUBJECTS:
        raise ValueError(f"subject: found {subject!r}, expected one of {list(SUBJECTS)}")
    if json_path is not None:
        check_outputs({"--json": json_path})
    suite()
    results = importlib.import_module("benchmarks.results")
    unavailable = importlib.import_module("benchmarks.versus").Unavailable
    try:
        record = importlib.import_module(f"benchmarks.{subject}").run()
    except unavailable as error:
        raise ValueError(f"subject {subject!r} cannot run here: {error}") from error
    results.show(record)
    path = results.write(subject, record, json_path)
    print(f"written to {path}")
    return 0
