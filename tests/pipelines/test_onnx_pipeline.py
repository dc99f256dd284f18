"""onnx_pipeline.py: caption to picture without torch, beside the torch runtime."""

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mas_fast._engine") is None,
    reason="mas_fast._engine is not built: pip install -e .",
)

import mas_fast  # noqa: E402
from mas_fast.bundle import config as bundles  # noqa: E402
from mas_fast.bundle import load_bpe, load_gpt, save_bpe, save_gpt, save_vq  # noqa: E402
from mas_fast.models.gpt import GPT  # noqa: E402
from mas_fast.models.vqvae import VQVAE, preset  # noqa: E402
from mas_fast.pipelines.onnx_pipeline import Pipeline  # noqa: E402
from mas_fast.pipelines.torch_pipeline import Model  # noqa: E402
from mas_fast.scene import Scene  # noqa: E402
from mas_fast.streams import Streams  # noqa: E402

HOUSE, DOGS = "a red house beside the lake", "two dogs at dusk"


@pytest.fixture(scope="module")
def pipeline(deployed) -> Pipeline:
    return Pipeline(deployed, threads=1)


@pytest.fixture(scope="module")
def model(tiny_bundle) -> Model:
    return mas_fast.load(tiny_bundle, engine="cpp", device="cpu", threads=1)


@pytest.fixture
def copy(deployed, tmp_path):
    return shutil.copytree(deployed, tmp_path / "copy")


def assert_same(found, expected) -> None:
    """Tokens and scenes are equal, pictures within 1 of 255."""
    assert found.tokens.dtype == np.int64
    assert np.array_equal(found.tokens, expected.tokens)
    assert found.scenes == expected.scenes
    for ours, theirs in zip(found.images, expected.images, strict=True):
        assert ours.mode == "RGB"
        assert np.ptp(np.asarray(ours)) > 0
        assert np.abs(np.asarray(ours).astype(int) - np.asarray(theirs)).max() <= 1
    for name in ("captions", "seed", "num_images", "unknown_words", "truncated"):
        assert getattr(found, name) == getattr(expected, name)


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 7},
        {"num_images": 17, "guidance": 1.0},
        {"seed": 2**64 - 1, "guidance": {"img": 5.0}, "top_k": {"seg": None}, "top_p": 0.9},
        {"temperature": 0, "num_images": 2},
    ],
    ids=str,
)
def test_pictures_are_those_of_torch(pipeline, model, options) -> None:
    captions = [HOUSE, "a zebra", "a red house " * 1000]
    assert_same(pipeline.generate(captions, **options), model.generate(captions, **options))


def test_given_scenes_are_painted(pipeline, model, scene, tmp_path) -> None:
    scene.save(tmp_path / "scene.png")
    found = pipeline.generate(HOUSE, scene=tmp_path / "scene.png", num_images=2, seed=3)
    assert_same(found, model.generate(HOUSE, scene=scene, num_images=2, seed=3))
    both = [scene, scene.flip()]
    found = pipeline.generate([HOUSE, DOGS], scene=both)
    assert_same(found, model.generate([HOUSE, DOGS], scene=both))


@pytest.mark.parametrize("dtype", ["bf16", "int8"])
def test_dtypes(deployed, tiny_bundle, dtype) -> None:
    found = Pipeline(deployed, dtype=dtype, threads=1).generate(HOUSE)
    other = mas_fast.load(tiny_bundle, engine="cpp", device="cpu", dtype=dtype, threads=1)
    assert_same(found, other.generate(HOUSE))


def test_items_and_codes(pipeline, scene) -> None:
    first = pipeline.generate([HOUSE, DOGS])
    img, seg = first.tokens[:, 24:].reshape(2, 4, 4), first.tokens[:, 8:24].reshape(2, 4, 4)
    for found, image in zip(pipeline.decode("img", img), first.images, strict=True):
        assert np.array_equal(found, np.asarray(image))
    assert pipeline.decode("seg", seg) == first.scenes
    assert pipeline.encode(first.images).shape == (2, 4, 4)
    assert np.array_equal(pipeline.encode(first.images), pipeline.img.encode(first.images))
    codes = pipeline.encode(first.scenes)
    assert np.array_equal(codes, pipeline.seg.encode(first.scenes))
    again = pipeline.generate(DOGS, scene=first.scenes[1])
    assert np.array_equal(again.tokens[0, 8:24], codes[1].ravel())


