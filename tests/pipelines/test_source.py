"""source.py: what an edit starts from, through Painter.edit, by a tiny model and both engines."""

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mas_fast.bundle import load_gpt, save_gpt
from mas_fast.models.gpt import GPT
from mas_fast.pipelines.onnx_pipeline import Pipeline
from mas_fast.pipelines.torch_pipeline import Model, load
from mas_fast.scene.fill import fill_nearest
from mas_fast.streams import Streams

ENCODER = "onnx/vq_img_encoder.fp32.onnx"
HOUSE = "a red house beside the lake"
BUILT = importlib.util.find_spec("mas_fast._engine") is not None
pytestmark = pytest.mark.skipif(not BUILT, reason="mas_fast._engine is not built")


@pytest.fixture(scope="module", params=["cpp", "eager"])
def model(tiny_bundle, request) -> Model:
    return load(tiny_bundle, engine=request.param, device="cpu", threads=1)


@pytest.fixture(scope="module")
def out(model):
    return model.generate(HOUSE, num_images=2, seed=3)


@pytest.mark.parametrize(
    ("what", "drawn"),
    [
        ("both", {8, 9, 12, 13, 24, 25, 28, 29}),
        ("scene", {8, 9, 12, 13}),
        ("picture", {24, 25, 28, 29}),
    ],
)
def test_tokens_outside_are_kept(model, out, what, drawn) -> None:
    edited = model.edit(out, region=(0, 0, 8, 8), what=what, num_images=3, seed=9)
    assert edited.captions == [HOUSE] * 3
    differ = (edited.tokens != out.tokens[0]).any(0)
    assert differ.any()
    assert set(np.flatnonzero(differ).tolist()) <= drawn
    if what == "picture":
        assert edited.scenes[0] == out.scenes[0]


def test_what_was_there_is_drawn_again(model, out) -> None:
    """By its own seed and caption: so an edit draws as generate does."""
    again = model.edit(out, region=(0, 8, 16, 16), what="picture", seed=3)
    assert np.array_equal(again.tokens, out.tokens[:1])
    other = model.edit(out, region=(0, 8, 16, 16), what="picture", index=1)
    assert np.array_equal(other.tokens[0, :32], out.tokens[1, :32])
    assert not np.array_equal(other.tokens[0], out.tokens[1])
    told = model.edit(out, region=(0, 0, 16, 16), caption="two dogs at dusk", seed=3)
    assert np.array_equal(told.tokens, model.generate("two dogs at dusk", seed=3).tokens)


def test_a_png_has_its_tokens(model, out, tmp_path, recwarn) -> None:
    out.save(tmp_path / "out.png")
    for n in range(2):
        edited = model.edit(tmp_path / f"out-{n + 1}.png", region=(0, 0, 8, 8))
        expected = model.edit(out, region=(0, 0, 8, 8), index=n)
        assert edited.captions == [HOUSE]
        assert np.array_equal(edited.tokens, expected.tokens)
    with pytest.raises(ValueError, match="scene: found one, expected None: the source has its own"):
        model.edit(tmp_path / "out-1.png", region=(0, 0, 8, 8), scene=out.scenes[0])
    assert not recwarn


def test_any_other_picture_is_encoded(model, out, tmp_path) -> None:
    pixels = np.asarray(out.images[0])
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    with pytest.raises(ValueError, match="scene: found none, and no .*photo.scene.png, expected"):
        model.edit(tmp_path / "photo.png", region=(0, 0, 8, 8), caption=HOUSE)
    with pytest.raises(ValueError, match="caption 1: found '', expected some words"):
        model.edit(tmp_path / "photo.png", region=(0, 0, 8, 8), scene=out.scenes[0])
    edited = model.edit(
        tmp_path / "photo.png", region=(0, 0, 8, 8), caption=HOUSE, scene=out.scenes[0]
    )
    codes = model._encoder().encode([pixels])[0]
    assert np.array_equal(edited.tokens[0, 24:].reshape(4, 4)[2:], codes[2:])
    out.scenes[0].save(tmp_path / "photo.scene.png")
    beside = model.edit(tmp_path / "photo.png", region=(0, 0, 8, 8), caption=HOUSE)
    assert np.array_equal(beside.tokens, edited.tokens)


