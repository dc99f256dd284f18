"""codec.py: ONNX files as tokenizers, beside PyTorch, and files that do not belong there."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from mas_fast.bundle import load_vq, read_vq_config  # noqa: E402
from mas_fast.models.torch_codec import TorchCodec  # noqa: E402
from mas_fast.onnx.codec import OnnxCodec  # noqa: E402
from mas_fast.onnx.files import Metadata, read_metadata, sha256  # noqa: E402
from mas_fast.scene import MAS159, Layers, Scene  # noqa: E402


@pytest.fixture
def copy(deployed, tmp_path):
    return shutil.copytree(deployed, tmp_path / "copy")


def rewrite(file, **changes) -> None:
    """The same graph with other metadata; none at all where nothing is said."""
    model = onnx.load(file)
    found = Metadata.from_properties({p.key: p.value for p in model.metadata_props})
    del model.metadata_props[:]
    if changes:
        onnx.helper.set_model_props(model, replace(found, **changes).to_properties())
    onnx.save(model, file)


def test_pictures_are_those_of_torch(deployed, tiny_bundle) -> None:
    ours, theirs = OnnxCodec(deployed, "vq_img"), TorchCodec("", load_vq(tiny_bundle, "vq_img"))
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    codes = ours.encode(pixels)
    assert np.array_equal(codes, theirs.encode(pixels))
    assert len(np.unique(codes)) > 1
    assert list(ours.sessions) == ["vq_img_encoder.fp32.onnx"]
    codes = random.integers(0, 64, (3, 4, 4))
    for found, expected in zip(ours.decode(codes), theirs.decode(codes), strict=True):
        assert found.shape == (16, 16, 3)
        assert found.dtype == np.uint8
        assert np.ptp(found) > 9
        assert np.abs(found.astype(int) - expected).max() <= 1
    assert ours.bundle == sha256(tiny_bundle / "vq_img.safetensors")


def test_scenes_are_those_of_torch(deployed, tiny_bundle) -> None:
    ours, theirs = OnnxCodec(deployed, "vq_seg"), TorchCodec("", load_vq(tiny_bundle, "vq_seg"))
    random = np.random.default_rng(0)
    labels = random.choice([0, 5, 100, 140, 150, 255], (3, 16, 16)).astype(np.uint8)
    scenes = [Scene(one, random.random((16, 16)) < 0.2) for one in labels]
    scenes += [scene.to(MAS159) for scene in scenes[:1]] + [Layers(labels[0] % 90).clean()]
    codes = ours.encode(scenes)
    assert np.array_equal(codes, theirs.encode(scenes))
    assert len(np.unique(codes)) > 3
    codes = random.integers(0, 32, (3, 4, 4))
    found = ours.decode(codes)
    assert found == theirs.decode(codes)
    assert len(np.unique(found[0].labels)) > 1
    assert found[0].edges.any()


def test_neither_depends_on_what_is_beside_it(deployed) -> None:
    codec = OnnxCodec(deployed, "vq_img")
    codes = np.random.default_rng(1).integers(0, 64, (4, 4, 4))
    assert np.array_equal(codec.decode(codes)[2], codec.decode(codes[2:3])[0])


def test_pixels_are_rounded_and_clamped(deployed, monkeypatch) -> None:
    codec = OnnxCodec(deployed, "vq_img")
    codec.open("decoder")
    values = np.array([-9, -1, -0.5, 0, 0.001, 1 - 1 / 255, 1, 9], np.float32)
    values = np.tile(values, 96).reshape(1, 3, 16, 16)
    monkeypatch.setattr(codec.open("decoder"), "run", lambda _: values)
    (pixels,) = codec.decode(np.zeros((1, 4, 4), int))
    assert pixels[0, :8, 0].tolist() == [0, 0, 64, 128, 128, 254, 255, 255]


def test_what_the_encoders_see(deployed, monkeypatch) -> None:
    img, seg = (OnnxCodec(deployed, f"vq_{name}") for name in ("img", "seg"))
    seen, codes = [], np.zeros((1, 4, 4), np.int64)
    for codec in (img, seg):
        monkeypatch.setattr(codec.open("encoder"), "run", lambda *x: seen.append(x) or codes)
    pixels = np.arange(768).reshape(16, 16, 3).astype(np.uint8)
    img.encode([pixels])
    ((image,),) = seen
    assert image.dtype == np.float32
    assert image.shape == (1, 3, 16, 16)
    assert np.array_equal(image[0], pixels.transpose(2, 0, 1) / np.float32(127.5) - 1)
    assert (image.min(), image.max()) == (-1, 1)
    given = Scene(pixels[..., 0] % 9, pixels[..., 0] % 2 > 0)
    seg.encode([given])
    labels, edges = seen[1]
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, given.labels[None])
    assert edges.dtype == bool
    assert np.array_equal(edges, given.edges[None])


def test_files_that_are_missing_are_named(copy, tmp_path) -> None:
    (copy / "onnx" / "vq_img_decoder.fp32.onnx").unlink()
    codec = OnnxCodec(copy, "vq_img")
    message = r"vq_img_decoder.fp32.onnx: found no such file, beside it \['vq_img_encoder.fp32.onnx"
    with pytest.raises(ValueError, match=message):
        codec.open("decoder")
    with pytest.raises(ValueError, match="found no open graph, expected one: call open before"):
        _ = codec.bundle
    with pytest.raises(ValueError, match=r"encoder.fp16.onnx: found no such file.*mas-fast export"):
        OnnxCodec(copy, "vq_img", dtype="fp16").open("encoder")
    with pytest.raises(ValueError, match=r"vq_img_decoder.int8.onnx: found no such file, beside"):
        OnnxCodec(copy, "vq_img", dtype="int8").open("decoder")
    with pytest.raises(ValueError, match=r"dtype: found 'bf16', expected one of \['fp32', 'fp16'"):
        OnnxCodec(copy, "vq_img", dtype="bf16")
    with pytest.raises(ValueError, match="tokenizer: found 'vq_dog', expected one of"):
        OnnxCodec(copy, "vq_dog")
    with pytest.raises(ValueError, match="not a bundle: found no config.json"):
        OnnxCodec(tmp_path, "vq_img")


def test_a_truncated_file_is_named(copy) -> None:
    file = copy / "onnx" / "vq_img_decoder.fp32.onnx"
    content = file.read_bytes()
    for size in (0, 8, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:size])
        with pytest.raises(ValueError, match="vq_img_decoder.fp32.onnx: found"):
            OnnxCodec(copy, "vq_img").open("decoder")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {},
            "found metadata .*, expected the key 'mas_fast': this graph was not made by `mas-fast",
        ),
        ({"dtype": "fp16"}, "dtype: found 'fp16', expected 'fp32'"),
        ({"part": "encoder"}, "inputs: found .*name='codes'.* expected .*name='image'"),
        ({"bundle": "0" * 64}, "found a graph of other weights, whose SHA-256 is 0{64}, expected"),
    ],
)
def test_metadata_that_does_not_fit_is_named(copy, tiny_bundle, changes, message) -> None:
    shutil.copy(tiny_bundle / "vq_img.safetensors", copy)
    rewrite(copy / "onnx" / "vq_img_decoder.fp32.onnx", **changes)
    with pytest.raises(ValueError, match=f"vq_img_decoder.fp32.onnx: {message}"):
        OnnxCodec(copy, "vq_img").open("decoder")


def test_both_parts_are_of_the_same_weights(copy) -> None:
    """Also where the weights are not there."""
    rewrite(copy / "onnx" / "vq_img_decoder.fp32.onnx", bundle="0" * 64)
    codec = OnnxCodec(copy, "vq_img")
    codec.open("decoder")
    assert codec.bundle == "0" * 64
    with pytest.raises(
        ValueError, match="vq_img_encoder.fp32.onnx: found a graph of other weights"
    ):
        codec.open("encoder")


def test_another_config_is_named(copy) -> None:
    file = copy / "config.json"
    values = json.loads(file.read_text())
    values["vq_img"]["codes"] = 65
    file.write_text(json.dumps(values))
    assert read_vq_config(copy, "vq_img").codes == 65
    with pytest.raises(ValueError, match="vq_img_decoder.fp32.onnx: config.codes: found 64, expec"):
        OnnxCodec(copy, "vq_img").open("decoder")


def test_another_model_s_file_is_named(copy) -> None:
    names = [copy / "onnx" / f"{name}_decoder.fp32.onnx" for name in ("vq_seg", "vq_img")]
    shutil.copy(*names)
    with pytest.raises(
        ValueError, match="vq_img_decoder.fp32.onnx: model: found 'vq_seg', expecte"
    ):
        OnnxCodec(copy, "vq_img").open("decoder")
    assert read_metadata(names[0]).model == "vq_seg"
