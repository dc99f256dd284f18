"""scene: layouts, the cleaning rules one by one, files, geometry, readers, rendering."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mas_fast.scene import (
    COCO_IDS,
    COCO_NAMES,
    LAYOUTS,
    MAS159,
    MINI158,
    VOID,
    Scene,
    clean,
    find_edges,
    layout_named,
    read_coco_panoptic,
    read_label_png,
    read_two_channel,
)

OFFICIAL = Path(__file__).parents[1] / "fixtures" / "coco_official"


def annotations(seed: int, person: bool = True, shape=(13, 17)):
    """Random P, I, S, F; P has people only where `person`."""
    rng = np.random.default_rng(seed)
    panoptic = rng.choice(np.array([0, 1, 80, 132, VOID], np.uint8), shape)
    panoptic[0, 0] = 0
    if not person:
        panoptic[panoptic == 0] = 5
    instances = rng.integers(0, 3, shape, dtype=np.int32)
    human = rng.integers(0, 20, shape, dtype=np.uint8)
    face = np.maximum(rng.integers(-20, 6, shape), 0).astype(np.uint8)
    return panoptic, instances, human, face


def test_layouts():
    assert (MINI158.channels, MINI158.edge_channel) == (158, 157)
    assert (MAS159.channels, MAS159.edge_channel) == (159, 158)
    assert MINI158.human_channels == slice(133, 152)
    assert MINI158.face_channels == slice(152, 157)
    assert MAS159.human_channels == slice(134, 153)
    assert MAS159.face_channels == slice(153, 158)
    assert MINI158.names[133] == MAS159.names[134] == "hat"
    assert MAS159.names[153] == "eyebrows"
    for layout in LAYOUTS.values():
        assert len(layout.names) == len(set(layout.names)) == layout.channels
        assert len(layout.label_channels) == 157
        colors = layout.colors[[*layout.label_channels, VOID]]
        assert len(np.unique(colors, axis=0)) == 158
    assert 133 not in MAS159.label_channels
    assert not MAS159.allowed[133]
    assert layout_named("mini158") is MINI158
    with pytest.raises(ValueError, match=r"layout: found 'x', expected one of \['mini158', 'mas"):
        layout_named("x")


def test_categories_are_cocos():
    categories = json.loads((OFFICIAL / "panoptic_coco_categories.json").read_text())
    assert tuple(category["id"] for category in categories) == COCO_IDS
    assert tuple(category["name"] for category in categories) == COCO_NAMES
    assert [c["isthing"] for c in categories] == [1] * 80 + [0] * 53
    assert [c["color"] for c in categories] == MINI158.colors[:133].tolist()


def test_layouts_convert_without_loss():
    labels = np.append(MINI158.label_channels, VOID).astype(np.uint8)[None]
    scene = Scene(labels, labels % 2 == 0)
    other = scene.to("mas159")
    assert other.layout is MAS159
    assert other.to(MINI158) == scene
    for before, after in zip(labels[0], other.labels[0], strict=True):
        same = before == after == VOID or MINI158.names[before] == MAS159.names[after]
        assert same


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_rule_no_human_background(layout):
    panoptic, instances, human, _ = annotations(0)
    scene = clean(panoptic, instances, human, layout=layout)
    is_human = (scene.labels > layout.human) & (scene.labels != VOID)
    assert (is_human == (human > 0)).all()  # as many pixels as S has in 1..19, and the same
    assert not (scene.labels == 133).any() or layout is MINI158
    nobody = clean(panoptic, instances, np.zeros_like(human), layout=layout)
    assert (nobody.labels == panoptic).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_rule_person_gate(seed, other):
    panoptic, instances, human, face = annotations(seed, person=False)
    _, _, human2, face2 = annotations(other)
    expected = clean(panoptic, instances)
    assert clean(panoptic, instances, human, face) == expected  # labels and edges
    assert clean(panoptic, instances, human2, face2) == expected
    panoptic[3, 4] = 0  # one person pixel keeps all of S and F, wherever they are
    scene = clean(panoptic, instances, human, face)
    assert ((scene.labels > 132) & (scene.labels != VOID) == (human > 0) | (face > 0)).all()


def test_person_gate_counts_pixels_before_they_are_covered():
    panoptic, human = np.full((4, 4), 7, np.uint8), np.full((4, 4), 2, np.uint8)
    panoptic[0, :3] = 0
    assert (clean(panoptic, human=human, min_person_px=3).labels == 134).all()
    assert (clean(panoptic, human=human, min_person_px=4).labels == panoptic).all()
    restricted = clean(panoptic, human=human, face=human, restrict_to_person=True)
    assert (restricted.labels == np.where(panoptic == 0, 153, 7)).all()


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_rule_one_label_per_pixel(layout):
    panoptic, instances, human, face = annotations(1)
    scene = clean(panoptic, instances, human, face, layout=layout)
    onehot = scene.labels[..., None] == np.arange(layout.edge_channel)
    assert (onehot.sum(-1) == (scene.labels != VOID)).all()
    assert ((scene.labels == VOID) == ((face == 0) & (human == 0) & (panoptic == VOID))).all()
    for y, x in np.ndindex(panoptic.shape):  # face > human > panoptic
        p, s, f = int(panoptic[y, x]), int(human[y, x]), int(face[y, x])
        assert scene.labels[y, x] == (layout.face + f if f else layout.human + s if s else p)


def test_cleaning_is_idempotent():
    panoptic, instances, human, face = annotations(2)
    labels = clean(panoptic, instances, human, face).labels
    parts = (labels > 132) & (labels != VOID)
    again = clean(
        np.where(parts, 0, labels).astype(np.uint8),
        instances,
        np.where(parts & (labels <= 151), labels - 132, 0),
        np.where(parts & (labels > 151), labels - 151, 0),
    )
    assert (again.labels == labels).all()


def test_edges_are_one_pixel_and_know_instances():
    labels = np.zeros((6, 8), np.uint8)
    labels[:, 4:] = 1
    expected = np.zeros((6, 8), bool)
    expected[:, 3] = True  # the left side of the border only
    assert (find_edges(labels) == expected).all()
    assert (find_edges(labels.T) == expected.T).all()
    assert (find_edges(np.zeros_like(labels), labels.astype(np.int32)) == expected).all()
    assert not find_edges(np.zeros((1, 1), np.uint8)).any()
    panoptic, instances, human, face = annotations(3)
    scene = clean(panoptic, instances, human, face)
    for y, x in np.ndindex(panoptic.shape):
        key = scene.labels[y, x], instances[y, x]
        near = [(y, x + 1), (y + 1, x)]
        near = [n for n in near if n[0] < 13 and n[1] < 17]
        expected = any((scene.labels[n], instances[n]) != key for n in near)
        assert scene.edges[y, x] == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"panoptic": np.full((2, 2), 133)}, r"panoptic: found \[133\], expected 0..132 or 255"),
        ({"panoptic": np.zeros((2, 2))}, "panoptic: found float64"),
        ({"panoptic": np.zeros((0, 2), int)}, r"panoptic: found int64 \[0, 2\]"),
        ({"panoptic": [[0, 1]]}, "panoptic: found object"),
        ({"human": np.full((2, 2), 20)}, r"human: found \[20\], expected 0..19"),
        ({"human": np.full((2, 2), -1)}, r"human: found \[-1\]"),
        ({"face": np.full((2, 2), 6)}, "face: found"),
        (
            {"face": np.zeros((2, 3), int)},
            r"face: found int64 \[2, 3\], expected integers \[2, 2\]",
        ),
        ({"instances": np.zeros((3, 2), int)}, "instances: found int64"),
        ({"layout": "mas158"}, "layout: found 'mas158'"),
    ],
)
def test_unfit_annotations_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        clean(**({"panoptic": np.zeros((2, 2), np.uint8)} | change))


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


def png(pixels: np.ndarray, path: Path) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_coco_panoptic(tmp_path):
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 1:] = (1, 2, 3)
    pixels[1, 0] = (0, 0, 9)
    file = png(pixels, tmp_path / "a.png")
    first, second = 1 + 2 * 256 + 3 * 65536, 9 * 65536
    segments = [{"id": first, "category_id": 1}, {"id": second, "category_id": 200}]
    panoptic, instances = read_coco_panoptic(file, segments)
    assert panoptic.dtype == np.uint8
    assert panoptic.tolist() == [[255, 0, 0], [132, 255, 255]]
    assert instances.dtype == np.int32
    assert instances.tolist() == [[0, first, first], [second, 0, 0]]
    renumbered = [{"id": 1, "name": "rug-merged"}, {"id": 200, "name": "person"}]
    swapped, _ = read_coco_panoptic(file.read_bytes(), segments, renumbered)
    assert swapped.tolist() == [[255, 132, 132], [0, 255, 255]]
    for bad, message in (
        (segments[:1], rf"found segment ids \[{second}\] that segments_info lacks"),
        ([], rf"found segment ids \[{first}, {second}\]"),
        (segments * 2, f"found the id {first} twice"),
        ([{"id": 0, "category_id": 1}], "found the id 0 twice, or 0"),
        (
            [{"id": 5, "category_id": 12}],
            "segment 5: found category id 12, expected one of the 133",
        ),
        ([{"id": 2**70, "category_id": 1}], "expected 24 bits"),
        ([{"id": float("inf"), "category_id": 1}], "expected a list of {id, category_id}"),
        ([{"id": 5}], "expected a list of {id, category_id}"),
        (None, "expected a list"),
    ):
        with pytest.raises(ValueError, match=message):
            read_coco_panoptic(file, bad)
    with pytest.raises(ValueError, match="category 3: found 'sofa'"):
        read_coco_panoptic(file, segments, [{"id": 3, "name": "sofa"}])
    grey = png(pixels[..., 0], tmp_path / "grey.png")
    with pytest.raises(ValueError, match="found PNG of mode L, expected PNG of mode RGB"):
        read_coco_panoptic(grey, segments)
    with pytest.raises(ValueError, match=r"found category ids \[2\] that are not known"):
        read_two_channel(
            png(pixels[..., [1, 0, 0]] * np.array([1, 1, 0], np.uint8), tmp_path / "2ch.png"), []
        )


def test_official_formats_agree():
    values = json.loads((OFFICIAL / "panoptic_examples.json").read_text())
    for annotation in values["annotations"]:
        panoptic, instances = read_coco_panoptic(
            OFFICIAL / "panoptic_examples" / annotation["file_name"],
            annotation["segments_info"],
            values["categories"],
        )
        for segment in annotation["segments_info"]:
            inside = instances == segment["id"]
            assert inside.sum() == segment["area"]
            assert (panoptic[inside] == COCO_IDS.index(segment["category_id"])).all()
        other = read_two_channel(
            OFFICIAL / "panoptic_examples_2ch_format" / annotation["file_name"]
        )
        assert (other[0] == panoptic).all()
        assert clean(*other) == clean(panoptic, instances)


def test_label_png(tmp_path):
    labels = np.array([[0, 19, 255]], np.uint8)
    assert (read_label_png(png(labels, tmp_path / "a.png"), 20) == labels).all()
    with pytest.raises(ValueError, match=r"label PNG: found \[19\], expected 0..9 or 255"):
        read_label_png(tmp_path / "a.png", 10)
    scene = clean(*annotations(8))
    assert (read_label_png(scene.to_pngs()[0], 158) == scene.labels).all()  # palette indices


def test_rendering_has_colours_names_and_a_legend():
    labels = np.zeros((90, 120), np.uint8)
    labels[:, 60:] = COCO_NAMES.index("sea")
    labels[:2, :2] = VOID
    scene = Scene(labels, find_edges(labels))
    image = np.array(scene.render(scale=2))
    assert image.shape[0] == 180
    assert image.shape[1] > 240
    assert (image[100, 10] == MINI158.colors[0]).all()
    assert (image[10, 200] == scene.colors()[0, 99]).all()
    assert (image[100, 118] == MINI158.colors[0] // 2).all()  # the edge
    assert (image[:, :118] == 255).all(-1).any()  # "person", in white
    assert (image[7, 255] == scene.colors()[0, 99]).all()  # the legend: the largest comes first
    assert (image[23, 255] == MINI158.colors[0]).all()
    for shape in ((1, 1), (1, 300), (300, 2)):
        clean(*annotations(9, shape=shape)).render()
    with pytest.raises(ValueError, match="scale: found 0"):
        scene.render(scale=0)


def test_the_package_needs_only_numpy_and_pillow():
    code = (
        "import sys, mas_fast.scene as s; s.clean, s.read_label_png, s.Scene; print(*sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"torch", "scipy", "tokenizers", "tqdm"} & set(found.stdout.split())
