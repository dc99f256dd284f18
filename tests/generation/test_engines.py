"""engines.py: what the table says is what callers may ask for, and read in errors and in help."""

import dataclasses

import pytest
from typer.testing import CliRunner

from mas_fast.cli import app
from mas_fast.generation import engines
from mas_fast.generation.engines import ENGINES, check_engine, dtype_names, find_engine, make_engine
from mas_fast.pipelines.torch_pipeline import load
from mas_fast.utils import native


def test_the_first_engine_that_runs_is_taken(monkeypatch) -> None:
    assert find_engine("cuda") == "eager"
    built = native.problem("_engine") is None
    assert find_engine("cpu") == ("cpp" if built else "eager")
    monkeypatch.setattr(native, "problem", lambda library: f"{library} is not built")
    assert find_engine("cpu") == "eager"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "tpu"}, r"engine: found 'tpu', expected one of \['cpp', 'eager'\]"),
        ({"name": "cpp", "device": "cuda"}, r"device: found 'cuda', expected one of \['cpu'\] for"),
        ({"name": "eager", "dtype": "int8"}, r"dtype: found 'int8', .* for the engine 'eager'"),
        ({"name": "eager", "kv_dtype": "int8"}, r"kv_dtype: found 'int8', expected one of \[\]"),
    ],
)
def test_errors_are_made_of_the_table(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        check_engine(**options)


def test_a_bundle_is_computed_in_the_dtype_that_is_asked_for(tiny_bundle) -> None:
    engine = make_engine("eager", tiny_bundle, dtype="bf16")
    assert str(engine.model.dtype) == "torch.bfloat16"
    with pytest.raises(ValueError, match="dtype: found 'fp32', expected None: the engine takes"):
        make_engine("eager", engine.model, dtype="fp32")


def test_another_engine_is_a_row(tiny_bundle, monkeypatch) -> None:
    """It is made by load, named in errors, and in the help of the command."""
    asked = []

    def make(model, **options):
        asked.append(options)
        return ENGINES["eager"].make(model, **options)

    row = dataclasses.replace(ENGINES["eager"], make=make, dtypes=("fp32", "fp8"))
    monkeypatch.setitem(engines.ENGINES, "graphs", row)
    assert load(tiny_bundle, engine="graphs", device="cpu").generate("a red house").images
    assert asked[0]["dtype"] == "fp32"
    with pytest.raises(ValueError, match=r"expected one of \['cpp', 'eager', 'graphs'\]"):
        load(tiny_bundle, engine="onnx", device="cpu")
    assert (
        dtype_names()
        == "fp32; with cpp also bf16, int8, int4; with eager also bf16; with graphs also fp8"
    )


def test_help_names_the_engines() -> None:
    output = CliRunner().invoke(app, ["generate", "--help"]).output
    text = " ".join(output.replace("│", " ").split())  # however its columns are wrapped
    assert "cpp or eager" in text
    assert "fp32, bf16; with cpp also int8" in text