def test_info_says_what_runs(deployed) -> None:
    pipeline = Pipeline(deployed, providers=["cpu"], dtype="int8", threads=1)
    found = pipeline.info()
    assert json.loads(json.dumps(found)) == found
    decoders = {f"vq_{name}_decoder.fp32.onnx": "CPUExecutionProvider" for name in ("seg", "img")}
    assert found["graphs"] == decoders
    assert found["onnx_dtype"] == "fp32"
    assert found["engine"]["dtype"] == "int8"
    assert found["engine"]["threads"] == 1
    assert found["versions"]["mas_fast"] == mas_fast.__version__
    pipeline.encode([Image.new("RGB", (16, 16))])
    assert set(pipeline.info()["graphs"]) == {*decoders, "vq_img_encoder.fp32.onnx"}


def test_int8_is_of_decoders(deployed_int8, scene) -> None:
    """Encoders run in fp32, and so does all where int8 is not asked for."""
    exact = Pipeline(deployed_int8, threads=1)
    found = Pipeline(deployed_int8, onnx_dtype="int8", threads=1)
    names = ["vq_seg_decoder.int8.onnx", "vq_img_decoder.int8.onnx"]
    assert list(found.info()["graphs"]) == names
    assert found.info()["onnx_dtype"] == "int8"
    ours, theirs = (one.generate(HOUSE, scene=scene) for one in (found, exact))
    assert np.array_equal(ours.tokens, theirs.tokens)
    assert np.mean(ours.scenes[0].labels == theirs.scenes[0].labels) > 0.95  # of one scene
    first, second = (np.asarray(out.images[0]).astype(float) for out in (ours, theirs))
    assert 0 < np.square(first - second).mean() < 255**2 / 1e3  # of one picture, 30 dB
    assert np.array_equal(found.encode(ours.images), exact.encode(ours.images))
    assert set(found.info()["graphs"]) - set(names) == {
        "vq_seg_encoder.fp32.onnx",
        "vq_img_encoder.fp32.onnx",
    }
    assert "vq_img_decoder.fp32.onnx" in exact.info()["graphs"]


