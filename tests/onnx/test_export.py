"""export.py: the files of a bundle, beside PyTorch in onnxruntime, and what is refused."""

import dataclasses
import json
import shutil
import sys

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from mas_fast import cli
from mas_fast.bundle import load_vq, models_of, read_vq_config, save_vq
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae_config import preset
from mas_fast.onnx import export, graphs
from mas_fast.onnx.export import export_onnx, write_graph
from mas_fast.onnx.files import Metadata, file_name, read_metadata, sha256
from mas_fast.onnx.parity import BATCHES, compare, judge, made_up

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

MODELS, PARTS, DTYPES = ("vq_seg", "vq_img"), ("encoder", "decoder"), ("fp32", "fp16")
ALL = [
    file_name(*which) for which in np.stack(np.meshgrid(MODELS, PARTS, DTYPES), -1).reshape(-1, 3)
]
IMG, SEG = preset("tiny-img"), preset("tiny-seg")


@pytest.fixture(scope="session")
def exported(tiny_bundle, tmp_path_factory):
    """(report, folder) of the tiny bundle."""
    folder = tmp_path_factory.mktemp("exported")
    return export_onnx(tiny_bundle, folder), folder


def session(file, optimised=True):
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    )
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def run(file, *inputs, optimised=True):
    graph = session(file, optimised)
    feed = {i.name: x.numpy() for i, x in zip(graph.get_inputs(), inputs, strict=True)}
    return torch.from_numpy(graph.run(None, feed)[0])


# ---------------------------------------------------------------------- what is written


def test_the_folder_is_complete(exported, tiny_bundle):
    _, folder = exported
    assert sorted(file.name for file in (folder / "onnx").iterdir()) == sorted(
        [*ALL, "parity.json"]
    )
    copied = ["config.json", "gpt.safetensors", "tokenizer.json", "words.txt"]
    assert sorted(file.name for file in folder.iterdir()) == sorted([*copied, "onnx"])
    for name in copied:
        assert (folder / name).read_bytes() == (tiny_bundle / name).read_bytes()
    for model in MODELS:
        sizes = [(folder / "onnx" / file_name(model, "decoder", d)).stat().st_size for d in DTYPES]
        assert sizes[1] < 0.7 * sizes[0]


@pytest.mark.parametrize("name", ALL)
def test_metadata(exported, tiny_bundle, name):
    found = read_metadata(exported[1] / "onnx" / name)
    model = name[:6]
    weights = sha256(tiny_bundle / f"{model}.safetensors")
    found.check(name, config=read_vq_config(tiny_bundle, model), bundle=weights)
    assert found.file_name == name


@pytest.mark.parametrize("name", ALL)
def test_graphs_are_plain(exported, name):
    """No operator but ONNX's own, no one-hot channels, nothing of this machine."""
    file = exported[1] / "onnx" / name
    onnx.checker.check_model(file, full_check=True)
    graph = onnx.load(file)
    assert [(one.domain, one.version) for one in graph.opset_import] == [("", export.OPSET)]
    assert not graph.functions
    assert {node.domain for node in graph.graph.node} == {""}
    assert "OneHot" not in {node.op_type for node in graph.graph.node}
    content = file.read_bytes()
    for text in (b"site-packages", b"onnx_graphs", b"stack_trace", b"test_export"):
        assert text not in content
    widths = {w.dims[1] for w in graph.graph.initializer if len(w.dims) == 4}
    assert 158 not in widths  # nor is there a convolution over them


def test_the_report_has_every_file_at_every_batch(exported):
    report, folder = exported
    assert [row.file for row in report.rows if row.batch == 8] == [
        file_name(*which) for which in ((m, p, d) for m in MODELS for d in DTYPES for p in PARTS)
    ]
    for name in ALL:
        found = [(row.batch, row.optimised) for row in report.rows if row.file == name]
        assert sorted(found) == sorted([*((batch, True) for batch in BATCHES), (2, False)])
    values = json.loads((folder / "onnx" / "parity.json").read_text())
    assert values["rows"] == report.to_dict()["rows"]
    assert values["versions"]["onnx"] == onnx.__version__


