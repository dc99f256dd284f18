"""cli/runtime.py: the options of one runtime, and what is said without torch."""

import sys

import pytest
import torch

from mas_fast.cli.runtime import check_runtime, load_torch


def test_options_of_the_other_runtime_are_refused() -> None:
    check_runtime("torch", torch={"engine": "cpp"}, onnx={"provider": None})
    check_runtime("onnx", torch={"engine": None}, onnx={"provider": ["cpu"]})
    with pytest.raises(ValueError, match="--runtime: found 'tvm', expected one of"):
        check_runtime("tvm")
    with pytest.raises(ValueError, match="--provider: found .'cpu'. with --runtime torch, expect"):
        check_runtime("torch", onnx={"provider": ["cpu"]})


def test_options_are_named_as_they_are_typed() -> None:
    with pytest.raises(ValueError) as error:
        check_runtime("onnx", torch={"kv_dtype": "bf16"})
    assert str(error.value) == (
        "--kv-dtype: found 'bf16' with --runtime onnx, expected it with --runtime torch only"
    )


def test_torch_gets_the_threads_that_are_asked_for() -> None:
    threads = torch.get_num_threads()
    try:
        load_torch(1)
        assert torch.get_num_threads() == 1
        torch.set_num_threads(2)
        load_torch(0)  # as it was
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    with pytest.raises(ValueError, match="^--threads: found 1000000"):
        load_torch(10**6)


def test_without_torch_the_other_runtime_does(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="torch.*; without it: --runtime onnx$"):
        load_torch(1)
