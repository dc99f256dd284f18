"""No file, however broken, ends a reader by anything but ValueError, OSError, ImportError or
MemoryError: for a second each, by seed; `run.py` goes on for as long as it is told to."""

import random
from pathlib import Path

import pytest
from mutate import FORMATS, mutate
from readers import READERS
from run import campaign

NEEDS = {"arrow": "pyarrow", "arrow_layout": "pyarrow", "parquet": "pyarrow", "onnx": "onnx"}


@pytest.mark.parametrize("name", READERS)
def test_whatever_is_in_a_file(name):
    pytest.importorskip(NEEDS.get(name, "numpy"))
    outcome = campaign(name, seconds=1)
    assert not outcome.findings
    assert outcome.executions
    assert outcome.refused <= outcome.executions


TABLE = """
import os, signal
from readers import Reader

class Panic(BaseException):
    pass

def read(folder):
    size = (folder / "a.txt").stat().st_size
    if size == 3:
        return
    if size % 3 == 0:
        raise ValueError("an answer")
    if size % 3 == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    raise Panic if size % 2 else KeyError("x")

READERS = {"bad": Reader(lambda folder: (folder / "a.txt").write_text("abc"), read)}
"""


def test_signals_panics_and_exceptions_are_seen(tmp_path):
    (tmp_path / "table.py").write_text(TABLE)
    outcome = campaign("bad", seconds=600, count=24, table=tmp_path / "table.py")
    assert outcome.executions == 24
    assert 0 < outcome.refused < 24
    kinds = {text.partition(":")[0] for text in outcome.findings.values()}
    assert kinds == {"SIGSEGV", "Panic", "KeyError"}
    for number, text in outcome.findings.items():  # each is known by its number
        again = campaign("bad", seconds=600, first=number, count=1, table=tmp_path / "table.py")
        assert again.findings == {number: text}
        break


@pytest.mark.parametrize("suffix", [*FORMATS, "txt"])
def test_a_change_is_a_function_of_its_seed(suffix, tmp_path):
    content = (Path(__file__).with_name("readers.py")).read_bytes()[:2000]
    name = f"a.{suffix}"
    found = [mutate(name, content, random.Random(seed)) for seed in range(30)]
    assert found == [mutate(name, content, random.Random(seed)) for seed in range(30)]
    assert len(set(found)) > 10
    assert all(mutate(name, b"", random.Random(seed)) is not None for seed in range(30))
