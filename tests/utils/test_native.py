"""native.py: a library that is missing or broken is an error that names the fix."""

import sys

import pytest

from built import needs_engine
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


@needs_engine
def test_the_engine_is_a_module_with_what_is_asked_of_it() -> None:
    assert native.engine().__name__ == "mas_fast._engine"
    assert native.problem("_engine") is None


def test_a_broken_engine_is_told_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str):
        raise ImportError("undefined symbol: x")

    monkeypatch.setattr(native.importlib, "import_module", broken)
    expected = (
        "the C++ engine (mas_fast._engine) does not load: undefined symbol: x. "
        "Build it on this machine: in a checkout of mas_fast run: pip install -e ."
    )
    with pytest.raises(ImportError) as error:
        native.engine()
    assert str(error.value) == expected
    assert native.problem("_engine") == expected


def test_a_package_that_the_engine_needs_is_named_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str):
        raise ModuleNotFoundError("No module named 'numpy'", name="numpy")

    monkeypatch.setattr(native.importlib, "import_module", without)
    assert native.problem("_engine") == "No module named 'numpy'"


def test_the_torch_library_needs_torch(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    library = tmp_path / "_torch.so"
    library.touch()
    monkeypatch.setattr(native, "TORCH_LIBRARY", library)
    monkeypatch.setitem(sys.modules, "torch", None)
    problem = native.problem("_torch")
    assert problem.startswith("the torch operators need torch: ")
    assert problem.endswith('. Run: pip install "torch>=2.11,<2.16"')
