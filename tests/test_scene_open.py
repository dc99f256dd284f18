"""scene/open.py: which kind of file a scene comes in, and what it becomes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mas_fast.scene import (
    COCO_IDS,
    MAS159,
    VOID,
    Layers,
    Scene,
    find_edges,
    open_scene,
    read_coco_panoptic,
    square,
)

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SKY, GRASS, DOG = 119, 125, 16


def two_dogs() -> tuple[np.ndarray, np.ndarray]:
    """Sky over grass, and two dogs that touch: (panoptic, instances), 24 x 32."""
    panoptic = np.full((24, 32), SKY, np.uint8)
    panoptic[12:] = GRASS
    instances = np.where(panoptic == SKY, 1000, 70000).astype(np.int32)
    panoptic[8:20, 10:22] = DOG
    instances[8:20, 10:16], instances[8:20, 16:22] = 3, 256
    instances[0, 0], panoptic[0, 0] = 0, VOID
    return panoptic, instances


def save_coco(folder: Path, name: str = "000000000001.png") -> tuple[Path, list[dict]]:
    panoptic, instances = two_dogs()
    rgb = np.stack([instances >> shift & 255 for shift in (0, 8, 16)], -1).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(folder / name)
    ids = {int(i): int(panoptic[instances == i][0]) for i in np.unique(instances) if i}
    return folder / name, [{"id": i, "category_id": COCO_IDS[c]} for i, c in ids.items()]


def coco_json(name: str, segments: list[dict]) -> dict:
    other = {"file_name": "other.png", "image_id": 2, "segments_info": []}
    mine = {"file_name": name, "image_id": 1, "segments_info": segments}
    return {"images": [], "annotations": [other, mine]}


@pytest.mark.parametrize("layout", ["mini158", MAS159])
def test_our_own_comes_back(tmp_path, layout) -> None:
    scene = Layers(*two_dogs()).clean(layout)
    scene.save(tmp_path / "mine.png")
    assert open_scene(tmp_path / "mine.png") == scene
    small = open_scene(str(tmp_path / "mine.png"), size=12)
    assert small == scene.crop(0, 4, 24, 24).resize(12, 12)


@pytest.mark.parametrize(
    "place",
    ["same name", "beside it", "in the folder above", "two folders above", "given", "own, given"],
)
def test_coco_panoptic(tmp_path, place) -> None:
    png, segments = save_coco(tmp_path / "annotations" / "panoptic_val")
    files = {
        "same name": png.with_suffix(".json"),
        "beside it": png.parent / "panoptic_val.json",
        "in the folder above": png.parent.parent / "panoptic_val.json",
        "two folders above": tmp_path / "panoptic_val.json",
        "given": tmp_path / "somewhere.json",
        "own, given": tmp_path / "mine.json",
    }
    content = coco_json(png.name, segments)
    if "own" in place or "name" in place:
        content = {"segments_info": segments}
    files[place].write_text(json.dumps(content))
    for name, other in (("aaa", {"annotations": []}), ("aab", [])):  # not these
        (tmp_path / f"panoptic_{name}.json").write_text(json.dumps(other))
    scene = open_scene(png, files[place] if "given" in place else None)
    assert scene == Layers(*two_dogs()).clean()
    assert scene.edges[10, 15] and scene.labels[10, 15] == scene.labels[10, 16] == DOG


def test_edges_are_drawn_at_the_size_asked_for(tmp_path) -> None:
    """As in the data: one pixel wide, also where a scene is enlarged."""
    png, segments = save_coco(tmp_path)
    png.with_suffix(".json").write_text(json.dumps({"segments_info": segments}))
    for size in (12, 96):
        expected = Layers(*two_dogs()).crop(0, 4, 24, 24).resize(size, size).clean()
        assert open_scene(png, size=size) == expected
    labels = two_dogs()[0]
    Image.fromarray(labels).save(tmp_path / "painted.png")
    scene = open_scene(tmp_path / "painted.png", size=96)
    assert (scene.labels == square(Layers(labels), 96).panoptic).all()
    assert (scene.edges == find_edges(scene.labels)).all()


@pytest.mark.parametrize("mode", ["L", "P"])
def test_painted_labels(tmp_path, mode) -> None:
    labels = two_dogs()[0]
    labels[2, 2:4] = 140, 155  # a human part and a part of a face
    image = Image.fromarray(labels)
    if mode == "P":
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
    image.save(tmp_path / "painted.png")
    scene = open_scene(tmp_path / "painted.png")
    assert (scene.labels == labels).all() and (scene.edges == find_edges(labels)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: f / "none.png", "none.png: found no such file"),
        (lambda f: _write(f / "text.png", b"hello"), "text.png: found data that is no image"),
        (lambda f: _image(f / "photo.jpg", "RGB"), "found JPEG of mode RGB, expected a PNG: a sc"),
        (lambda f: _image(f / "a.png", "RGBA"), "found PNG of mode RGBA, expected a PNG: a scene"),
        (lambda f: _image(f / "a.png", "RGB"), r"a.json or panoptic_\*.json; looked into: none"),
        (lambda f: _image(f / "a.png", "L", 157), r"label PNG: found \[157\], expected 0..156 or"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, make, message) -> None:
    with pytest.raises(ValueError, match=message):
        open_scene(make(tmp_path))


def _write(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def _image(file: Path, mode: str, value: int = 3) -> Path:
    Image.new(mode, (8, 8), value).save(file)
    return file


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "mine.json: found no JSON that can be read"),
        ("[1]", "no segments_info for 000000000001.png in"),
        ("{}", "no segments_info for 000000000001.png in"),
        ('{"annotations": 3}', "no segments_info for 000000000001.png in"),
        ('{"segments_info": []}', r"found segment ids \[3, 256, 1000, 70000\] that segments_info"),
        ('{"segments_info": 7}', "segments_info: expected a list of"),
        ('{"segments_info": [{"id": 3, "category_id": 12}]}', "segment 3: found category id 12"),
    ],
)
def test_a_wrong_json_is_named(tmp_path, content, message) -> None:
    png, _ = save_coco(tmp_path)
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        open_scene(png, tmp_path / "mine.json")


def test_a_json_where_none_belongs(tmp_path) -> None:
    scene = Layers(*two_dogs()).clean()
    scene.save(tmp_path / "mine.png")
    with pytest.raises(ValueError, match="found a scene that mas_fast saved beside x.json"):
        open_scene(tmp_path / "mine.png", "x.json")
    with pytest.raises(ValueError, match="found labels of mode L beside x.json"):
        open_scene(_image(tmp_path / "a.png", "L"), "x.json")


def test_square_is_the_middle() -> None:
    labels = np.arange(5 * 3, dtype=np.uint8).reshape(5, 3)
    assert square(Scene(labels, labels > 99), 3).labels.tolist() == labels[1:4].tolist()
    wide = square(Layers(np.ascontiguousarray(labels.T)), 1).panoptic
    assert wide.tolist() == [[7]]


def test_cocos_own_files() -> None:
    folder = DATA / "coco_official"
    if not folder.is_dir():
        pytest.skip(f"needs COCO's examples in {folder}")
    rows = json.loads((folder / "panoptic_examples.json").read_bytes())
    for row in rows["annotations"]:
        png = folder / "panoptic_examples" / row["file_name"]
        expected = Layers(*read_coco_panoptic(png, row["segments_info"], rows["categories"]))
        assert open_scene(png) == expected.clean()
