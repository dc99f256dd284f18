"""torch_pipeline.py: captions in, pictures and scenes out, through both engines."""

import importlib.util
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

import mas_fast
from mas_fast.bundle import config as bundles
from mas_fast.bundle import load_bpe, load_gpt, load_vq, save_bpe, save_gpt, save_vq
from mas_fast.generation import CppEngine, EagerEngine, generate_tokens, score_tokens
from mas_fast.models.gpt import GPT
from mas_fast.models.torch_codec import decode_pictures, decode_scenes, encode_scenes
from mas_fast.models.vqvae import VQVAE, preset
from mas_fast.pipelines.torch_pipeline import Model, generate, load
from mas_fast.streams import Streams

torch.set_num_threads(1)
ROWS = CppEngine.rows
HOUSE, DOGS = "a red house beside the lake", "two dogs at dusk"
needs_engine = pytest.mark.skipif(
    importlib.util.find_spec("mas_fast._engine") is None,
    reason="mas_fast._engine is not built: pip install -e .",
)


@pytest.fixture(scope="module")
def model(tiny_bundle) -> Model:
    return load(tiny_bundle, engine="eager", device="cpu")


@pytest.fixture
def copy(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "copy")


def same(a, b) -> bool:
    """Whether two generations have the same tokens, pictures and scenes."""
    pictures = all(x.tobytes() == y.tobytes() for x, y in zip(a.images, b.images, strict=True))
    return np.array_equal(a.tokens, b.tokens) and pictures and a.scenes == b.scenes


def test_pictures_are_the_decoded_tokens(model, tiny_bundle) -> None:
    out = model.generate([HOUSE, DOGS], num_images=2, seed=7)
    text = load_bpe(tiny_bundle).encode([HOUSE, DOGS]).ids
    tokens = generate_tokens(
        load_gpt(tiny_bundle), text, num_samples=2, seed=7, guidance=3.0, top_k=256
    )
    assert out.tokens.dtype == np.int64
    assert np.array_equal(out.tokens, tokens.numpy())
    seg, img = (tokens[:, part].view(-1, 4, 4) for part in (slice(8, 24), slice(24, 40)))
    assert out.scenes == decode_scenes(load_vq(tiny_bundle, "vq_seg"), seg)
    expected = decode_pictures(load_vq(tiny_bundle, "vq_img"), img)
    for image, pixels in zip(out.images, expected, strict=True):
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), pixels)
    assert out.captions == [HOUSE, HOUSE, DOGS, DOGS]
    assert (out.seed, out.num_images) == (7, 2)
    assert len({image.tobytes() for image in out.images}) == 4
    assert len({scene.labels.tobytes() for scene in out.scenes}) == 4


def test_a_seed_is_a_picture(model) -> None:
    first = model.generate(HOUSE, seed=1)
    assert same(first, model.generate(HOUSE, seed=1))
    assert not same(first, model.generate(HOUSE, seed=2))
    assert not same(first, model.generate(DOGS, seed=1))


@needs_engine
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "int8"])
def test_a_picture_depends_on_nothing_beside_it(tiny_bundle, dtype) -> None:
    """Neither on num_images nor on other captions, also where they are drawn in several blocks."""
    model = load(tiny_bundle, engine="cpp", device="cpu", dtype=dtype, threads=1)
    alone = model.generate(HOUSE, num_images=2)
    many = model.generate([DOGS, HOUSE, DOGS], num_images=ROWS + 3)
    assert len(many.images) == 3 * (ROWS + 3)
    assert same(alone, _part(many, ROWS + 3, 2))
    text = model.bpe.encode([HOUSE]).ids
    drawing = {"guidance": 3.0, "top_k": 256, "num_samples": ROWS + 3}
    expected = generate_tokens(model.engine, text, **drawing)
    assert np.array_equal(many.tokens[ROWS + 3 : 2 * (ROWS + 3)], expected.numpy())
    few = model.generate([HOUSE] + [DOGS] * ROWS, num_images=2)
    assert same(alone, _part(few, 0, 2))


