"""files.py: names, metadata, and graphs that are not what they say."""

import dataclasses
import json

import numpy as np
import pytest

from mas_fast.models.vqvae_config import preset
from mas_fast.onnx.files import KEY, Metadata, Value, dtype_of, file_name, read_metadata, sha256

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

IMG, SEG = preset("tiny-img"), preset("tiny-seg")
PLAIN = dataclasses.replace(SEG, channels=183, layout=None)
HASH = "0123456789abcdef" * 4
DECODER = Metadata("vq_img", "decoder", "fp32", IMG, HASH)
INT8 = Metadata("vq_img", "decoder", "int8", IMG, HASH, psnr=41.5)
SCENES_INT8 = Metadata("vq_seg", "decoder", "int8", SEG, HASH, agreement=0.997)


def test_names():
    assert file_name("vq_seg", "encoder", "fp16") == "vq_seg_encoder.fp16.onnx"
    assert DECODER.file_name == "vq_img_decoder.fp32.onnx"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("vq", "encoder", "fp32"), r"model: found 'vq', expected one of \['vq_seg', 'vq_img'\]"),
        (("vq_img", "coder", "fp32"), "part: found 'coder', expected one of"),
        (("vq_img", "encoder", "bf16"), r"dtype: found 'bf16', expected one of \['fp32', 'fp16'\]"),
        (("vq_img", "decoder", "bf16"), r"dtype: found 'bf16', expected one of .*, 'int8'\]"),
        (("vq_seg", "encoder", "int8"), r"dtype: found 'int8', .*'fp16'\] for vq_seg_encoder"),
    ],
)
def test_names_that_are_none(arguments, error):
    with pytest.raises(ValueError, match=error):
        file_name(*arguments)
    with pytest.raises(ValueError, match=error):
        Metadata(*arguments, IMG, HASH)


def test_what_graphs_take_and_give():
    batch = ("batch", 32, 32)
    assert DECODER.inputs == (Value("codes", "int64", ("batch", 8, 8)),)
    assert DECODER.outputs == (Value("image", "float32", ("batch", 3, 32, 32)),)
    encoder = dataclasses.replace(DECODER, part="encoder")
    assert (encoder.inputs, encoder.outputs) == (DECODER.outputs, DECODER.inputs)
    seg = Metadata("vq_seg", "encoder", "fp16", SEG, HASH)
    assert seg.inputs == (Value("labels", "uint8", batch), Value("edges", "bool", batch))
    seg = Metadata("vq_seg", "encoder", "fp16", PLAIN, HASH)
    assert seg.inputs == (Value("labels", "uint8", batch),)
    seg = Metadata("vq_seg", "decoder", "fp16", PLAIN, HASH)
    assert seg.outputs == (Value("logits", "float32", ("batch", 183, 32, 32)),)


@pytest.mark.parametrize("config", [IMG, SEG, PLAIN], ids=["img", "seg", "plain"])
def test_properties_and_back(config):
    found = Metadata("vq_img" if config is IMG else "vq_seg", "encoder", "fp32", config, HASH)
    properties = found.to_properties()
    assert Metadata.from_properties(properties) == found
    assert json.loads(properties[KEY])["format"] == 1
    assert properties["grid"] == "8 x 8"
    assert properties["codes"] == str(config.codes)
    assert properties.get("label_layout") == {IMG: None, SEG: "mini158"}.get(
        config, "labels without edges"
    )


def test_int8_says_how_good_it_is():
    assert Metadata.from_properties(INT8.to_properties()) == INT8
    assert json.loads(INT8.to_properties()[KEY])["psnr"] == 41.5
    assert "psnr" not in json.loads(DECODER.to_properties()[KEY])
    for psnr in (None, 41, float("nan"), float("inf"), "41", True):
        with pytest.raises(ValueError, match="psnr: found .*, expected a number"):
            dataclasses.replace(INT8, psnr=psnr)
    with pytest.raises(ValueError, match="psnr: found 41.5, expected none"):
        dataclasses.replace(DECODER, psnr=41.5)


def test_scenes_in_int8_say_how_many_pixels_stay():
    assert Metadata.from_properties(SCENES_INT8.to_properties()) == SCENES_INT8
    values = json.loads(SCENES_INT8.to_properties()[KEY])
    assert values["agreement"] == 0.997
    assert "psnr" not in values
    with pytest.raises(ValueError, match="agreement: found None, expected a number"):
        dataclasses.replace(SCENES_INT8, agreement=None)
    with pytest.raises(ValueError, match="psnr: found 41.5, expected none"):
        dataclasses.replace(SCENES_INT8, psnr=41.5)
    with pytest.raises(ValueError, match="agreement: found 0.997, expected none"):
        dataclasses.replace(INT8, agreement=0.997)


