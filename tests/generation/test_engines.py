"""engines.py: what the table says is what callers may ask for, and read in errors and in help."""

import dataclasses
import importlib.util
import os

import pytest
import torch
from typer.testing import CliRunner

from mas_fast.cli import app
from mas_fast.generation import engines
from mas_fast.generation.engines import ENGINES, check_engine, dtype_names, find_engine, make_engine
from mas_fast.pipelines.torch_pipeline import load
from mas_fast.utils import native


def test_the_first_engine_that_runs_is_taken(monkeypatch) -> None:
    for kernels, expected in ((True, "graph"), (False, "eager")):
        row = dataclasses.replace(ENGINES["graph"], here=lambda kernels=kernels: kernels)
        monkeypatch.setitem(engines.ENGINES, "graph", row)
        assert find_engine("cuda") == expected
    built = native.problem("_engine") is None
    assert find_engine("cpu") == ("cpp" if built else "eager")
    monkeypatch.setattr(native, "problem", lambda library: f"{library} is not built")
    assert find_engine("cpu") == "eager"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "tpu"}, r"engine: found 'tpu', expected one of \['cpp', 'graph', 'eager'\]"),
        ({"name": "cpp", "device": "cuda"}, r"device: found 'cuda', expected one of \['cpu'\] for"),
        (
            {"name": "graph", "device": "cpu"},
            r"device: found 'cpu', expected one of \['cuda'\] for",
        ),
        ({"name": "eager", "dtype": "int8"}, r"dtype: found 'int8', .* for the engine 'eager'"),
        ({"name": "eager", "kv_dtype": "int8"}, r"kv_dtype: found 'int8', expected one of \[\]"),
    ],
)
def test_errors_are_made_of_the_table(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        check_engine(**options)


def test_the_engine_of_gpus_needs_triton_and_cuda_code(monkeypatch) -> None:
    here = ENGINES["graph"].here
    monkeypatch.setattr("mas_fast.ops.dispatch.default_impl", lambda device, op: "cuda")
    assert here() == (importlib.util.find_spec("triton") is not None)
    monkeypatch.setattr("mas_fast.ops.dispatch.default_impl", lambda device, op: "reference")
    assert not here()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not here()
    with pytest.raises(ImportError, match="needs Triton. Run: pip install triton"):
        make_engine("graph", "a bundle")


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="it runs on a CPU then")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_engine_of_gpus_says_that_it_needs_one(tiny_bundle) -> None:
    pytest.importorskip("triton")
    with pytest.raises(ValueError, match="device: found cpu, expected a CUDA device for"):
        make_engine("graph", tiny_bundle, dtype="bf16")


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
    monkeypatch.setitem(engines.ENGINES, "other", row)
    assert load(tiny_bundle, engine="other", device="cpu").generate("a red house").images
    assert asked[0]["dtype"] == "fp32"
    with pytest.raises(ValueError, match=r"expected one of \['cpp', 'graph', 'eager', 'other'\]"):
        load(tiny_bundle, engine="onnx", device="cpu")
    assert (
        dtype_names()
        == "fp32; with cpp also bf16, int8, int4; with graph also bf16, fp16, int8, fp8, int4; "
        "with eager also bf16; with other also fp8"
    )


def test_help_names_the_engines() -> None:
    output = CliRunner().invoke(app, ["generate", "--help"]).output
    text = " ".join(output.replace("│", " ").split())  # however its columns are wrapped
    assert "cpp or graph or eager" in text
    assert "fp32, bf16; with cpp also int8" in text
