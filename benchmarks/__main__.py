"""`python -m benchmarks SUBJECT [--json FILE] [--rehearse]`, in the checkout: runs a subject,
prints its tables and stores its result, and each of its matches as soon as it has been played."""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
from pathlib import Path

from benchmarks import SUBJECTS, results
from benchmarks.versus import Unavailable, measure


def run(subject: str, json_path: str | None = None, rehearse: bool = False) -> None:
    """Run a subject, print its tables and store its result.

    A goal that is missed is shown as missed and is no error; a contestant that broke is one, once
    all is stored.

    Args:
        subject: one of SUBJECTS.
        json_path: file of the result; by default benchmarks/results/<machine>.json.
        rehearse: take the subject's REHEARSAL, a tiny plan for a CPU.

    Raises:
        ValueError: if this machine cannot run the subject, or a contestant broke; gives the reason.
    """
    module = importlib.import_module(f"benchmarks.{subject}")
    plan, options = [module.REHEARSAL] if rehearse else [], {}
    if "measure" in inspect.signature(module.run).parameters:
        options["measure"] = results.keeping(subject, measure, json_path)
    try:
        record = module.run(*plan, **options)
    except Unavailable as error:
        raise ValueError(f"subject {subject!r} cannot run here: {error}") from error
    results.show(record)
    path = results.write(subject, record, json_path)
    print(f"written to {path}")
    if broken := record.get("broken"):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in broken.items())
        raise ValueError(f"subject {subject!r}: {len(broken)} broke: {reasons}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--json", help="default: benchmarks/results/<machine>.json")
    parser.add_argument("--rehearse", action="store_true", help="a tiny plan for a CPU")
    options = parser.parse_args()
    # `python -m` puts the checkout on the path, where its kernels/ shadows another package.
    checkout = Path(__file__).resolve().parents[1]
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != checkout]
    try:
        run(options.subject, options.json, options.rehearse)
    except (ValueError, ImportError, OSError) as error:
        sys.exit(f"benchmarks: {error}")
    except KeyboardInterrupt:  # `mas-fast bench` says so
        sys.exit(130)


if __name__ == "__main__":
    main()