def test_nothing_imports_torch(deployed, tmp_path, scene) -> None:
    """Neither a generation, nor one of a scene, nor the commands."""
    scene.save(tmp_path / "scene.png")
    code = f"""
import sys
from mas_fast.pipelines.onnx_pipeline import Pipeline
from mas_fast.cli import app
pipeline = Pipeline({str(deployed)!r}, threads=1)
out = pipeline.generate({HOUSE!r}, scene="scene.png")
out.save("out.png")
pipeline.info()
model = ["--runtime", "onnx", "--threads", "1", "--model", {str(deployed)!r}]
for words in (
    ["generate", {HOUSE!r}, "-o", "cli.png"],
    ["encode", "cli.png"],
    ["decode", "tokens.npz"],
):
    app([*words, *model], standalone_mode=False)
assert "torch" not in sys.modules
print("done")
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n"), done.stderr
    assert (tmp_path / "decoded" / "cli.png").is_file()


def test_the_shipped_bundle_is_the_default(deployed, pipeline, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(bundles, "SHIPPED", tmp_path / "storybook")
    with pytest.raises(ValueError, match="storybook: found no such folder: no trained model comes"):
        Pipeline()
    shutil.copytree(deployed, tmp_path / "storybook")
    assert_same(Pipeline(threads=1).generate(HOUSE), pipeline.generate(HOUSE))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"providers": ["xla"]}, "providers: found 'xla', expected some of"),
        ({"providers": []}, "providers: found none, expected some of"),
        ({"onnx_dtype": "bf16"}, r"onnx_dtype: found 'bf16', expected one of .*, 'int8'\]"),
        ({"onnx_dtype": "int8"}, "vq_seg_decoder.int8.onnx: found no such file"),
        ({"onnx_dtype": "fp16"}, "vq_seg_decoder.fp16.onnx: found no such file"),
        ({"dtype": "fp16"}, r"dtype: found 'fp16', expected one of"),
        ({"threads": -1}, "threads: found -1"),
    ],
)
def test_bad_options_are_named(deployed, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        Pipeline(deployed, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"captions": ""}, "caption 1: found '', expected some words"),
        ({"captions": []}, "captions: found none"),
        ({"seed": -1}, "seed: found -1"),
        ({"num_images": 0}, "num_images: found 0"),
        ({"guidance": float("nan")}, "guidance: found nan"),
        ({"guidance": [1] * 17}, "guidance: found a schedule of 17 numbers, expected at most 16"),
        ({"negative": "dogs", "guidance": 1}, "negative: found one with guidance 1"),
        ({"scene": "none.png"}, "none.png: found no such file"),
        ({"scene": 7}, "scene: found int, expected a Scene, the path of one, or words"),
    ],
)
def test_bad_arguments_are_named(pipeline, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        pipeline.generate(**({"captions": HOUSE} | arguments))


def test_bad_items_and_codes_are_named(pipeline, scene, tmp_path) -> None:
    with pytest.raises(ValueError, match="vq_seg: item 1: found a scene of 24 x 32, expected 16 x"):
        pipeline.encode([scene])
    with pytest.raises(ValueError, match="expected a list, not empty"):
        pipeline.encode(Image.new("RGB", (16, 16)))
    with pytest.raises(ValueError, match="expected a list, not empty"):
        pipeline.encode([])
    with pytest.raises(ValueError, match=r"stream: found 'text', expected one of \['seg', 'img'\]"):
        pipeline.decode("text", np.zeros((1, 4, 4), int))
    with pytest.raises(ValueError, match="vq_img: found the code 64, expected 0 to 63"):
        pipeline.decode("img", np.full((1, 4, 4), 64))
    Image.fromarray(np.full((16, 16), 200, np.uint8)).save(tmp_path / "labels.png")
    with pytest.raises(ValueError, match=r"labels.png: .*200"):
        pipeline.generate(HOUSE, scene=tmp_path / "labels.png", scene_labels="mini158")
    with pytest.raises(ValueError, match=r"labels.png: .*say which they are"):
        pipeline.generate(HOUSE, scene=tmp_path / "labels.png")


def test_bundles_that_do_not_fit_are_named(copy, tmp_path) -> None:
    with pytest.raises(ValueError, match="nowhere: not a bundle: found no config.json"):
        Pipeline(tmp_path / "nowhere")
    files = copy / "onnx"
    (files / "vq_seg_encoder.fp32.onnx").unlink()
    half = Pipeline(copy, threads=1)  # enough for captions
    half.generate(HOUSE)
    blank = Scene(np.zeros((16, 16), np.uint8), np.zeros((16, 16), bool))
    with pytest.raises(ValueError, match="vq_seg_encoder.fp32.onnx: found no such file.*mas-fast"):
        half.generate(HOUSE, scene=blank)
    (files / "vq_img_decoder.fp32.onnx").unlink()
    with pytest.raises(ValueError, match="vq_img_decoder.fp32.onnx: found no such file, beside it"):
        Pipeline(copy)
    shutil.rmtree(files)
    with pytest.raises(ValueError, match=r"vq_seg_decoder.fp32.onnx: found no such file, .*\[\]"):
        Pipeline(copy)
    (copy / "gpt.safetensors").write_bytes((copy / "gpt.safetensors").read_bytes()[:-4])
    save_vq(copy, "vq_img", VQVAE.create(preset("tiny-img")))
    with pytest.raises(ValueError, match="vq_seg_decoder.fp32.onnx"):  # the cheap checks first
        Pipeline(copy)


def test_codes_and_captions_are_those_of_the_engine(copy) -> None:
    config = load_gpt(copy).config
    small = [replace(s, vocab=31) if s.name == "seg" else s for s in config.streams]
    save_gpt(copy, GPT.create(replace(config, streams=Streams(small))))
    with pytest.raises(ValueError, match=r"vq_seg: found 32 codes in a grid of 4 x 4, expected 31"):
        Pipeline(copy)
    flat = [replace(s, grid=(2, 8)) if s.name == "img" else s for s in config.streams]
    save_gpt(copy, GPT.create(replace(config, streams=Streams(flat))))
    with pytest.raises(ValueError, match=r"vq_img: found .* 4 x 4, expected 64 in \(2, 8\)"):
        Pipeline(copy)
    bpe = load_bpe(copy)
    save_bpe(copy, type(bpe)(bpe._tokenizer, length=7))
    with pytest.raises(ValueError, match=r"\(7, 280, 0\), expected \(8, 280, 0\), as the GPT has"):
        Pipeline(copy)


def test_a_model_without_scenes(copy, scene) -> None:
    config = load_gpt(copy).config
    streams = Streams([config.streams["text"], config.streams["img"]])
    save_gpt(copy, GPT.create(replace(config, streams=streams)))
    pipeline = Pipeline(copy, threads=1)
    out = pipeline.generate(HOUSE)
    assert out.scenes == []
    assert out.tokens.shape == (1, 24)
    assert list(pipeline.info()["graphs"]) == ["vq_img_decoder.fp32.onnx"]
    with pytest.raises(ValueError, match="scene: found one, expected None: .* has no scenes"):
        pipeline.generate(HOUSE, scene=scene)
    with pytest.raises(ValueError, match=r"stream: found 'seg', expected one of \['img'\]"):
        pipeline.encode([scene])


def test_without_onnxruntime(deployed) -> None:
    block = "import sys; sys.modules['onnxruntime'] = None; from mas_fast.deploy import Pipeline; "
    command = [sys.executable, "-c", f"{block}Pipeline({str(deployed)!r})"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "ImportError: ONNX files need onnxruntime" in done.stderr
    assert 'pip install -e ".[onnx]"' in done.stderr
