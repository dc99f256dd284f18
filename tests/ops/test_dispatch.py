"""dispatch.py: which implementation runs, and what is said where one cannot."""

import pytest
import torch

from mas_fast.ops import dispatch
from mas_fast.ops.dispatch import (
    LIBRARY_DEVICES,
    PREFERENCE,
    check_products,
    check_triton,
    chosen,
    default_impl,
    require,
)

X = torch.zeros(1)
META = torch.zeros(1, device="meta")


@pytest.mark.parametrize("op", PREFERENCE)
def test_the_last_implementation_needs_neither_library_nor_triton(op, monkeypatch) -> None:
    monkeypatch.setattr(dispatch, "_installed", lambda name: False)

    def absent(device, op):
        raise ImportError("not built")

    monkeypatch.setattr(dispatch, "loaded", absent)
    for device, impls in PREFERENCE[op].items():
        assert impls[-1] not in (*LIBRARY_DEVICES, "triton")
        assert default_impl(device, op) == impls[-1]


@pytest.mark.parametrize("op", PREFERENCE)
def test_the_first_that_can_run_is_taken(op, monkeypatch) -> None:
    for device, impls in PREFERENCE[op].items():
        for wanted in impls:
            able = impls[impls.index(wanted) :]
            monkeypatch.setattr(dispatch, "_available", lambda _, impl, able=able: impl in able)
            assert default_impl(device, op) == wanted


def test_other_devices_get_what_always_runs(monkeypatch) -> None:
    monkeypatch.setattr(dispatch, "_available", lambda *_: True)
    found = {op: default_impl("meta", op) for op in PREFERENCE}
    assert found == {
        "sample": "reference",
        "sample_step": "reference",
        "vq_nearest": "reference",
        "vq_statistics": "reference",
        "stream_cross_entropy": "chunked",
        "attention": "sdpa",
        "label_conv": "bag",
    }


def test_a_library_without_the_kernel_is_passed_over(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(dispatch, "loaded", lambda *kernel: asked.append(kernel))  # None: has none
    assert default_impl("cpu", "vq_nearest") == "reference"
    assert default_impl("cuda", "sample") == "reference"
    assert asked == [("cpu", "vq_nearest"), ("cuda", "sample")]


def test_what_is_asked_for_is_taken_or_refused(monkeypatch) -> None:
    allowed = ("triton", "cpp", "reference")
    assert chosen("vq_nearest", "reference", allowed, META) == "reference"
    assert chosen("vq_nearest", "cpp", allowed, X) == "cpp"
    monkeypatch.setattr(dispatch, "default_impl", lambda device, op: "reference")
    assert chosen("vq_nearest", None, allowed, X) == "reference"
    with pytest.raises(ValueError, match="^impl: found 'numpy', expected one of .*'triton', 'cpp'"):
        chosen("vq_nearest", "numpy", allowed, X)
    with pytest.raises(ValueError) as error:
        chosen("vq_nearest", "cpp", allowed, META, "logits")
    assert str(error.value) == "logits: found it on meta, expected cpu for impl='cpp'"


def test_triton_needs_itself_and_a_gpu_or_its_interpreter(monkeypatch) -> None:
    monkeypatch.setattr(dispatch, "_installed", lambda name: False)
    with pytest.raises(ImportError) as error:
        check_triton("x", X)
    assert str(error.value) == "impl='triton' needs Triton. Run: pip install triton"
    monkeypatch.setattr(dispatch, "_installed", lambda name: name == "triton")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError) as error:
        chosen("vq_nearest", "triton", ("triton",), X, "codebook")
    assert str(error.value) == (
        "codebook: found it on cpu, expected cuda for impl='triton'; on a CPU its kernels run "
        "under TRITON_INTERPRET=1 alone"
    )
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert chosen("vq_nearest", "triton", ("triton",), X) == "triton"


def test_the_interpreter_multiplies_no_bf16(monkeypatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    check_products("hidden", torch.bfloat16)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    check_products("hidden", torch.float16)
    with pytest.raises(ValueError) as error:
        check_products("hidden", torch.bfloat16)
    assert str(error.value) == (
        "hidden: found torch.bfloat16, expected float32 or float16 for impl='triton' under "
        "TRITON_INTERPRET=1, which multiplies bfloat16 wrongly; unset it, or choose another impl"
    )


def test_a_library_older_than_the_code_is_told_with_the_fix(monkeypatch) -> None:
    monkeypatch.setattr(dispatch, "load_library", lambda: None)
    monkeypatch.setattr(dispatch, "_has_kernel", lambda device, op: op == "sample")
    require("sample")
    with pytest.raises(ImportError) as error:
        require("label_conv")
    assert str(error.value) == (
        "the torch operators of mas_fast are older than its Python code. "
        "In a checkout of mas_fast run: pip install --no-build-isolation -e ."
    )


@pytest.mark.parametrize(
    ("triton", "numpy", "runs"),
    [("3.6.0", "2.4.6", False), ("3.6.0", "2.3.5", True), ("3.7.0", "2.5.0rc1", True)],
)
def test_the_interpreter_of_an_old_triton_needs_an_old_numpy(
    monkeypatch, triton, numpy, runs
) -> None:
    """Else it fails within a kernel: only 0-dimensional arrays can be converted."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(dispatch, "_installed", lambda name: True)
    versions = {"triton": triton, "numpy": numpy}
    monkeypatch.setattr(dispatch.importlib.metadata, "version", versions.get)
    if runs:
        check_triton("x", X)
        return
    with pytest.raises(ImportError, match='found Triton 3.6 with NumPy 2.4, .*"numpy<2.4"'):
        check_triton("x", X)
