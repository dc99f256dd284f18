"""`mas-fast bench`: what is checked before the suite starts, and how it is started."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mas_fast.cli import benchmark

SUBJECTS = ["attention", "collapse", "cpu_attention", "cross_entropy", "decode", "first_layer"]
SUBJECTS += ["gpu_batch", "gpu_decode", "gpu_limits", "gpu_sampler"]
SUBJECTS += ["images", "onnx", "picture", "prepare", "requests", "rows", "sampler", "serve"]
SUBJECTS += ["speculation"]
SUBJECTS += ["tokenizers", "training", "vq"]


def test_every_subject_is_found() -> None:
    assert benchmark.subjects() == SUBJECTS


def test_a_subject_that_does_not_exist_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"found 'decoder', expected one of \['attention', .*'vq'\]"
    ):
        benchmark.run("decoder")


def test_without_a_checkout_the_fix_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(benchmark, "CHECKOUT", tmp_path)
    with pytest.raises(ImportError, match="found no benchmarks; .* clone the repository"):
        benchmark.run("decode")


def test_the_suite_is_started_in_the_checkout(tmp_path, monkeypatch) -> None:
    started = []

    def start(command, cwd):
        started.append((command, cwd))
        return SimpleNamespace(returncode=3)

    monkeypatch.setattr(subprocess, "run", start)
    monkeypatch.chdir(tmp_path)
    assert benchmark.run("decode") == benchmark.run("decode", Path("out.json")) == 3
    command = [sys.executable, "-m", "benchmarks", "decode"]
    expected = [command, [*command, "--json", str(tmp_path / "out.json")]]
    assert started == [(words, benchmark.CHECKOUT) for words in expected]