def test_a_png_that_was_painted_over_is_encoded(model, out, tmp_path) -> None:
    out.save(tmp_path / "out.png")
    with Image.open(tmp_path / "out-1.png") as image:
        info, over = image.text, image.copy()
    over.paste((255, 0, 0), (0, 0, 8, 8))
    text = PngInfo()
    for key, value in info.items():
        text.add_text(key, value)
    over.save(tmp_path / "out-1.png", pnginfo=text)
    with pytest.warns(UserWarning, match="or it was changed since: it is encoded anew"):
        edited = model.edit(tmp_path / "out-1.png", region=(8, 8, 16, 16))
    assert edited.captions == [HOUSE]
    codes = model._encoder().encode([np.asarray(over)])[0]
    assert np.array_equal(edited.tokens[0, 24:].reshape(4, 4)[:2], codes[:2])


def test_a_model_without_scenes(tiny_bundle, tmp_path) -> None:
    """As minDALL-E, imported: a picture goes on, and is edited."""
    folder = shutil.copytree(tiny_bundle, tmp_path / "copy")
    config = load_gpt(folder).config
    streams = Streams([config.streams["text"], config.streams["img"]])
    save_gpt(folder, GPT.create(replace(config, streams=streams)))
    model = load(folder, device="cpu", threads=1)
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    out = model.generate(HOUSE, image=tmp_path / "photo.png", image_rows=8, num_images=2)
    assert (out.tokens[0, 8:16] == out.tokens[1, 8:16]).all()
    assert (out.tokens[0, 16:] != out.tokens[1, 16:]).any()
    codes = model._encoder().encode([fill_nearest(pixels, np.indices((16, 16))[0] < 8)])
    assert np.array_equal(out.tokens[0, 8:16].reshape(2, 4), codes[0, :2])
    edited = model.edit(tmp_path / "photo.png", region=(0, 12, 16, 16), caption=HOUSE)
    assert np.array_equal(edited.tokens[0, 8:20], model._encoder().encode([pixels])[0, :3].ravel())
    with pytest.raises(ValueError, match="what: found 'scene', expected 'picture' or 'both'"):
        model.edit(out, region=(0, 0, 4, 4), what="scene")


def test_without_torch(deployed, tiny_bundle, tmp_path) -> None:
    """The tokens are those of torch's runtime, with files and with encoders."""
    pytest.importorskip("onnxruntime")
    pipeline, model = Pipeline(deployed, threads=1), load(tiny_bundle, device="cpu", threads=1)
    out = model.generate(HOUSE, seed=3)
    out.save(tmp_path / "out.png")
    Image.open(tmp_path / "out.png").save(tmp_path / "out.webp", lossless=True)
    for name in ("out.png", "out.webp"):
        how = {"region": (0, 0, 8, 16), "caption": HOUSE}
        found, expected = (x.edit(tmp_path / name, **how) for x in (pipeline, model))
        assert np.array_equal(found.tokens, expected.tokens)
    how = {"scene": "sky: 0,0,16,4", "image": tmp_path / "out.png", "image_rows": 4}
    found, expected = (x.generate(HOUSE, **how) for x in (pipeline, model))
    assert np.array_equal(found.tokens, expected.tokens)
    (Path(shutil.copytree(deployed, tmp_path / "less")) / ENCODER).unlink()
    with pytest.raises(ValueError, match="vq_img_encoder.fp32.onnx: found no such file"):
        Pipeline(tmp_path / "less", threads=1).generate(HOUSE, **how)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"index": 2}, "index: found 2, expected an integer in 0..1"),
        ({"region": (0, 0, 99, 9)}, "region: found"),
        ({"what": "sky"}, "what: found 'sky', expected one of"),
        ({"image": "a.png"}, "image: found one, expected None: the source is the picture"),
        ({"scene": "a.png"}, "scene: found one, expected None: the source has its own tokens"),
        ({"caption": " "}, "caption 1: found"),
        ({"seed": -1}, "seed: found -1"),
    ],
)
def test_bad_edits(model, out, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        model.edit(out, **({"region": (0, 0, 8, 8)} | options))


def test_a_picture_that_is_no_file(model, out) -> None:
    for source in (out.images[0], None, 3, [out]):
        with pytest.raises(ValueError, match="source: found .*, expected a Generation or the path"):
            model.edit(source, region=(0, 0, 8, 8))


def test_tokens_of_another_model(model, out) -> None:
    with pytest.raises(ValueError, match="source: found 39 tokens of another model, expected 40"):
        model.edit(replace(out, tokens=out.tokens[:, :-1]), region=(0, 0, 8, 8))
    with pytest.raises(TypeError, match="colour: found an unknown option"):
        model.edit(out, region=(0, 0, 8, 8), colour="red")
