"""scene/scene.py: files, geometry, and what the package needs."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from annotated import annotations
from mas_fast.scene import (
    LAYOUTS,
    MAS159,
    MINI158,
    Scene,
    clean,
    find_edges,
)


@pytest.mark.parametrize(
    ("labels", "edges", "layout", "message"),
    [
        (np.zeros((2, 2), int), np.zeros((2, 2), bool), MINI158, "labels: found .*int64"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2)), MINI158, "edges: found .*float64"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), bool), MINI158, "expected the same shape"),
        (np.zeros((0, 2), np.uint8), np.zeros((0, 2), bool), MINI158, "at least one pixel"),
        (np.full((1, 1), 157, np.uint8), np.zeros((1, 1), bool), MINI158, r"labels: found \[157\]"),
        (np.full((1, 1), 133, np.uint8), np.zeros((1, 1), bool), MAS159, r"labels: found \[133\]"),
    ],
)
def test_an_unfit_scene_is_named(labels, edges, layout, message):
    with pytest.raises(ValueError, match=message):
        Scene(labels, edges, layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(1, 1), (13, 17), (256, 3)])
def test_files_round_trip(tmp_path, layout, shape):
    scene = clean(*annotations(4, shape=shape), layout=layout)
    scene.save(tmp_path / "a.png")
    assert Scene.load(tmp_path / "a.png") == scene
    assert Scene.load((tmp_path / "a.png").read_bytes()) == scene
    labels, edges = scene.to_pngs()
    assert Scene.from_pngs(labels, edges) == scene
    (tmp_path / "seg.png").write_bytes(labels)
    (tmp_path / "edge.png").write_bytes(edges)
    again = Scene.from_pngs(tmp_path / "seg.png", tmp_path / "edge.png")
    assert again == scene
    assert again.edges.view(np.uint8).max() <= 1  # Pillow's bools are 0 and 255
    opened = Image.open(tmp_path / "seg.png")
    assert opened.mode == "P"
    assert (np.array(opened.convert("RGB")) == scene.colors()).all()


def test_other_files_are_refused(tmp_path):
    scene = clean(*annotations(5))
    labels, edges = scene.to_pngs()
    with pytest.raises(ValueError, match="found PNG of mode P, expected PNG of mode RGB"):
        Scene.load(labels)
    with pytest.raises(ValueError, match="no.png: found no such file"):
        Scene.load(tmp_path / "no.png")
    Image.new("RGB", (3, 3)).save(tmp_path / "plain.png")
    with pytest.raises(ValueError, match="plain.png: not written by mas_fast"):
        Scene.load(tmp_path / "plain.png")
    scene.save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    with pytest.raises(ValueError, match="a.png: .*truncated"):
        (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
        Scene.load(tmp_path / "a.png")
    for content in (b"", b"no image", whole[:40]):
        with pytest.raises(ValueError, match="^scene: "):
            Scene.load(content)
    with pytest.raises(ValueError, match="expected the same shape"):
        Scene.from_pngs(labels, scene.crop(0, 0, 3, 3).to_pngs()[1])


def test_flip_swaps_left_and_right_parts():
    for layout in LAYOUTS.values():
        left, right = layout.names.index("left-arm"), layout.names.index("right-arm")
        scene = Scene(np.array([[left, 0]], np.uint8), np.array([[True, False]]), layout)
        flipped = scene.flip()
        assert flipped.labels.tolist() == [[0, right]]
        assert flipped.edges.tolist() == [[False, True]]
        assert flipped.flip() == scene
        swapped = [n for n in range(256) if layout.mirrored[n] != n]
        assert [layout.names[n].split("-")[1] for n in swapped] == [
            part for part in ("arm", "leg", "shoe") for _ in range(2)
        ]


def test_resize_takes_the_nearest_label_and_keeps_edges_thin():
    scene = clean(*annotations(6, shape=(40, 60)))
    for height, width in ((40, 60), (17, 23), (80, 121), (1, 1), (20, 90)):
        rows = [int(Fraction(2 * n + 1, 2 * height) * 40) for n in range(height)]
        columns = [int(Fraction(2 * n + 1, 2 * width) * 60) for n in range(width)]
        assert (scene.resize(height, width).labels == scene.labels[np.ix_(rows, columns)]).all()
    assert scene.resize(40, 60) == scene
    labels = np.zeros((64, 96), np.uint8)
    labels[:, 31:] = 1
    line = Scene(labels, find_edges(labels)).resize(30, 41)
    assert (line.edges.sum(axis=1) == 1).all()  # neither broken nor two pixels wide
    twice = Scene(labels, find_edges(labels)).resize(128, 192)
    assert (twice.edges == find_edges(labels).repeat(2, 0).repeat(2, 1)).all()
    with pytest.raises(ValueError, match="resize: found 0 x 5"):
        scene.resize(0, 5)


def test_crop():
    scene = clean(*annotations(7))
    part = scene.crop(2, 3, 4, 5)
    assert (part.labels == scene.labels[2:6, 3:8]).all()
    assert (part.edges == scene.edges[2:6, 3:8]).all()
    for box in ((-1, 0, 2, 2), (0, 0, 14, 2), (0, 16, 1, 2), (0, 0, 0, 1)):
        with pytest.raises(ValueError, match="crop: found rows"):
            scene.crop(*box)


def test_the_package_needs_only_numpy_and_pillow():
    code = (
        "import sys, mas_fast.scene as s; s.clean, s.read_label_png, s.Scene; print(*sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"torch", "scipy", "tokenizers", "tqdm"} & set(found.stdout.split())