def _part(out, start: int, count: int):
    part = slice(start, start + count)
    return replace(out, images=out.images[part], scenes=out.scenes[part], tokens=out.tokens[part])


@needs_engine
def test_both_engines_give_the_same_tokens_in_fp32(model, tiny_bundle) -> None:
    cpp = load(tiny_bundle, engine="cpp", device="cpu")
    assert isinstance(cpp.engine, CppEngine)
    for seed in range(4):
        assert same(
            model.generate([HOUSE, DOGS], seed=seed), cpp.generate([HOUSE, DOGS], seed=seed)
        )


def test_a_given_scene_is_encoded_and_kept(model, tiny_bundle, scene, tmp_path) -> None:
    codes = encode_scenes(load_vq(tiny_bundle, "vq_seg"), [scene.crop(0, 4, 24, 24).resize(16, 16)])
    assert len(codes.unique()) > 1
    out = model.generate(HOUSE, scene=scene, num_images=2, seed=3)
    assert np.array_equal(out.tokens[:, 8:24], np.tile(codes.flatten().numpy(), (2, 1)))
    assert out.scenes == decode_scenes(model.seg.model, codes.repeat(2, 1, 1))
    assert not np.array_equal(out.tokens[0, 24:], out.tokens[1, 24:])
    assert not np.array_equal(out.tokens[0, 24:], model.generate(HOUSE, seed=3).tokens[0, 24:])
    scene.save(tmp_path / "scene.png")
    for path in (tmp_path / "scene.png", str(tmp_path / "scene.png")):
        assert same(out, model.generate(HOUSE, scene=path, num_images=2, seed=3))


def test_a_scene_for_each_caption(model, scene) -> None:
    both = model.generate([HOUSE, DOGS], scene=[scene, scene.flip()])
    assert same(_part(both, 1, 1), model.generate(DOGS, scene=scene.flip()))
    one = model.generate([HOUSE, DOGS], scene=scene)
    assert np.array_equal(one.tokens[0, :24], both.tokens[0, :24])
    assert not np.array_equal(one.tokens[1, 8:24], both.tokens[1, 8:24])


def test_what_a_generation_made_can_be_painted_again(model) -> None:
    first = model.generate(HOUSE)
    codes = encode_scenes(model.seg.model, first.scenes).flatten(1).numpy()
    again = model.generate(DOGS, scene=first.scenes[0])
    assert np.array_equal(again.tokens[:, 8:24], codes)


def test_sampling_has_defaults_and_streams(model) -> None:
    plain = model.generate(HOUSE)
    assert same(plain, model.generate(HOUSE, guidance=3.0, temperature=1.0, top_k=256))
    assert same(plain, model.generate(HOUSE, guidance={"seg": 3.0}))  # img keeps its own
    assert same(plain, model.generate(HOUSE, top_k={"seg": None}))
    other = model.generate(HOUSE, guidance={"img": 1.0})
    assert np.array_equal(other.tokens[:, :24], plain.tokens[:, :24])
    assert not same(other, plain)
    for options in ({"guidance": 1.0}, {"temperature": 0}, {"top_k": 1}, {"top_p": 0.1}):
        assert not same(plain, model.generate(HOUSE, **options))


def test_a_bundle_says_how_to_sample(copy, model) -> None:
    values = {"guidance": {"img": 5.0}, "temperature": 0.7, "top_p": {"seg": 0.9}}
    (copy / "sampling.json").write_text(json.dumps(values))
    own = load(copy, engine="eager", device="cpu")
    expected = {"guidance": {"seg": 3.0, "img": 5.0}, "temperature": 0.7, "top_p": {"seg": 0.9}}
    assert same(own.generate(HOUSE), model.generate(HOUSE, **expected))
    asked = {"guidance": 2.0, "temperature": 1.0, "top_p": 1.0}
    assert same(own.generate(HOUSE, **asked), model.generate(HOUSE, **asked))


