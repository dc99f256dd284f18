"""`python -m benchmarks SUBJECT [--json FILE]`, in the checkout: runs a subject, prints its tables
and stores its result."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from benchmarks import SUBJECTS, results
from benchmarks.versus import Unavailable


def run(subject: str, json_path: str | None = None) -> None:
    """Run a subject, print its tables and store its result.

    A goal that is missed is shown as missed and is no error.

    Args:
        subject: one of SUBJECTS.
        json_path: file of the result; by default benchmarks/results/<machine>.json.

    Raises:
        ValueError: if this machine cannot run the subject; gives the reason.
    """
    try:
        record = importlib.import_module(f"benchmarks.{subject}").run()
    except Unavailable as error:
        raise ValueError(f"subject {subject!r} cannot run here: {error}") from error
    results.show(record)
    path = results.write(subject, record, json_path)
    print(f"written to {path}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--json", help="default: benchmarks/results/<machine>.json")
    options = parser.parse_args()
    # `python -m` puts the checkout on the path, where its kernels/ shadows another package.
    checkout = Path(__file__).resolve().parents[1]
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != checkout]
    try:
        run(options.subject, options.json)
    except (ValueError, ImportError, OSError) as error:
        sys.exit(f"benchmarks: {error}")
    except KeyboardInterrupt:  # `mas-fast bench` says so
        sys.exit(130)


if __name__ == "__main__":
    main()
