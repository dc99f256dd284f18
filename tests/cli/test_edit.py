"""`mas-fast edit`: a region is drawn anew, by what the command line says."""

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import mas_fast
from mas_fast import cli

CAPTION = "a red house beside the lake"


@pytest.fixture
def run(tiny_bundle, tmp_path, monkeypatch):
    """In a folder with out.png."""
    monkeypatch.chdir(tmp_path)
    mas_fast.load(tiny_bundle, device="cpu").generate(CAPTION, seed=3).save("out.png")

    def command(*arguments):
        words = ["edit", *map(str, arguments), "--model", str(tiny_bundle), "--device", "cpu"]
        return CliRunner().invoke(cli.app, words, catch_exceptions=False)

    return command


def test_a_box_and_a_mask(run, tiny_bundle) -> None:
    result = run("out.png", "--region", "0,0, 8,8", "--seed", 4)
    assert result.exit_code == 0
    names = ["edited.png", "edited.scene.png", "edited.legend.png"]
    assert result.stdout.splitlines() == [f"written: {name}" for name in names]
    model = mas_fast.load(tiny_bundle, device="cpu")
    expected = model.edit("out.png", region=(0, 0, 8, 8), seed=4)
    assert Image.open("edited.png").tobytes() == expected.images[0].tobytes()
    mask = np.zeros((16, 16), bool)
    mask[:8, :8] = True
    Image.fromarray(mask).save("mask.png")
    assert run("out.png", "--region", "mask.png", "--seed", 4, "-o", "by_mask.png").exit_code == 0
    assert Path("by_mask.png").read_bytes() == Path("edited.png").read_bytes()


def test_options_reach_the_model(run, tiny_bundle) -> None:
    told = "two dogs on a long road"
    words = "-n 2 --what picture --guidance 2:3 --temperature 0.5 --top-k 9 --negative 'a lake'"
    chosen = [*shlex.split(words), "--caption", told]
    assert run("out.png", "--region", "0,0,8,8", *chosen).exit_code == 0
    expected = mas_fast.load(tiny_bundle, device="cpu").edit(
        "out.png",
        region=(0, 0, 8, 8),
        caption=told,
        what="picture",
        num_images=2,
        guidance=[2.0, 3.0],
        top_k=9,
        negative="a lake",
        temperature=0.5,
    )
    for n in range(2):
        assert Image.open(f"edited-{n + 1}.png").tobytes() == expected.images[n].tobytes()


def test_a_photo_with_a_scene_in_words(run) -> None:
    Image.open("out.png").save("photo.jpg")
    words = ["--caption", CAPTION, "--region", "0,8,16,16", "--scene", "sky: 0,0,16,8"]
    result = run("photo.jpg", *words)
    assert result.exit_code == 0
    assert "8 of 16 cells of it are given" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("none.png --region 0,0,8,8", "picture: found no file none.png, expected a picture"),
        ("out.png --region none.png", "--region: found no file none.png, expected a mask or a box"),
        ("out.png --region 0,0,8", "--region: found no file 0,0,8, expected a mask or a box"),
        ("out.png --region 0,0,17,8", "--region: found (0, 0, 17, 8), expected a mask"),
        ("out.png --region 0,0,8,8 --what sky", "--what: found 'sky', expected one of"),
        ("out.png --region 0,0,8,8 --seed -1", "--seed: found -1"),
        ("out.png --region 0,0,8,8 -n 0", "--num-images: found 0"),
        ("out.png --region 0,0,8,8 --guidance nan", "--guidance: found nan"),
        ("out.png --region 0,0,8,8 --scene out.scene.png", "--scene: found one, expected None"),
        ("out.png --region 0,0,8,8 --scene-labels voc", "--scene-labels: found voc, expected"),
        ("out.png --region 0,0,8,8 -o out.png", "--output: out.png: found an input of this"),
        ("photo.png --region 0,0,8,8", "scene: found none, and no photo.scene.png, expected"),
    ],
)
def test_mistakes_end_in_one_line(run, tiny_bundle, monkeypatch, words, message) -> None:
    Image.new("RGB", (16, 16)).save("photo.png")
    monkeypatch.setattr(
        sys, "argv", ["mas-fast", "edit", *words.split(), "--model", str(tiny_bundle)]
    )
    before = sorted(Path().iterdir())
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert str(end.value.code).startswith(f"mas-fast: {message}")
    assert "\n" not in end.value.code
    assert sorted(Path().iterdir()) == before