def test_negative_captions_and_schedules(model, tiny_bundle) -> None:
    plain = model.generate([HOUSE, DOGS], num_images=2, seed=7)
    text, null = (load_bpe(tiny_bundle).encode(words).ids for words in ([HOUSE, DOGS], [DOGS]))
    tokens = generate_tokens(
        load_gpt(tiny_bundle),
        text,
        num_samples=2,
        seed=7,
        null=null,
        guidance={"seg": 3.0, "img": [5.0, 1.0]},
        top_k=256,
    )
    how = {"num_images": 2, "seed": 7, "guidance": {"img": [5.0, 1.0]}}
    out = model.generate([HOUSE, DOGS], negative=DOGS, **how)
    assert np.array_equal(out.tokens, tokens.numpy())
    assert not np.array_equal(out.tokens[:, :24], plain.tokens[:, :24])
    assert same(out, model.generate([HOUSE, DOGS], negative=[DOGS, DOGS], **how))


def test_a_bundle_may_hold_a_schedule(copy, model) -> None:
    (copy / "sampling.json").write_text('{"guidance": {"seg": [1.0, 4.0]}}')
    own = load(copy, engine="eager", device="cpu")
    assert same(own.generate(HOUSE), model.generate(HOUSE, guidance={"seg": [1.0, 4.0]}))
    assert not same(own.generate(HOUSE), model.generate(HOUSE))


