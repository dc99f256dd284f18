"""native.py: a library that is missing or broken is an error that names the fix."""

import sys

import pytest

from mas_fast.utils import native


def test_missing_engine_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mas_fast._engine", None)
    with pytest.raises(ImportError, match=r"not built.*pip install -e \."):
        native.engine()


def test_missing_torch_library_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(native, "TORCH_LIBRARY", tmp_path / "_torch.so")
    with pytest.raises(ImportError, match=r"MAS_FAST_TORCH=1 pip install -e \."):
        native.load_torch_library()


def test_broken_torch_library_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    broken = tmp_path / "_torch.so"
    broken.write_bytes(b"not a library")
    monkeypatch.setattr(native, "TORCH_LIBRARY", broken)
    with pytest.raises(ImportError, match=r"pip install --no-build-isolation -e \."):
        native.load_torch_library()


def test_unknown_library() -> None:
    with pytest.raises(
        ValueError, match="library: found '_cuda', expected one of .*_engine.*_torch"
    ):
        native.problem("_cuda")