def test_beside_decoders_in_int8_encoders_are_fp32():
    for model in ("vq_seg", "vq_img"):
        assert dtype_of(model, "decoder", "int8") == "int8"
        assert dtype_of(model, "encoder", "int8") == "fp32"
        assert dtype_of(model, "encoder", "fp16") == "fp16"
    with pytest.raises(ValueError, match="dtype: found 'bf16', expected one of"):
        dtype_of("vq_img", "decoder", "bf16")


def test_configs_of_the_other_input():
    with pytest.raises(ValueError, match="vq_seg: found the config .* expected one of 'labels'"):
        Metadata("vq_seg", "encoder", "fp32", IMG, HASH)


def broken(**changes):
    return {KEY: json.dumps(json.loads(DECODER.to_properties()[KEY]) | changes)}


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"author": "me"}, r"found metadata \['author'\], expected the key 'mas_fast'"),
        ({KEY: "{"}, "mas_fast: found broken JSON"),
        ({KEY: "[" * 100_000}, "mas_fast: found broken JSON"),
        ({KEY: "[]"}, "mas_fast: found list, expected dict"),
        (broken(format=2), "format: found 2, expected 1"),
        (broken(extra=2), r"found unknown keys \['extra'\]"),
        (broken(model=["vq_img"]), r"model: found \['vq_img'\], expected one of"),
        (broken(psnr=41.5), r"found unknown keys \['psnr'\]"),
        (broken(dtype="int8"), r"found no keys \['psnr'\]"),
        (broken(model="vq_seg"), "expected one of 'labels'"),
        (broken(bundle="12"), "bundle: found '12', expected a SHA-256"),
        (broken(config={}), r"VQ config: found no keys \['"),
    ],
)
def test_broken_properties(properties, error):
    with pytest.raises(ValueError, match=error):
        Metadata.from_properties(properties)


def test_check_names_the_field():
    DECODER.check("a.onnx", model="vq_img", config=IMG, bundle=HASH)
    with pytest.raises(ValueError, match="a.onnx: part: found 'decoder', expected 'encoder'"):
        DECODER.check("a.onnx", part="encoder")
    with pytest.raises(ValueError, match=r"a.onnx: config.codes: found 64, expected 32"):
        DECODER.check("a.onnx", config=dataclasses.replace(IMG, codes=32))


# ---------------------------------------------------------------------- files


def write(file, metadata=DECODER, properties=None, side=32):
    """A graph of the right inputs and outputs that does nothing of use."""
    codes = onnx.helper.make_tensor_value_info("codes", onnx.TensorProto.INT64, ["batch", 8, 8])
    image = onnx.helper.make_tensor_value_info(
        "image", onnx.TensorProto.FLOAT, ["batch", 3, side, side]
    )
    make = onnx.helper.make_node
    nodes = [
        make("Shape", ["codes"], ["rows"], end=1),
        make("Concat", ["rows", "rest"], ["shape"], axis=0),
        make("ConstantOfShape", ["shape"], ["image"]),
    ]
    rest = onnx.numpy_helper.from_array(np.array([3, side, side]), "rest")
    graph = onnx.helper.make_graph(nodes, "g", [codes], [image], [rest])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.helper.set_model_props(
        model, metadata.to_properties() if properties is None else properties
    )
    onnx.save(model, file)
    return file


def test_read_from_a_file_and_from_a_session(tmp_path):
    file = write(tmp_path / "a.onnx")
    assert read_metadata(file) == read_metadata(str(file)) == DECODER
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert read_metadata(session) == DECODER


def test_files_that_cannot_be_used(tmp_path):
    with pytest.raises(ValueError, match="nowhere.onnx: found no such file"):
        read_metadata(tmp_path / "nowhere.onnx")
    file = write(tmp_path / "a.onnx")
    whole = file.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="a.onnx: found"):
            read_metadata(file)
    with pytest.raises(ValueError, match="a.onnx: found metadata .* expected the key 'mas_fast'"):
        read_metadata(write(file, properties={}))
    with pytest.raises(ValueError, match="a.onnx: outputs: found .*16, 16.* expected .*32, 32"):
        read_metadata(write(file, side=16))
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    with pytest.raises(ValueError, match="b.onnx: outputs: found"):
        read_metadata(session, "b.onnx")


def test_without_onnxruntime(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[onnx\]"'):
        read_metadata(write(tmp_path / "a.onnx"))


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "a") == expected