def test_scores_of_pictures(model, tiny_bundle) -> None:
    out = model.generate([HOUSE, DOGS], num_images=2)
    encode = load_bpe(tiny_bundle).encode
    engine = EagerEngine(load_gpt(tiny_bundle))
    for captions, text in (
        (HOUSE, encode([HOUSE]).ids),
        ([HOUSE, DOGS, DOGS, HOUSE], encode([HOUSE, DOGS, DOGS, HOUSE]).ids),
    ):
        scores = model.score(captions, out.tokens)
        expected = score_tokens(engine, text, out.tokens)
        assert list(scores) == ["seg", "img"]
        assert all(np.array_equal(scores[name], expected[name]) for name in scores)
        assert all(score.shape == (4,) for score in scores.values())
    with pytest.raises(ValueError, match="captions: found 2, expected one, or 4 as rows of tok"):
        model.score([HOUSE, DOGS], out.tokens)
    with pytest.raises(ValueError, match="caption 1: found '', expected some words"):
        model.score("", out.tokens)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "sampling.json: found broken JSON"),
        ("[]", "sampling.json: found list, expected dict"),
        (
            '{"guidence": 3}',
            r"sampling.json: found \['guidence'\], expected a mapping",
        ),
        ('{"guidance": NaN}', r"sampling.json: found broken JSON \(found NaN, which"),
        ('{"guidance": 1e999}', "sampling.json: guidance: found inf, expected a finite number"),
        (
            '{"guidance": {"seg": [3]}}',
            r"sampling.json: guidance: found \[3\], expected a number, or two or more in a list",
        ),
        (
            '{"guidance": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]}',
            "sampling.json: guidance: found a schedule of 17 numbers, expected at most 16",
        ),
        ('{"top_k": 0}', "sampling.json: top_k: found 0, expected an integer >= 1"),
        ('{"top_p": {"sky": 0.5}}', r"sampling.json: top_p: found streams \['sky'\]"),
    ],
)
def test_a_wrong_sampling_file_is_named(copy, content, message) -> None:
    (copy / "sampling.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        load(copy, engine="eager", device="cpu")


def test_unknown_words_and_long_captions_are_reported(model, copy) -> None:
    out = model.generate(["A RED zebra, beside the zebra's lake!", "Two dogs"])
    assert out.unknown_words == ["zebra", "zebra's"]
    long = model.generate("a red house " * 1000)
    assert len(long.images) == 1
    assert len(long.truncated) == 1
    assert ("a red house " * 1000).startswith(long.truncated[0])
    assert model.generate("dogs").truncated == []
    (copy / "words.txt").unlink()
    assert load(copy, engine="eager", device="cpu").generate("zebra").unknown_words == []


@needs_engine
def test_pictures_are_the_same_at_any_width(tiny_bundle) -> None:
    model = load(tiny_bundle, engine="cpp", device="cpu")
    expected = model.generate([HOUSE, DOGS], num_images=2, seed=4, speculate=1)
    for speculate in (2, 8, 32, "auto"):
        found = model.generate([HOUSE, DOGS], num_images=2, seed=4, speculate=speculate)
        assert same(found, expected)


def test_progress_goes_to_the_end(model, capsys, scene, terminal) -> None:
    model.generate([HOUSE, DOGS], num_images=ROWS + 1, progress=True)
    assert "128/128" in capsys.readouterr().err  # four blocks of 32 tokens
    model.generate(HOUSE, scene=scene, progress=True)
    assert "16/16" in capsys.readouterr().err
    model.generate(HOUSE)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"captions": ""}, "caption 1: found '', expected some words"),
        ({"captions": [HOUSE, " \n"]}, "caption 2: found ' .n', expected some words"),
        ({"captions": []}, "captions: found none"),
        ({"captions": [7]}, "caption 1: found 7"),
        ({"captions": "\ud800"}, "lone surrogate"),
        ({"num_images": 0}, "num_images: found 0, expected an integer >= 1"),
        ({"seed": -1}, "seed: found -1"),
        ({"guidance": float("nan")}, "guidance: found nan, expected a finite number"),
        ({"guidance": {"sky": 1.0}}, r"guidance: found streams \['sky'\]"),
        ({"temperature": -1}, "temperature: found -1"),
        ({"top_k": 0}, "top_k: found 0"),
        ({"top_p": 2.0}, "top_p: found 2.0"),
        ({"speculate": 0}, "speculate: found 0, expected 'auto' or an integer in 1..32"),
        ({"scene": "none.png"}, "none.png: found no such file"),
        ({"scene": 7}, "scene: found int, expected"),
        ({"scene": [7]}, "scene: found int, expected a Scene, the path of one, or words"),
        ({"scene": ["a.png", "b.png"]}, "scene: found 2, expected one, or 1 as captions"),
    ],
)
def test_bad_arguments_are_named(model, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        model.generate(**({"captions": HOUSE} | arguments))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "onnx"}, "engine: found 'onnx', expected one of ..cpp', 'graph', 'eager'"),
        ({"dtype": "fp16"}, "dtype: found 'fp16', expected one of"),
        ({"engine": "eager", "dtype": "int8"}, "dtype: found 'int8', expected one of .*'eager'"),
        ({"device": "tpu9"}, "device: found 'tpu9', expected one that is here"),
        (
            {"engine": "cpp", "device": "meta"},
            "device: found 'meta', expected one of .'cpu'. for the engine 'cpp'",
        ),
        ({"engine": "cpp", "threads": -1}, "threads: found -1"),
    ],
)
def test_bad_options_of_load_are_named(tiny_bundle, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        load(tiny_bundle, **({"device": "cpu"} | options))


def test_dtypes(tiny_bundle) -> None:
    for name in ("bf16",):
        assert load(tiny_bundle, engine="eager", dtype=name).engine.model.dtype == torch.bfloat16
    for name in (None, "fp32"):
        assert load(tiny_bundle, engine="eager", dtype=name).engine.model.dtype == torch.float32


def test_a_gpt_in_bf16_is_computed_in_fp32(copy, tiny_bundle) -> None:
    gpt = load_gpt(tiny_bundle, dtype=torch.bfloat16)
    save_gpt(copy, gpt)
    model = load(copy, engine="eager", device="cpu")
    assert model.engine.model.dtype == torch.float32
    assert torch.equal(model.engine.model.norm.weight, gpt.norm.weight.float())


def test_bundles_that_do_not_fit_are_named(copy, tmp_path) -> None:
    with pytest.raises(ValueError, match="none: not a bundle: found no config.json"):
        load(tmp_path / "none")
    save_vq(copy, "vq_img", VQVAE.create(preset("tiny-img")))
    with pytest.raises(ValueError, match="vq_img: found 64 codes in a grid of 8 x 8, expected 64"):
        load(copy, device="cpu")
    config = replace(preset("tiny-seg"), resolution=16, layout=None)
    save_vq(copy, "vq_seg", VQVAE.create(config))
    with pytest.raises(ValueError, match="vq_seg: found no layout of scenes"):
        load(copy, device="cpu")
    bpe = load_bpe(copy)
    save_bpe(copy, type(bpe)(bpe._tokenizer, length=7))
    with pytest.raises(ValueError, match=r"\(7, 280, 0\), expected \(8, 280, 0\), as the GPT has"):
        load(copy, device="cpu")
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match="tokenizer.json: found no such file"):
        load(copy, device="cpu")


