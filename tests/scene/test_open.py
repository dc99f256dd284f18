"""scene/open.py: which kind of file a scene comes in, and what it becomes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mas_fast.scene import (
    COCO_IDS,
    MAS159,
    VOID,
    Layers,
    Scene,
    find_edges,
    open_scene,
    read_coco_panoptic,
    read_scene,
    square,
)
from mas_fast.scene.scene import TEXT_KEY

SKY, GRASS, DOG, BICYCLE = 119, 125, 16, 1


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
    assert scene.edges[10, 15]
    assert scene.labels[10, 15] == scene.labels[10, 16] == DOG


def test_edges_are_drawn_at_the_size_asked_for(tmp_path) -> None:
    """As in the data: one pixel wide, also where a scene is enlarged."""
    png, segments = save_coco(tmp_path)
    png.with_suffix(".json").write_text(json.dumps({"segments_info": segments}))
    for size in (12, 96):
        expected = Layers(*two_dogs()).crop(0, 4, 24, 24).resize(size, size).clean()
        assert open_scene(png, size=size) == expected
    labels = two_dogs()[0]
    Image.fromarray(labels).save(tmp_path / "painted.png")
    scene = open_scene(tmp_path / "painted.png", labels="mini158", size=96)
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
    scene = open_scene(tmp_path / "painted.png", labels="mini158")
    assert (scene.labels == labels).all()
    assert (scene.edges == find_edges(labels)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: f / "none.png", "none.png: found no such file"),
        (lambda f: _write(f / "text.png", b"hello"), "text.png: found data that is no image"),
        (lambda f: _image(f / "photo.jpg", "RGB"), "found JPEG of mode RGB, expected a PNG: a sc"),
        (
            lambda f: _image(f / "a.png", "LA", (3, 9)),
            "found PNG of mode LA, expected a PNG: a scene",
        ),
        (lambda f: _image(f / "a.png", "RGBA"), "found RGBA without the text entry of a scene"),
        (lambda f: _image(f / "a.png", "I;16"), "found PNG of mode I;16, expected a PNG: a scene"),
        (lambda f: _image(f / "a.png", "RGB"), r"a.json or panoptic_\*.json; looked into: none"),
        (
            lambda f: _image(f / "a.png", "L", 157),
            r"found labels of mode L and nothing that says .*\(those of mas159, .* would be pos"
            r"sible\); say which they are: --scene-labels NAME .in Python labels=NAME.: mini",
        ),
        (
            lambda f: _image(f / "a.png", "P", 3),
            "found labels of mode P and nothing that says which",
        ),
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
        ("{", "mine.json: found broken JSON"),
        ("[1]", "no segments_info for 000000000001.png in"),
        ("{}", "no segments_info for 000000000001.png in"),
        ('{"annotations": 3}', "no segments_info for 000000000001.png in"),
        ('{"segments_info": []}', r"found segment ids \[3, 256, 1000, 70000\] that segments_info"),
        ('{"segments_info": 7}', "segments_info: found 7, expected a list of"),
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


def test_labels_of_shards(tmp_path) -> None:
    """With the edges beside them, or new ones; the file says which layout it is."""
    for layout in ("mini158", "mas159"):
        scene = Layers(*two_dogs()).clean(layout)
        labels, edges = scene.to_pngs()
        (tmp_path / "a.seg.png").write_bytes(labels)
        for text, found in (
            (b"", Scene(scene.labels, find_edges(scene.labels), scene.layout)),
            (edges, scene),
        ):
            (tmp_path / "a.edge.png").unlink(missing_ok=True)
            if text:
                (tmp_path / "a.edge.png").write_bytes(text)
            assert open_scene(tmp_path / "a.seg.png") == found
            assert open_scene(tmp_path / "a.seg.png", labels=layout) == found


def test_a_palette_that_an_editor_changed(tmp_path) -> None:
    """Its numbers are no longer ours, and nothing says what they were."""
    scene = Layers(*two_dogs()).clean()
    labels, edges = scene.to_pngs()
    file = tmp_path / "a.seg.png"
    file.write_bytes(labels)
    image = Image.open(file)
    image.load()
    text = PngInfo()
    text.add_text(TEXT_KEY, image.text[TEXT_KEY])
    again = image.convert("RGB").quantize(8)
    again.save(file)
    with pytest.raises(ValueError, match="a.seg.png: found labels of mode P and nothing that says"):
        open_scene(file)
    with pytest.raises(
        ValueError, match="a.seg.png: not written by mas_fast: found the text entry"
    ):
        Scene.from_pngs(file, edges)
    # its colours are still those of mini158, each of one class
    assert (open_scene(file, labels="mini158").labels == scene.labels).all()
    again.save(file, pnginfo=text)
    message = (
        r"a.seg.png: found .* of the palette, expected .* mini158's: an editor has changed the"
    )
    for use in (lambda: open_scene(file), lambda: Scene.from_pngs(file, edges)):
        with pytest.raises(ValueError, match=message):
            use()
    image.putpalette(image.getpalette()[: 3 * 126], "RGB")  # unused entries left out
    image.save(file, pnginfo=text)
    with pytest.raises(ValueError, match="found no colour as number 255 of the palette"):
        open_scene(file)
    image.convert("RGB").save(file, pnginfo=text)
    with pytest.raises(
        ValueError, match="a.seg.png: found PNG of mode RGB, expected PNG of mode P"
    ):
        open_scene(file)


def test_a_name_that_contradicts_the_file(tmp_path) -> None:
    scene = Layers(*two_dogs()).clean("mas159")
    scene.save(tmp_path / "mine.png")
    assert open_scene(tmp_path / "mine.png", labels="mas159") == scene
    for name in ("ade20k", "mini158"):
        with pytest.raises(
            ValueError, match=f"that says mas159, expected no other .* found {name}"
        ):
            open_scene(tmp_path / "mine.png", labels=name)
    with pytest.raises(ValueError, match="labels: found 'ade', expected one of mini158"):
        open_scene(tmp_path / "mine.png", labels="ade")


def test_other_label_spaces(tmp_path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(np.array([[3, 3], [128, 23]], np.uint8)).save(file)
    found = read_scene(file, labels="ade20k")
    assert found.scene.labels.tolist() == [[SKY, SKY], [BICYCLE, VOID]]
    assert (found.scene.edges == find_edges(found.scene.labels)).all()
    assert found.describe().splitlines() == [
        "read as ade20k: sky-other-merged 50.0%, bicycle 25.0%, void 25.0%",
        "void there: painting 25.0%",
    ]
    Image.fromarray(np.array([[3, 0], [0, 23]], np.uint8)).save(file)
    assert read_scene(file, labels="ade20k").describe().splitlines()[1:] == [
        "void there: other 50.0%, painting 25.0%",
        "most of it is void: are these the numbers of ade20k?",
    ]
    Image.new("L", (4, 4), 23).save(file)
    with pytest.raises(
        ValueError, match="a.png: found no class of ade20k that is one of ours, only"
    ):
        open_scene(file, labels="ade20k")
    Image.new("RGB", (4, 4), (70, 130, 180)).save(file)
    assert (open_scene(file, labels="cityscapes").labels == SKY).all()
    with pytest.raises(ValueError, match="a.png: .*found .#4682b4. .*the 15[01] colours of ade20k"):
        open_scene(file, labels="ade20k")
    with pytest.raises(ValueError, match="a.png: found RGB .* of a colour map say --scene-labels"):
        open_scene(file)


def test_what_is_said_of_our_own(tmp_path, scene) -> None:
    scene.save(tmp_path / "mine.png")
    text = read_scene(tmp_path / "mine.png").describe()
    assert text.startswith(
        "read as mini158, which the file says: grass-merged 50.0%, sky-other-mer"
    )
    assert sum(share for _, share in scene.shares()) == pytest.approx(1)


def test_square_is_the_middle() -> None:
    labels = np.arange(5 * 3, dtype=np.uint8).reshape(5, 3)
    assert square(Scene(labels, labels > 99), 3).labels.tolist() == labels[1:4].tolist()
    wide = square(Layers(np.ascontiguousarray(labels.T)), 1).panoptic
    assert wide.tolist() == [[7]]


def test_cocos_own_files() -> None:
    folder = Path(__file__).parents[1] / "fixtures" / "coco_official"
    rows = json.loads((folder / "panoptic_examples.json").read_bytes())
    for row in rows["annotations"]:
        png = folder / "panoptic_examples" / row["file_name"]
        expected = Layers(*read_coco_panoptic(png, row["segments_info"], rows["categories"]))
        assert open_scene(png) == expected.clean()
