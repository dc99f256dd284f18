#!/usr/bin/env python3
"""The same readers under atheris, which looks for inputs that reach new lines of Python.

    pip install atheris
    tests/fuzz/atheris_readers.py --reader arrow -max_total_time=600 corpus/

An input is the number of a file, one byte, and what that file holds; the reader's other files are
whole. What was found stays in the folder of the corpus; all other options are libFuzzer's.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

import atheris
from mutate import mutate
from readers import READERS
from run import ANSWERS, files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reader", choices=list(READERS), required=True)
    arguments, rest = parser.parse_known_args()
    reader = READERS[arguments.reader]
    folder = Path(tempfile.mkdtemp(prefix="atheris-"))
    with atheris.instrument_imports(include=["mas_fast"]):  # readers import what they read with
        reader.make(folder)
        reader.read(folder)
    whole = {name: (folder / name).read_bytes() for name in files(folder, ("**/*",))}
    names = files(folder, reader.files)

    def change(data: bytes, size: int, seed: int) -> bytes:
        draw = random.Random(seed)
        number = draw.randrange(len(names)) if not data or draw.random() < 0.1 else data[0]
        name = names[number % len(names)]
        content = data[1:] if data and number == data[0] else whole[name]
        return (bytes([number % 256]) + mutate(name, content, draw))[:size]

    def read(data: bytes) -> None:
        name = names[(data[0] if data else 0) % len(names)]
        shutil.rmtree(folder)
        for other, content in whole.items():
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
            (folder / other).write_bytes(data[1:] if other == name else content)
        reader.mend(folder)
        try:
            reader.read(folder)
        except ANSWERS:
            pass

    for corpus in (Path(word) for word in rest if not word.startswith("-")):
        corpus.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(names[:256]):
            (corpus / f"whole-{number}").write_bytes(bytes([number]) + whole[name])
    words = [sys.argv[0], "-rss_limit_mb=8192", "-timeout=60", "-max_len=1000000", *rest]
    atheris.Setup(words, read, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
