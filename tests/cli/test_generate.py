"""`mas-fast generate`: what it writes, what it says, and how mistakes end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import mas_fast
from mas_fast import cli
from mas_fast.bundle import config as bundles
from mas_fast.cli.ending import Interrupted
from mas_fast.generation import CppEngine
from mas_fast.scene import Scene

CAPTION = "a red house beside the lake"
COMMAND = [sys.executable, "-c", "from mas_fast.cli import main; main()", "generate"]


@pytest.fixture
def run(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def command(*arguments, model=tiny_bundle):
        words = [*map(str, arguments), *(["--model", str(model)] if model else [])]
        return CliRunner().invoke(
            cli.app, ["generate", "--device", "cpu", *words], catch_exceptions=False
        )

    return command


def test_one_caption(run, tiny_bundle, tmp_path, terminal) -> None:
    result = run(CAPTION, "--seed", 3)
    assert result.exit_code == 0
    files = ["out.png", "out.scene.png", "out.legend.png"]
    assert result.stdout.splitlines() == [f"written: {file}" for file in files]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(files)
    out = mas_fast.load(tiny_bundle, device="cpu").generate(CAPTION, seed=3)
    assert Image.open("out.png").tobytes() == out.images[0].tobytes()
    assert Scene.load("out.scene.png") == out.scenes[0]
    assert "32/32" in result.stderr  # the bar


def test_a_scene_for_a_model_without_scenes(run, tmp_path) -> None:
    """As an imported minDALL-E is."""
    from mas_fast.bundle import save_gpt
    from mas_fast.models.gpt import GPT
    from mas_fast.models.gpt_config import GPTConfig, preset
    from mas_fast.streams import Streams

    streams = preset("tiny").streams
    config = GPTConfig(Streams([streams["text"], streams["img"]]), 32, 1, 4, 64)
    save_gpt(tmp_path / "bundle", GPT.create(config))
    message = r"--scene: found a\.png, expected none: .*bundle has the streams \['text', 'img'\]"
    with pytest.raises(ValueError, match=message):
        run(CAPTION, "--scene", "a.png", model=tmp_path / "bundle")


def test_several(run, tmp_path) -> None:
    result = run(CAPTION, "two dogs", "-n", 2, "-o", tmp_path / "many.png")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 1 + 4 * 3
    assert len(list(tmp_path.iterdir())) == 13
    assert run("two dogs").exit_code == 0
    assert Image.open("out.png").tobytes() == Image.open("many-3.png").tobytes()


def test_options_reach_the_model(run, tiny_bundle, monkeypatch) -> None:
    calls = []
    monkeypatch.setattr(
        "mas_fast.pipelines.torch_pipeline.Model.paint",
        lambda self, captions, **how: calls.append(how) or 1 / 0,
    )
    monkeypatch.setattr("torch.set_num_threads", calls.append)
    numbers = "--guidance 4 --seg-guidance 2 --top-k 9 --top-p 0.5 --temperature 0.8 --seed 5"
    with pytest.raises(ZeroDivisionError):
        run(CAPTION, *numbers.split(), "--threads", 1, "--negative", "a tree")
    assert calls[0] == 1
    assert calls[1] == {
        "guidance": {"seg": 2.0, "img": 4.0},
        "top_k": 9,
        "top_p": 0.5,
        "temperature": 0.8,
        "seed": 5,
        "num_images": 1,
        "negative": ["a tree"],
        "scene": None,
        "image": None,
        "image_rows": None,
        "speculate": "auto",
        "candidates": 1,
        "best_of": 1,
        "callback": None,
        "progress": True,
    }
    with pytest.raises(ZeroDivisionError):
        run(CAPTION, "--speculate", 8)
    assert calls[-1]["speculate"] == 8
    for words, expected in (
        ([], None),
        (["--guidance", "4"], 4.0),
        (["--seg-guidance", "2"], {"seg": 2.0}),
        (["--guidance", "5:2"], [5.0, 2.0]),
        (["--seg-guidance", "1:2.5:-1", "--guidance", "3"], {"seg": [1.0, 2.5, -1.0], "img": 3.0}),
    ):
        with pytest.raises(ZeroDivisionError):
            run(CAPTION, *words)
        assert calls[-1].get("guidance") == expected
        assert calls[-1]["negative"] is None
    words = "--seg-top-k 4 --seg-top-p 0.5 --seg-temperature 0 --temperature 2"
    with pytest.raises(ZeroDivisionError):
        run(CAPTION, *words.split())
    expected = {"top_k": {"seg": 4}, "top_p": {"seg": 0.5}, "temperature": {"seg": 0, "img": 2}}
    assert {name: calls[-1].get(name) for name in expected} == expected


def test_negative_captions_and_schedules(run, tiny_bundle) -> None:
    words = "--negative", "two dogs", "--guidance", "5:1:2", "--seg-guidance", 4, "--seg-top-k", 9
    assert run(CAPTION, *words).exit_code == 0
    model = mas_fast.load(tiny_bundle, device="cpu", engine="eager")
    how = {"guidance": {"seg": 4.0, "img": [5.0, 1.0, 2.0]}, "top_k": {"seg": 9}}
    expected = model.generate(CAPTION, negative="two dogs", **how)
    assert Image.open("out.png").tobytes() == expected.images[0].tobytes()
    words = "--negative", "two dogs", "--negative", "the lake"
    assert run(CAPTION, "dogs", *words).exit_code == 0
    expected = model.generate([CAPTION, "dogs"], negative=["two dogs", "the lake"])
    for n, image in enumerate(expected.images, 1):
        assert Image.open(f"out-{n}.png").tobytes() == image.tobytes()


def test_settings_of_the_scene_for_a_model_without_scenes(run, tiny_bundle, tmp_path) -> None:
    config = json.loads((tiny_bundle / "config.json").read_text())
    config["gpt"]["streams"] = [s for s in config["gpt"]["streams"] if s["name"] != "seg"]
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "config.json").write_text(json.dumps(config))
    message = "--seg-top-k: found 3, expected none: the GPT of .*plain draws no scenes"
    with pytest.raises(ValueError, match=message):
        run(CAPTION, "--seg-top-k", 3, model=tmp_path / "plain")


def test_words_and_length_are_reported(run) -> None:
    result = run("a quokka beside the lake " * 400)
    assert result.exit_code == 0
    assert Path("out.png").is_file()
    assert "not in the captions it learned from: quokka\n" in result.stderr
    read = result.stderr.partition("too long, the model read no more than: ")[2].splitlines()[0]
    assert len(read) > 1
    assert ("a quokka beside the lake " * 400).startswith(read)
    assert "learned from" not in run(CAPTION).stderr


def test_a_painted_scene(run, tiny_bundle, terminal) -> None:
    labels = np.full((20, 30), 119, np.uint8)
    labels[10:, 5:] = 16
    Image.fromarray(labels).save("painted.png")
    with pytest.raises(ValueError, match="painted.png: found labels of mode L and nothing that"):
        run(CAPTION, "--scene", "painted.png")
    result = run(CAPTION, "--scene", "painted.png", "--scene-labels", "mini158")
    assert result.exit_code == 0
    assert "painted.png: read as mini158: dog 50.0%, sky-other-merged 50.0%\n" in result.stderr
    model = mas_fast.load(tiny_bundle, device="cpu")
    expected = model.generate(CAPTION, scene="painted.png", scene_labels="mini158")
    assert Image.open("out.png").tobytes() == expected.images[0].tobytes()
    assert "16/16" in result.stderr


def test_a_scene_in_words(run, tiny_bundle, terminal) -> None:
    words = "sky: 0,0,16,4; dog: 8,8,16,16"
    result = run(CAPTION, "--scene", words)
    assert result.exit_code == 0
    assert "--scene: read as words: void 50.0%, dog 25.0%, sky-other-merged 25.0%" in result.stderr
    assert "8 of 16 cells of it are given, 8 are drawn\n" in result.stderr
    expected = mas_fast.load(tiny_bundle, device="cpu").generate(CAPTION, scene=words)
    assert Image.open("out.png").tobytes() == expected.images[0].tobytes()
    assert "28/28" in result.stderr  # from the first one that is drawn


def test_a_picture_goes_on(run, tiny_bundle) -> None:
    assert run(CAPTION, "-o", "a.png").exit_code == 0
    assert run(CAPTION, "--image", "a.png", "--image-rows", 8, "--seed", 5).exit_code == 0
    model = mas_fast.load(tiny_bundle, device="cpu")
    expected = model.generate(CAPTION, image="a.png", image_rows=8, seed=5)
    assert Image.open("out.png").tobytes() == expected.images[0].tobytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([CAPTION, "--scene", "sky: 0,0,17,4"], "--scene: sky: found the box 0,0,17,4, expected"),
        ([CAPTION, "--scene", "skyy: 0,0,9,4"], "--scene: found no class 'skyy'; did you mean"),
        (
            [CAPTION, "--scene", "sky: 0,0,9,4", "--scene-labels", "voc"],
            "--scene-labels: found voc with words, expected a file as --scene",
        ),
        ([CAPTION, "--image-rows", "4"], "--image-rows: found 4, expected --image with it"),
        ([CAPTION, "--image", "none.png"], "--image: found no file none.png, expected a picture"),
        ([" "], "caption 1: found ' ', expected some words"),
        ([CAPTION, "-o", "none/out.png"], "none/out.png: found no folder none, expected one"),
        ([CAPTION, "-o", "out.txt"], "out.txt: found the suffix '.txt'"),
        ([CAPTION, "--guidance", "nan"], "--guidance: found nan, expected a finite number"),
        ([CAPTION, "--seg-guidance", "inf"], "--seg-guidance: found inf, expected a finite "),
        (
            [CAPTION, "--guidance", "5:x"],
            "--guidance: found '5:x', expected a number, or several for a schedule, as 5:2",
        ),
        ([CAPTION, "--seg-guidance", "5:"], "--seg-guidance: found '5:', expected a number, or"),
        ([CAPTION, "--guidance", "1:nan"], "--guidance: found nan, expected a finite number"),
        (
            [CAPTION, "--guidance", ":".join("1" * 17)],
            "--guidance: found a schedule of 17 numbers, expected at most 16",
        ),
        ([CAPTION, "--seg-top-k", "0"], "--seg-top-k: found 0, expected an integer >= 1"),
        ([CAPTION, "--negative", " "], "negative caption 1: found ' ', expected some words"),
        (
            [CAPTION, "--negative", "a", "--negative", "b"],
            "--negative: found 2, expected one",
        ),
        (
            [CAPTION, "--negative", "a tree", "--guidance", "1", "--device", "cpu"],
            "--negative: found one with guidance 1, by which no second caption is read",
        ),
        ([CAPTION, "--top-k", "0"], "--top-k: found 0, expected an integer >= 1"),
        (
            [CAPTION, "--speculate", "33"],
            "--speculate: found 33, expected 'auto' or an integer in 1..32",
        ),
        ([CAPTION, "--speculate", "fast"], "--speculate: found 'fast', expected 'auto' or an "),
        ([CAPTION, "--scene", "none.png"], "none.png: found no such file"),
        ([CAPTION, "--scene-labels", "voc"], "--scene-labels: found voc, expected --scene with it"),
        (
            [CAPTION, "--scene", "a.png", "--scene-labels", "x"],
            "labels: found 'x', expected one of",
        ),
        ([CAPTION, "--scene-json", "a.json"], "--scene-json: found a.json, expected --scene with"),
        ([CAPTION, "--model", "nowhere"], "nowhere: not a bundle: found no config.json"),
        ([CAPTION, "--num-images", "0"], "--num-images: found 0"),
        ([CAPTION, "--seed", "-1"], "--seed: found -1, expected an integer in 0.."),
        ([CAPTION, "--seed", str(2**64)], "--seed: found 18446744073709551616, expected"),
        ([CAPTION, "--threads", "1000"], "--threads: found 1000, expected 0 (all) to "),
        ([CAPTION, "--threads", "-1"], "--threads: found -1, expected 0 (all) to "),
        ([CAPTION, "-n", "10001"], "--num-images: found 10001, expected an integer in 1..10000"),
        ([CAPTION, "-o", "a" * 250 + ".png"], "a" * 250 + ".png: found a name of 254 bytes"),
        (
            [CAPTION, "--engine", "onnx"],
            "--engine: found 'onnx', expected one of ['cpp', 'graph', 'eager']",
        ),
        ([CAPTION, "--dtype", "fp8"], "--dtype: found 'fp8', expected one of"),
    ],
)
def test_mistakes_end_in_one_line(tiny_bundle, tmp_path, monkeypatch, words, message) -> None:
    monkeypatch.chdir(tmp_path)
    words = words if "--model" in words else [*words, "--model", str(tiny_bundle)]
    monkeypatch.setattr(sys, "argv", ["mas-fast", "generate", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert str(end.value.code).startswith(f"mas-fast: {message}")
    assert "\n" not in end.value.code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (["out.scene.png"], "--scene out.scene.png -o out.png"),
        (["a.png"], "--scene a.png -o a.png"),
        (["a.png"], "--scene ./a.png -o a.png"),
        (["x-2.legend.png"], "--scene x-2.legend.png -n 2 -o x.png"),
        (["x.png"], "--scene x.png -n 2 -o x.png"),
        (["link.png"], "--scene link.png -o linked.png"),
        (["a.png", "out.png"], "--scene a.png --scene-json out.png"),
    ],
)
def test_what_is_read_is_not_overwritten(tiny_bundle, tmp_path, monkeypatch, inputs, words) -> None:
    monkeypatch.chdir(tmp_path)
    for name in inputs:
        Scene(np.full((16, 16), 119, np.uint8), np.zeros((16, 16), bool)).save(name)
    if "link" in words:
        os.link("link.png", "linked.png")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    words = [CAPTION, *words.split(), "--model", str(tiny_bundle)]
    monkeypatch.setattr(sys, "argv", ["mas-fast", "generate", *words])
    with pytest.raises(SystemExit, match="--output: .*: found an input of this command, which"):
        cli.main()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_bundle_is_not_overwritten(tiny_bundle, tmp_path, monkeypatch) -> None:
    """Nor through a link to one of its files."""
    (tmp_path / "config.png").symlink_to(tiny_bundle / "config.json")
    words = [CAPTION, "-o", str(tmp_path / "config.png"), "--model", str(tiny_bundle)]
    monkeypatch.setattr(sys, "argv", ["mas-fast", "generate", *words])
    with pytest.raises(SystemExit, match="found an input of this command"):
        cli.main()


def test_the_guidance_of_a_scene_that_is_given(run) -> None:
    Image.fromarray(np.full((20, 30), 119, np.uint8)).save("painted.png")
    with pytest.raises(ValueError, match="--seg-guidance: found 2.0 with --scene painted.png"):
        run(CAPTION, "--scene", "painted.png", "--scene-labels", "mini158", "--seg-guidance", 2)
    part = run(CAPTION, "--scene", "sky: 0,0,16,4", "--seg-guidance", 2)
    assert part.exit_code == 0


def test_a_model_without_scenes_takes_none(run, tiny_bundle, tmp_path) -> None:
    config = json.loads((tiny_bundle / "config.json").read_text())
    config["gpt"]["streams"] = [s for s in config["gpt"]["streams"] if s["name"] != "seg"]
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "config.json").write_text(json.dumps(config))
    Image.fromarray(np.full((20, 30), 119, np.uint8)).save("painted.png")
    with pytest.raises(ValueError, match="--scene: found painted.png, expected none: the GPT of"):
        run(CAPTION, "--scene", "painted.png", model=tmp_path / "plain")


def test_words_without_quotes_get_a_hint(run) -> None:
    hint = 'if that is one, in quotes: mas-fast generate "a red house"\n'
    assert hint in run("a", "red", "house").stderr
    assert "in quotes" not in run("a red house", "dogs").stderr


def test_an_interrupt_keeps_what_is_finished(run, tiny_bundle, monkeypatch) -> None:
    start, calls = CppEngine.start, []

    def interrupted(engine, request):
        calls.append(request.first_sample)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return start(engine, request)

    monkeypatch.setattr(CppEngine, "start", interrupted)
    with pytest.raises(Interrupted, match="^32 of 40 pictures are finished$"):
        run(CAPTION, "-n", 40, "--seed", 3)
    assert calls == [0, 16, 32]
    for n in (1, 16, 32):
        assert Scene.load(f"out-{n}.scene.png")
        assert Image.open(f"out-{n}.legend.png")
    assert not Path("out-33.png").exists()
    monkeypatch.setattr(CppEngine, "start", start)
    whole = mas_fast.load(tiny_bundle, device="cpu").generate(CAPTION, num_images=32, seed=3)
    assert Image.open("out-32.png").tobytes() == whole.images[31].tobytes()
    assert Image.open("out.png").tobytes() == whole.sheet().tobytes()


def test_a_failure_keeps_what_is_finished(run, monkeypatch) -> None:
    monkeypatch.setattr(CppEngine, "rows", 1)
    save = Image.Image.save

    def full(self, file, *arguments, **options):
        if "out-2.png" in str(file):
            raise OSError(28, "No space left on device")
        return save(self, file, *arguments, **options)

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left"):
        run(CAPTION, "-n", 3)
    assert sorted(p.name for p in Path().glob("*.png")) == [
        "out-1.legend.png",
        "out-1.png",
        "out-1.scene.png",
        "out.png",
    ]


def test_without_a_shipped_model(run, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(bundles, "SHIPPED", tmp_path / "storybook")
    with pytest.raises(ValueError, match="storybook: found no such folder: no trained model comes"):
        run(CAPTION, model=None)


def test_mistakes_are_found_without_torch(tiny_bundle, tmp_path) -> None:
    block = "import sys; sys.modules['torch'] = None; from mas_fast.cli import main; main()"
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    words = [CAPTION, "--model", str(tiny_bundle), "--scene", str(tmp_path / "photo.png")]
    done = subprocess.run(
        [sys.executable, "-c", block, "generate", *words], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "photo.png: found RGB without the text entry" in done.stderr
