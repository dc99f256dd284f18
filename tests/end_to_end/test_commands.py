"""From a caption on the command line to files, and back: the way of a user, in processes of their
own; on a bundle at random, and on the one that comes with mas_fast."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mas_fast
from mas_fast.bundle import SHIPPED, load_vq
from mas_fast.models.torch_codec import decode_scenes, encode_scenes
from mas_fast.scene import Scene, open_scene
from mas_fast.scene.fill import fill_void

CAPTION = "a red house beside a lake at dusk"
COMMAND = Path(sys.executable).with_name("mas-fast")


@pytest.fixture(params=["tiny", "shipped"])
def bundle(request, tiny_bundle) -> Path:
    if request.param == "tiny":
        return tiny_bundle
    if not SHIPPED.is_dir():
        pytest.skip(f"needs the model that comes with mas_fast, in {SHIPPED}")
    return SHIPPED


def run(folder: Path, bundle: Path, *words, **environment) -> subprocess.CompletedProcess:
    model = [] if bundle == SHIPPED else ["--model", str(bundle)]
    command = [str(COMMAND), "generate", "--device", "cpu", *map(str, words), *model]
    environment = os.environ | environment
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


def paint(folder: Path, bundle: Path, *words, **environment) -> subprocess.CompletedProcess:
    done = run(folder, bundle, *words, **environment)
    assert done.returncode == 0, done.stderr
    return done


def test_the_same_seed_paints_the_same_picture(bundle, tmp_path) -> None:
    for name, *words in (["a"], ["b", "-n", 2], ["c", "--seed", 1]):
        paint(tmp_path, bundle, CAPTION, "-o", f"{name}.png", *words)
    read = {f: (tmp_path / f"{f}.png").read_bytes() for f in ("a", "b-1", "b-2", "c")}
    assert read["a"] == read["b-1"]
    assert len({read["a"], read["c"], read["b-2"]}) == 3
    scenes = [Scene.load(tmp_path / f"{name}.scene.png") for name in ("a", "b-1", "c")]
    assert scenes[0] == scenes[1] != scenes[2]


def test_both_engines_paint_the_same_picture(bundle, tmp_path) -> None:
    pytest.importorskip("mas_fast._engine", reason="mas_fast._engine is not built")
    for engine in ("eager", "cpp"):
        options = ("--engine", engine, "-o", f"{engine}.png")
        paint(tmp_path, bundle, CAPTION, *options)
    for suffix in (".png", ".scene.png"):
        files = (tmp_path / f"{engine}{suffix}" for engine in ("eager", "cpp"))
        assert len({file.read_bytes() for file in files}) == 1


def test_a_scene_goes_out_and_comes_in_again(bundle, tmp_path) -> None:
    """The seg tokens are VQ-SEG's encoding of it, and the image tokens are drawn."""
    paint(tmp_path, bundle, CAPTION)
    file = tmp_path / "out.scene.png"
    given = [CAPTION, "--scene", file]
    # As many as this process has: others round otherwise.
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    paint(tmp_path, bundle, *given, "-o", "again.png", **threads)
    seg = load_vq(bundle, "vq_seg", dtype=torch.float32)
    codes = encode_scenes(seg, [Scene.load(file)])
    assert Scene.load(tmp_path / "again.scene.png") == decode_scenes(seg, codes)[0]
    model = mas_fast.load(bundle, device="cpu")
    out = model.generate(CAPTION, scene=Scene.load(file))
    assert np.array_equal(out.tokens[:, model.streams.slice("seg")], codes.flatten(1).numpy())
    assert Image.open(tmp_path / "again.png").tobytes() == out.images[0].tobytes()
    paint(tmp_path, bundle, *given, "--seed", 9, "-o", "other.png", **threads)
    assert (tmp_path / "other.png").read_bytes() != (tmp_path / "again.png").read_bytes()
    scenes = [tmp_path / f"{name}.scene.png" for name in ("other", "again")]
    assert scenes[0].read_bytes() == scenes[1].read_bytes()


def test_scenes_of_other_people(bundle, coco, tmp_path) -> None:
    """COCO's panoptic PNG with its JSON, and labels painted by hand."""
    labels = np.full((48, 64), 119, np.uint8)
    labels[20:] = 125
    labels[10:40, 20:40] = 17
    Image.fromarray(labels).save(tmp_path / "painted.png")
    panoptic = coco / "annotations" / "panoptic_val2017" / "000000017029.png"
    files = {tmp_path / "painted.png": "mini158", panoptic: "coco-panoptic"}
    seg = load_vq(bundle, "vq_seg", dtype=torch.float32)
    for file, labels in files.items():
        paint(tmp_path, bundle, CAPTION, "--scene", file, "--scene-labels", labels)
        scene = open_scene(file, labels=labels, size=seg.config.resolution)
        # COCO leaves a few pixels void, but no cell.
        expected = decode_scenes(seg, encode_scenes(seg, [fill_void(scene)]))[0]
        assert Scene.load(tmp_path / "out.scene.png") == expected


def test_words_that_nobody_taught_it(bundle, tmp_path) -> None:
    done = paint(tmp_path, bundle, "a quokkaling beside the lake")
    assert "quokkaling" in done.stderr
    assert (tmp_path / "out.png").is_file()


def test_mistakes_end_in_one_line(bundle, tmp_path) -> None:
    Image.new("L", (8, 8), 200).save(tmp_path / "labels.png")
    for words, message in (
        (
            ["--scene", "labels.png", "--scene-labels", "voc"],
            "labels.png: voc: found [200] (first at row 0, column 0; 100.0% of the pixels), "
            "expected 0..20, or 255 (border); spaces with all of its values: coco-panoptic",
        ),
        (["-o", "none/out.png"], "none/out.png: found no folder none, expected one that is there"),
        (["--guidance", "nan"], "--guidance: found nan, expected a finite number"),
    ):
        done = run(tmp_path, bundle, CAPTION, *words)
        assert (done.returncode, done.stderr) == (1, f"mas-fast: {message}\n")
    assert [file.name for file in tmp_path.iterdir()] == ["labels.png"]


@pytest.mark.slow
def test_the_first_picture_comes_soon(tmp_path) -> None:
    """6 s on two free cores; on busy ones the time that the process had."""
    if not SHIPPED.is_dir():
        pytest.skip(f"needs the model that comes with mas_fast, in {SHIPPED}")
    start, before = time.perf_counter(), os.times()
    paint(tmp_path, SHIPPED, CAPTION)
    used = os.times().children_user + os.times().children_system
    used -= before.children_user + before.children_system
    assert min(time.perf_counter() - start, used) < 6
