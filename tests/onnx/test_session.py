"""session.py: a file on the providers that were asked for."""

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

from mas_fast.onnx.session import PROVIDERS, Session, find_providers  # noqa: E402

CPU, CUDA, TENSORRT = PROVIDERS["cpu"], PROVIDERS["cuda"], PROVIDERS["tensorrt"]


@pytest.fixture
def file(tmp_path):
    """y = a - 2 b, of float32 [batch, 2]."""
    from onnx import TensorProto, helper

    def value(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2])

    nodes = [helper.make_node("Add", ["b", "b"], ["c"]), helper.make_node("Sub", ["a", "c"], ["y"])]
    graph = helper.make_graph(nodes, "g", [value("a"), value("b")], [value("y")])
    opsets = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "g.onnx")
    return tmp_path / "g.onnx"


@pytest.fixture
def gpu(monkeypatch):
    """onnxruntime says that it has GPUs; when a session is made, they are left out."""
    names = [TENSORRT, CUDA, "AzureExecutionProvider", CPU]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)


@pytest.mark.parametrize("providers", [None, "cpu", ["cpu"], [CPU]])
def test_inputs_are_taken_in_order(file, providers) -> None:
    session = Session(file, providers, threads=1)
    assert session.provider == CPU
    a, b = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)
    assert np.array_equal(session.run(a, b), a - 2 * b)
    assert np.array_equal(session.run(b[::-1, ::-1], a), b[::-1, ::-1] - 2 * a)  # with strides


def test_providers_are_found_in_one_order(gpu) -> None:
    assert find_providers(None) == [TENSORRT, CUDA, CPU]
    assert find_providers(["cpu", CUDA]) == [CUDA, CPU]
    assert find_providers("tensorrt") == [TENSORRT]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([], r"providers: found none, expected some of \['tensorrt', 'cuda', 'cpu'\]"),
        ("rocm", "providers: found 'rocm', expected some of"),
        (["cpu", 7], "providers: found 7, expected some of"),
        (["AzureExecutionProvider"], "found 'AzureExecutionProvider', expected some of"),
    ],
)
def test_unknown_providers_are_named(asked, message) -> None:
    with pytest.raises(ValueError, match=message):
        find_providers(asked)


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="this one has them")
@pytest.mark.parametrize("asked", ["cuda", "tensorrt"])
def test_providers_that_are_not_there_are_named(file, asked) -> None:
    message = f"found '{asked}', which the installed onnxruntime does not offer.*onnx-gpu"
    with pytest.raises(ValueError, match=message):
        Session(file, [asked, "cpu"])


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="it would start")
def test_a_provider_that_does_not_start_is_an_error_where_it_was_asked_for(gpu, file) -> None:
    message = f"runs it on .'{CPU}'., expected .*{CUDA}.* as asked: {CUDA} did not start"
    with pytest.raises(ValueError, match=message):
        Session(file, ["cuda", "cpu"])
    assert Session(file).provider == CPU  # nothing was asked for


def test_a_provider_that_fails_is_left_out_where_none_was_asked_for(
    gpu, file, monkeypatch, tmp_path
) -> None:
    """As CUDA without a driver: it raises. The options are those of each provider."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    make, calls = onnxruntime.InferenceSession, []

    def failing(path, options, *, providers, enable_fallback):
        calls.append(providers)
        if providers[0][0] != CPU:
            raise RuntimeError("CUDA failure 35")
        return make(path, options, providers=providers, enable_fallback=enable_fallback)

    monkeypatch.setattr(onnxruntime, "InferenceSession", failing)
    assert Session(file).provider == CPU
    assert [[name for name, _ in call] for call in calls] == [
        [TENSORRT, CUDA, CPU],
        [CUDA, CPU],
        [CPU],
    ]
    folder = str(tmp_path / "mas_fast" / "tensorrt")
    expected = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder}
    assert [how for _, how in calls[0]] == [expected, {"use_tf32": "0"}, {}]
    with pytest.raises(ValueError, match="g.onnx: found no ONNX graph that .*: CUDA failure 35"):
        Session(file, ["cuda", "cpu"])


def test_broken_files_are_named(file) -> None:
    content = file.read_bytes()
    for broken in (b"", b"no graph", content[: len(content) // 2], content[:-9]):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match="g.onnx: found no ONNX graph that onnxruntime opens"):
            Session(file)
    with pytest.raises(ValueError, match="threads: found -1, expected an integer >= 0"):
        Session(file, threads=-1)