@pytest.mark.parametrize("optimised", [True, False], ids=["optimised", "plain"])
@pytest.mark.parametrize("model", MODELS)
@torch.no_grad()
def test_the_same_as_torch_at_another_batch(exported, tiny_bundle, model, optimised):
    folder = exported[1] / "onnx"
    tokenizer = load_vq(tiny_bundle, model)
    inputs = made_up(tokenizer.config, "encoder", 4)
    codes = tokenizer.encode(inputs[0] if model == "vq_img" else inputs)
    assert len(codes.unique()) > 4
    files = {(p, d): folder / file_name(model, p, d) for p in PARTS for d in DTYPES}
    assert torch.equal(run(files["encoder", "fp32"], *inputs, optimised=optimised), codes)
    expected = tokenizer.decode(codes)
    found = run(files["decoder", "fp32"], codes, optimised=optimised)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    half = run(files["decoder", "fp16"], codes, optimised=optimised)
    assert half.dtype == torch.float32
    assert not torch.equal(half, found)
    assert (half - expected).square().mean().sqrt() < 0.01 * (expected.max() - expected.min())


@pytest.mark.parametrize("optimised", [True, False], ids=["optimised", "plain"])
@pytest.mark.parametrize("name", ALL)
def test_a_batch_of_none_is_taken(exported, tiny_bundle, name, optimised):
    """As is left where a filter took all out; and onnxruntime has nothing to warn of."""
    found = read_metadata(exported[1] / "onnx" / name)
    inputs = [value[:0] for value in made_up(found.config, found.part, 1)]
    out = run(exported[1] / "onnx" / name, *inputs, optimised=optimised)
    assert list(out.shape) == [0, *found.outputs[0].shape[1:]]
    graph = onnx.load(exported[1] / "onnx" / name).graph
    used = {name for node in graph.node for name in node.input}
    assert {value.name for value in graph.initializer} <= used


def test_a_graph_that_takes_no_batch_of_none_is_refused(tmp_path, tiny_bundle, monkeypatch):
    monkeypatch.setattr("mas_fast.onnx.export._take_empty_batches", lambda proto: None)
    with pytest.raises(ValueError, match="decoder.fp32.onnx: a batch of 0: found .*Reshape"):
        export_and_compare(IMG, tmp_path, "decoder", "fp32")


def test_codes_out_of_range_are_an_error(exported):
    file = exported[1] / "onnx" / file_name("vq_img", "decoder", "fp32")
    with pytest.raises(Exception, match="out of data bounds|INVALID_ARGUMENT"):
        run(file, torch.full((1, 4, 4), 64))


# ---------------------------------------------------------------------- other tokenizers

KINDS = {
    # taming's f8 with Gumbel, and its scenes without edges; our patches; codes by moving averages
    "gumbel-f8": dataclasses.replace(
        IMG, ch_mult=(1, 1, 2, 2), attn_resolutions=(4,), quantizer="gumbel", beta=1e-8
    ),
    "labels": dataclasses.replace(SEG, channels=183, layout=None),
    "mas159": dataclasses.replace(SEG, channels=159, layout="mas159"),
    "patch": dataclasses.replace(IMG, patch=2, attn_resolutions=(4,), quantizer="ema"),
}


def export_and_compare(config, folder, part, dtype):
    model = VQVAE.create(config).eval().requires_grad_(False)
    model.quantize.table.normal_()
    name = "vq_img" if config.input == "image" else "vq_seg"
    metadata = Metadata(name, part, dtype, config, "0" * 64)
    file = folder / metadata.file_name
    write_graph(file, metadata, model)
    assert read_metadata(file) == metadata
    return judge(metadata, compare(file, metadata, model))


@pytest.mark.parametrize(
    ("kind", "part"),
    [("gumbel-f8", "encoder"), ("labels", "encoder"), ("patch", "encoder"), ("patch", "decoder")],
)
def test_other_layouts(tmp_path, kind, part):
    assert export_and_compare(KINDS[kind], tmp_path, part, "fp32") == []


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_layout(tmp_path, kind, part, dtype):
    assert export_and_compare(KINDS[kind], tmp_path, part, dtype) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_mindalle(tmp_path, part):
    """All of its weights, over pictures of 64 pixels: of its 256 they would take minutes."""
    whole = preset("vq-img-f16")
    config = dataclasses.replace(whole, resolution=64, attn_resolutions=(4,))
    shapes = [{n: w.shape for n, w in VQVAE(c).state_dict().items()} for c in (whole, config)]
    assert shapes[0] == shapes[1]
    assert export_and_compare(config, tmp_path, part, "fp32") == []


# ---------------------------------------------------------------------- what is refused