def test_a_model_without_scenes(copy, tiny_bundle, scene) -> None:
    """As minDALL-E, imported: text and picture."""
    config = load_gpt(tiny_bundle).config
    streams = Streams([config.streams["text"], config.streams["img"]])
    save_gpt(copy, GPT.create(replace(config, streams=streams)))
    (copy / "sampling.json").write_text('{"guidance": 1.0}')
    model = load(copy, engine="eager", device="cpu")
    out = model.generate(HOUSE, num_images=2)
    assert out.scenes == []
    assert out.tokens.shape == (2, 24)
    how = {"num_images": 2, "negative": DOGS}
    guided = model.generate(HOUSE, guidance=[5.0, 2.0], **how)
    assert not np.array_equal(guided.tokens, out.tokens)
    with pytest.raises(ValueError, match="negative: found one with guidance 1, by which no second"):
        model.generate(HOUSE, **how)
    scores = model.score(HOUSE, out.tokens)
    assert [(name, score.shape) for name, score in scores.items()] == [("img", (2,))]
    assert model.size == 16
    with pytest.raises(ValueError, match="scene: found one, expected None: .* has no scenes"):
        model.generate(HOUSE, scene=scene)
    other = Streams([config.streams["text"], config.streams["seg"]])
    save_gpt(copy, GPT.create(replace(config, streams=other)))
    with pytest.raises(ValueError, match=r"found a GPT of the streams \['text', 'seg'\], expected"):
        load(copy, device="cpu")


def test_the_package_generates(tiny_bundle, model, monkeypatch, tmp_path) -> None:
    assert mas_fast.generate is generate
    assert mas_fast.load is load
    expected = model.generate(HOUSE, seed=5)
    assert same(mas_fast.generate(HOUSE, model=model, seed=5), expected)
    assert same(mas_fast.generate(HOUSE, model=str(tiny_bundle), seed=5), expected)
    monkeypatch.setattr(bundles, "SHIPPED", tmp_path / "storybook")
    with pytest.raises(ValueError, match="storybook: found no such folder: no trained model comes"):
        mas_fast.load()
    with pytest.raises(ValueError, match="expected the path of a bundle that `mas-fast train`"):
        mas_fast.generate(HOUSE)
    shutil.copytree(tiny_bundle, tmp_path / "storybook")
    assert same(mas_fast.generate(HOUSE, seed=5), expected)
    loads = []
    monkeypatch.setattr(Model, "__init__", lambda *_: loads.append(1))
    assert same(mas_fast.generate(HOUSE, seed=5), expected)
    assert not loads  # it stays loaded
