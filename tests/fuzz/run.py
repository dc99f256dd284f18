#!/usr/bin/env python3
"""Feed a reader with files that are nearly right, in a process of its own, and see how it ends.

    tests/fuzz/run.py --reader arrow --minutes 20 --save crashes
    tests/fuzz/run.py --reader arrow --first 4711 --count 1       # one seed again

An input is a function of the reader's name and a number, so that a finding is known by its number.
ValueError, OSError, ImportError and MemoryError are answers. Everything else is a finding: other
exceptions, panics of Rust (which are no Exception), signals, and a read of more than SECONDS.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import runpy
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mutate import mutate

ANSWERS = (ValueError, OSError, ImportError, MemoryError)
SECONDS = 30  # of CPU time, for one input
MEMORY = 12 << 30  # of addresses
STATE = struct.Struct("<qqq")  # the number that is being read, how many were, how many refused
TABLE = Path(__file__).with_name("readers.py")


@dataclass
class Outcome:
    """executions: inputs read; refused: those with an answer that is an error. findings: number ->
    what happened."""

    executions: int = 0
    refused: int = 0
    findings: dict[int, str] = field(default_factory=dict)

    def __str__(self) -> str:
        kinds = Counter(text.partition(":")[0] for text in self.findings.values())
        found = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "no findings"
        return f"{self.executions} executions, {self.refused} refused, {found}"


def campaign(
    reader: str, seconds: float, first: int = 0, count: int | None = None, table: Path = TABLE
) -> Outcome:
    """Inputs `first`, `first` + 1, ... until the time or the count is over. A process that dies is
    started again behind the number that ended it."""
    outcome, end = Outcome(), time.monotonic() + seconds
    last = None if count is None else first + count
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        state, log = Path(folder) / "state", Path(folder) / "log"
        while (left := end - time.monotonic()) > 0 and (last is None or first < last):
            state.write_bytes(STATE.pack(first - 1, 0, 0))
            words = [sys.executable, __file__, "--child", folder, "--table", table]
            words += ["--reader", reader, "--first", first, "--seconds", left]
            words += [] if last is None else ["--count", last - first]
            with open(log, "wb") as errors:
                child = subprocess.run([*map(str, words)], stdout=errors, stderr=errors)
            number, done, refused = STATE.unpack(state.read_bytes())
            outcome.executions += done
            outcome.refused += refused
            if child.returncode > 0 or (child.returncode and number < first):  # our own fault
                raise RuntimeError(f"{reader}: {log.read_text(errors='replace')[-2000:]}")
            for line in (Path(folder) / "findings").read_text().splitlines():
                found, text = json.loads(line)
                outcome.findings[found] = text
            if child.returncode == 0:
                break
            ended = signal.Signals(-child.returncode)
            name = "hang" if ended == signal.SIGPROF else ended.name
            tail = log.read_text(errors="replace").strip()[-500:]
            outcome.findings[number] = f"{name}: {tail}"
            outcome.executions += 1
            first = number + 1
    return outcome


def files(seeds: Path, patterns: tuple[str, ...]) -> list[str]:
    found = {path for pattern in patterns for path in seeds.glob(pattern) if path.is_file()}
    return sorted(str(path.relative_to(seeds)) for path in found)


def write_input(folder: Path, whole: dict[str, bytes], names: list[str], key: str) -> None:
    """The files of the input `key`: one of `names`, or two, changed."""
    draw = random.Random(key)
    changed = dict(whole)
    for _ in range(draw.choice([1, 1, 1, 1, 2])):
        name = draw.choice(names)
        changed[name] = mutate(name, changed[name], draw)
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in changed.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def child(arguments: argparse.Namespace) -> None:
    reader = runpy.run_path(arguments.table)["READERS"][arguments.reader]
    work = Path(arguments.child)
    seeds, folder = work / "seeds", work / "input"
    if not seeds.exists():  # where they are read: a run may remember where its input was
        folder.mkdir()
        reader.make(folder)
        shutil.copytree(folder, seeds)
        reader.read(folder)  # whole files are not refused
    whole = {name: (seeds / name).read_bytes() for name in files(seeds, ("**/*",))}
    names = files(seeds, reader.files)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    end, done, refused = time.monotonic() + arguments.seconds, 0, 0
    number = arguments.first
    with open(work / "state", "r+b", buffering=0) as state, open(work / "findings", "w") as found:
        while time.monotonic() < end and done != arguments.count:
            os.pwrite(state.fileno(), STATE.pack(number, done, refused), 0)
            write_input(folder, whole, names, f"{arguments.reader}:{number}")
            reader.mend(folder)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                reader.read(folder)
            except ANSWERS:
                refused += 1
            except BaseException as error:  # a panic is no Exception
                where = traceback.extract_tb(error.__traceback__)
                ours = [f for f in where if f"{os.sep}mas_fast{os.sep}" in f.filename] or where[-1:]
                place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
                text = f"{type(error).__name__}: {str(error)[:300]!r} at {place}"
                print(json.dumps([number, text]), file=found, flush=True)
            signal.setitimer(signal.ITIMER_PROF, 0)
            number, done = number + 1, done + 1
        os.pwrite(state.fileno(), STATE.pack(number - 1, done, refused), 0)


def save(reader: str, numbers: list[int], folder: Path) -> None:
    """The inputs with these numbers, each in a folder of its own."""
    made = runpy.run_path(str(TABLE))["READERS"][reader]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as seeds:
        made.make(Path(seeds))
        whole = {name: (Path(seeds) / name).read_bytes() for name in files(Path(seeds), ("**/*",))}
        names = files(Path(seeds), made.files)
    for number in numbers:
        place = folder / f"{reader}-{number}"
        write_input(place, whole, names, f"{reader}:{number}")
        made.mend(place)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reader", action="append", help="again and again; by default all")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each reader")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int)
    parser.add_argument("--save", type=Path, help="a folder for the inputs that found something")
    parser.add_argument("--table", default=str(TABLE), help=argparse.SUPPRESS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        arguments.reader = arguments.reader[0]
        child(arguments)
        return 0
    known = list(runpy.run_path(arguments.table)["READERS"])
    bad = 0
    for reader in arguments.reader or known:
        if reader not in known:
            parser.error(f"--reader: found {reader!r}, expected one of {known}")
        table = Path(arguments.table)
        outcome = campaign(reader, 60 * arguments.minutes, arguments.first, arguments.count, table)
        print(f"{reader}: {outcome}", flush=True)
        for number, text in outcome.findings.items():
            print(f"  {number}: {text}", flush=True)
        if arguments.save and outcome.findings:
            save(reader, list(outcome.findings), arguments.save)
        bad += len(outcome.findings)
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
