"""quantize.py and what the export makes of it: decoders in int8."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mas_fast import cli
from mas_fast.bundle import load_vq
from mas_fast.onnx import export
from mas_fast.onnx.codec import OnnxCodec
from mas_fast.onnx.export import export_onnx
from mas_fast.onnx.files import file_name, read_metadata
from mas_fast.onnx.parity import compare_drawn
from mas_fast.onnx.quantize import Drawn, quantize
from mas_fast.pipelines.calibration import draw

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

INT8, FP32 = (file_name("vq_img", "decoder", dtype) for dtype in ("int8", "fp32"))
SCENES_INT8, SCENES_FP32 = (file_name("vq_seg", "decoder", dtype) for dtype in ("int8", "fp32"))


@pytest.fixture(scope="module")
def drawn(faint_bundle) -> dict[str, Drawn]:
    return draw(faint_bundle)


@pytest.fixture(scope="module")
def pictures(drawn) -> Drawn:
    return drawn["vq_img"]


def without(bundle, folder, *models):
    """A copy of a bundle that has these models no more."""
    shutil.copytree(bundle, folder)
    config = json.loads((folder / "config.json").read_text())
    for model in models:
        del config[model]
        (folder / f"{model}.safetensors").unlink()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


# ---------------------------------------------------------------------- what is written


def test_pictures_in_int8_are_measured(deployed_int8, pictures):
    folder = deployed_int8 / "onnx"
    assert sorted(file.name for file in folder.glob("*int8*")) == [INT8, SCENES_INT8]
    found, exact = (read_metadata(folder / name) for name in (INT8, FP32))
    found.check(INT8, dtype="int8", config=exact.config, bundle=exact.bundle)
    report = json.loads((folder / "parity.json").read_text())
    (row,) = [row for row in report["rows"] if row["file"] == INT8]
    assert found.psnr == row["psnr"] >= report["limits"]["int8"]["psnr"] == 40
    ours, theirs = (onnxruntime.InferenceSession(folder / name) for name in (INT8, FP32))
    decoded = [
        [run.run(None, {"codes": codes[None]})[0] for codes in pictures.held_out]
        for run in (ours, theirs)
    ]
    error = np.square(np.subtract(*decoded, dtype=np.float64)).mean()
    assert found.psnr == pytest.approx(10 * np.log10(4 / error), abs=1e-3)


def test_scenes_in_int8_are_measured(deployed_int8, drawn):
    """By what a codec makes of the logits: labels and edges."""
    found = read_metadata(deployed_int8 / "onnx" / SCENES_INT8)
    ours, theirs = (
        OnnxCodec(deployed_int8, "vq_seg", dtype=dtype).decode(drawn["vq_seg"].held_out)
        for dtype in ("int8", "fp32")
    )
    labels = np.mean([a.labels == b.labels for a, b in zip(ours, theirs, strict=True)])
    edges = np.mean([a.edges == b.edges for a, b in zip(ours, theirs, strict=True)])
    assert found.agreement == pytest.approx(min(labels, edges), abs=1e-9)
    assert len(np.unique([scene.labels for scene in ours])) > 1
    report = json.loads((deployed_int8 / "onnx" / "parity.json").read_text())
    assert found.agreement >= report["limits"]["int8"]["agreement"] == 0.99


@pytest.mark.parametrize("file", [INT8, SCENES_INT8])
def test_convolutions_are_int8_but_the_last(deployed_int8, file):
    graph = onnx.load(deployed_int8 / "onnx" / file).graph
    weights = {value.name: value for value in graph.initializer}
    scales = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) > 3
    for node in convolutions[:-1]:
        given, weight = (scales[name] for name in node.input[:2])
        assert weights[weight.input[0]].data_type == onnx.TensorProto.INT8
        assert weights[weight.input[1]].dims == weights[weight.input[0]].dims[:1]  # each channel's
        assert weights[given.input[2]].data_type == onnx.TensorProto.UINT8
    assert weights[convolutions[-1].input[1]].data_type == onnx.TensorProto.FLOAT


def test_the_graph_is_plain(deployed_int8):
    """As those in fp32: no operator but ONNX's own, nothing of this machine, a batch of none."""
    file = deployed_int8 / "onnx" / INT8
    onnx.checker.check_model(file, full_check=True)
    model = onnx.load(file)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", export.OPSET)]
    assert {node.domain for node in model.graph.node} == {""}
    assert model.producer_name == "mas_fast"
    (out,) = onnxruntime.InferenceSession(file).run(None, {"codes": np.zeros((0, 4, 4), np.int64)})
    assert out.shape == (0, 3, 16, 16)