class Wrong(nn.Module):
    """A decoder that is a little off."""

    def __init__(self, model, dtype):
        super().__init__()
        self.right = RIGHT(model, dtype)

    def forward(self, codes):
        return self.right(codes) + 2e-4


RIGHT = graphs.Decoder


def test_a_graph_that_differs_is_not_written(tmp_path, tiny_bundle, monkeypatch):
    monkeypatch.setattr(graphs, "Decoder", Wrong)
    only = tmp_path / "only"
    only.mkdir()
    for name in ("config.json", "vq_img.safetensors"):
        shutil.copy(tiny_bundle / name, only)
    config = json.loads((only / "config.json").read_text())
    config = {key: value for key, value in config.items() if key not in ("gpt", "vq_seg")}
    (only / "config.json").write_text(json.dumps(config))
    assert models_of(only) == ("vq_img",)
    with pytest.raises(
        ValueError, match=r"vq_img_decoder.fp32.onnx: batch 1: max error: found 0.000[12]"
    ):
        export_onnx(only, tmp_path / "out", parts=["decoder"], dtypes=["fp32"])
    assert [file for file in (tmp_path / "out").rglob("*") if file.is_file()] == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"dtypes": ["bf16"]}, r"dtypes: found 'bf16', expected one of .*, 'int8'\]"),
        ({"parts": ["coder"]}, r"parts: found 'coder', expected one of \['encoder', 'decoder'\]"),
        ({"parts": []}, "parts: found none, expected some of"),
    ],
)
def test_unknown_choices(tmp_path, tiny_bundle, options, error):
    with pytest.raises(ValueError, match=error):
        export_onnx(tiny_bundle, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", ["onnx", "onnxscript", "onnxruntime"])
def test_without_the_libraries(tmp_path, tiny_bundle, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf'{module}.*pip install -e "\.\[export\]"'):
        export_onnx(tiny_bundle, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bundles_that_lack_something(tmp_path, tiny_bundle):
    with pytest.raises(ValueError, match="not a bundle: found no config.json"):
        export_onnx(tmp_path, tmp_path / "out")
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    (bundle / "vq_img.safetensors").unlink()
    with pytest.raises(ValueError, match="vq_img.safetensors: found no such file"):
        export_onnx(bundle, tmp_path / "out")
    config = json.loads((bundle / "config.json").read_text())
    del config["vq_img"]
    (bundle / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ValueError, match=r"of the tokenizers \['vq_seg'\], expected \['vq_img'\] too"
    ):
        export_onnx(bundle, tmp_path / "out")
    del config["vq_seg"], config["gpt"]
    (bundle / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"found the models \[\], expected vq_seg or vq_img"):
        export_onnx(bundle, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folders_of_other_weights(tmp_path, tiny_bundle, exported):
    with pytest.raises(ValueError, match="found a file, expected a folder"):
        export_onnx(tiny_bundle, tiny_bundle / "config.json")
    other = tmp_path / "other"
    shutil.copytree(tiny_bundle, other)
    save_vq(other, "vq_img", VQVAE.create(read_vq_config(other, "vq_img"), seed=5))
    with pytest.raises(ValueError, match="vq_img.safetensors: found other weights than those of"):
        export_onnx(tiny_bundle, other)
    folder = tmp_path / "folder"
    (folder / "onnx").mkdir(parents=True)
    old = file_name("vq_img", "decoder", "fp16")
    shutil.copy(exported[1] / "onnx" / old, folder / "onnx")
    with pytest.raises(ValueError, match=f"{old}: found a graph of other weights than those of"):
        export_onnx(other, folder, dtypes=["fp32"])
    assert [file.name for file in folder.rglob("*") if file.is_file()] == [old]


def test_command(tmp_path, tiny_bundle):
    """Into the bundle itself, beside what is there."""
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    arguments = ["export", "onnx", str(bundle), "-o", str(bundle), "--part", "decoder"]
    result = CliRunner().invoke(
        cli.app, [*arguments, "--dtype", "fp32"], env={"COLUMNS": "160"}, catch_exceptions=False
    )
    assert result.exit_code == 0
    assert "vq_img_decoder.fp32.onnx" in result.output
    assert "optimised" in result.output
    assert f"written: {bundle / 'onnx'}" in result.output
    assert {file.name for file in (bundle / "onnx").iterdir()} == {
        "parity.json",
        *(file_name(model, "decoder", "fp32") for model in MODELS),
    }
    assert (bundle / "vq_img.safetensors").is_file()
