"""Names that packages hand on: all are there, and none is imported before it is asked for."""

import importlib
import subprocess
import sys

import pytest

import mas_fast


@pytest.mark.parametrize("name", ["", ".bundle", ".generation", ".ops", ".ops.reference", ".scene"])
def test_every_name_is_there(name: str) -> None:
    package = importlib.import_module(f"mas_fast{name}")
    assert package.__all__ == sorted(package.__all__)
    for each in package.__all__:
        assert getattr(package, each) is not None
        assert each in dir(package)
    with pytest.raises(AttributeError, match=f"'mas_fast{name}' has no attribute 'nothing'"):
        _ = package.nothing


def test_modules_are_handed_on_by_their_short_names() -> None:
    from mas_fast import deploy, gpt, model, reference

    assert gpt is importlib.import_module("mas_fast.models.gpt")
    assert model.load is mas_fast.load
    assert model.generate is mas_fast.generate
    assert reference.sample is not mas_fast.ops.sample
    assert deploy.Pipeline is importlib.import_module("mas_fast.pipelines.onnx_pipeline").Pipeline


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    packages = ", ".join(f"mas_fast.{name}" for name in ("bundle", "generation", "ops", "scene"))
    code = f"import sys, {packages}; print(*({{'numpy', 'torch'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