def test_the_same_bundle_gives_the_same_bytes(deployed_int8, faint_bundle, tmp_path):
    code = (
        "from mas_fast.onnx.export import export_onnx\n"
        "from mas_fast.pipelines.calibration import draw\n"
        f"export_onnx({str(faint_bundle)!r}, {str(tmp_path)!r}, dtypes=['int8'], draw=draw)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    files = [folder / "onnx" / INT8 for folder in (deployed_int8, tmp_path)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_pictures_are_of_the_tokenizers_grid(pictures, faint_bundle):
    for codes in pictures:
        assert codes.dtype == np.int64
        assert codes.shape == (16, 4, 4)
        assert len(np.unique(codes.reshape(16, -1), axis=0)) > 8
    again = draw(faint_bundle)["vq_img"]
    assert all(np.array_equal(*both) for both in zip(pictures, again, strict=True))
    assert not np.array_equal(*pictures)


def test_a_function_alone(deployed_int8, pictures, tmp_path, faint_bundle):
    """quantize takes any fp32 graph of a decoder, and codes."""
    source = deployed_int8 / "onnx" / FP32
    quantize(source, tmp_path / "a.onnx", pictures.calibration)
    row = compare_drawn(tmp_path / "a.onnx", read_metadata(source), source, pictures.calibration)
    assert row.file == "a.onnx"
    assert row.psnr > 40
    run = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    codes = pictures.held_out[:2]
    (found,) = run.run(None, {"codes": codes})
    with torch.no_grad():
        expected = load_vq(faint_bundle, "vq_img").decode(torch.from_numpy(codes))
    assert np.square(found - expected.numpy()).mean() < 1e-3


# ---------------------------------------------------------------------- what is refused


def test_under_the_limit_nothing_is_replaced(
    deployed_int8, faint_bundle, drawn, pictures, tmp_path
):
    """Ranges of one flat picture do not hold the others."""
    flat = pictures._replace(calibration=np.full((1, 4, 4), pictures.calibration[0, 0, 0]))
    codes = drawn | {"vq_img": flat}
    out = shutil.copytree(deployed_int8, tmp_path / "out")
    files = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    message = f"{INT8}: batch 1: PSNR: found [0-9.]+, expected >= 40.0 dB"
    with pytest.raises(ValueError, match=message):
        export_onnx(faint_bundle, out, dtypes=["int8"], draw=lambda _: codes)
    assert files == {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}


def test_what_int8_needs(faint_bundle, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="draw: found None with the dtype int8, expected what"):
        export_onnx(faint_bundle, out, dtypes=["int8"])
    options = {"dtypes": ["int8"], "draw": draw}
    with pytest.raises(ValueError, match=r"dtypes: found 'int8' with the parts \['encoder'\]"):
        export_onnx(faint_bundle, out, parts=["encoder"], **options)
    tokenizers = without(faint_bundle, tmp_path / "tokenizers", "gpt")
    with pytest.raises(ValueError, match="found the models .* expected gpt too: int8 is calib"):
        export_onnx(tokenizers, out, **options)
    wordless = without(faint_bundle, tmp_path / "wordless")
    (wordless / "words.txt").unlink()
    with pytest.raises(ValueError, match="words.txt: found no such file, expected the words of"):
        export_onnx(wordless, out, **options)
    assert [file for file in out.rglob("*") if file.is_file()] == []


def test_command(tmp_path, faint_bundle, deployed_int8):
    """Into the bundle itself, beside the files in fp32, and the pictures of that."""
    bundle = shutil.copytree(faint_bundle, tmp_path / "bundle")
    shutil.copytree(deployed_int8 / "onnx", bundle / "onnx")
    (bundle / "onnx" / INT8).unlink()
    arguments = ["export", "onnx", str(bundle), "-o", str(bundle), "--dtype", "int8"]
    result = CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "160"}, catch_exceptions=False)
    assert result.exit_code == 0
    assert INT8 in result.output
    assert f"{read_metadata(bundle / 'onnx' / INT8).psnr:.1f}" in result.output
    paint = ["generate", "a red house", "--runtime", "onnx", "--model", str(bundle)]
    paint += ["--threads", "1", "--onnx-dtype", "int8", "-o", str(tmp_path / "out.png")]
    assert CliRunner().invoke(cli.app, paint, catch_exceptions=False).exit_code == 0
    assert (tmp_path / "out.png").is_file()
