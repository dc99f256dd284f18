"""scene/semantic.py: other people's classes as ours, by name."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mas_fast.scene import (
    ADE20K,
    COCO_IDS,
    COCO_NAMES,
    COCO_STUFF,
    COCO_STUFF_IDS,
    LIP_NAMES,
    MINI158,
    SPACES,
    VOID,
)

STUFF = [ADE20K, COCO_STUFF, COCO_STUFF_IDS]
SETS = list(SPACES.values())
# COCO's own merging of its stuff classes for the panoptic ones, without those it kept.
COCO_MERGED = """
tree-merged: branch, tree, bush, leaves
fence-merged: cage, fence, railing
ceiling-merged: ceiling-tile, ceiling-other
sky-other-merged: clouds, sky-other, fog
cabinet-merged: cupboard, cabinet
table-merged: desk-stuff, table
floor-other-merged: floor-marble, floor-other, floor-tile
pavement-merged: floor-stone, pavement
mountain-merged: hill, mountain
grass-merged: moss, grass, straw
dirt-merged: mud, dirt
paper-merged: napkin, paper
food-other-merged: salad, vegetable, food-other
building-other-merged: skyscraper, building-other
rock-merged: stone, rock
wall-other-merged: wall-other, wall-concrete, wall-panel
rug-merged: mat, rug, carpet
"""
COCO_REMOVED = """furniture-other, metal, plastic, solid-other, structural-other, waterdrops,
textile-other, cloth, clothes, plant-other, wood, ground-other"""


def ours(space, name: str) -> str | None:
    """What the only class of a map becomes, by its number."""
    value = next(value for value, found in space.values.items() if found == name)
    layers = space.read(png([[value]]))
    label = layers.clean().labels[0, 0]
    return None if label == VOID else MINI158.names[label]


def encoded(image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind)
    return file.getvalue()


def png(values, mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(values, np.uint8)).convert(mode).save(file, "PNG")
    return file.getvalue()


def test_coco_stuff_numbers_its_classes_as_coco_does():
    names = [name for name in COCO_STUFF.values.values() if name != "other"]
    assert len(names) == len(set(names)) == 182
    for number, name in zip(COCO_IDS, COCO_NAMES, strict=True):
        if not name.endswith("-merged"):  # those are COCO panoptic's own
            assert COCO_STUFF.values[number - 1] == name == COCO_STUFF.target(name)


def test_coco_stuff_is_merged_as_coco_merges_it():
    for line in COCO_MERGED.strip().splitlines():
        merged, names = line.split(": ")
        for name in names.split(", "):
            assert COCO_STUFF.target(name) == merged, name
    for name in COCO_REMOVED.replace("\n", " ").split(", "):
        assert COCO_STUFF.target(name) is None
        assert name in COCO_STUFF.unmapped


@pytest.mark.parametrize("space", SETS, ids=lambda space: space.name)
def test_tables_name_classes_that_exist_and_that_no_rule_finds(space):
    assert len(set(MINI158.names)) == 158
    own = space.name in ("mini158", "mas159")
    colored = [name for names in space.colors.values() for name in names]
    for name, target in space.targets.items():
        assert target in (COCO_NAMES if space in STUFF else MINI158.names)
        if not own and space.name not in ("lip", "cihp"):
            assert not {name, f"{name}-merged", f"{name}-other-merged"} & set(COCO_NAMES)
    unused = {"jumpsuits"} if space.name == "cihp" else set()  # LIP's, which CIHP has no number for
    assert set(space.targets) - {*space.values.values(), *colored} == unused


@pytest.mark.parametrize("space", SETS, ids=lambda space: space.name)
def test_every_value(space):
    for value in range(256):
        if value not in space.values:
            message = (
                rf"label map: {space.name}: found \[{value}\] \(first at row 1, column 2; 25.0%"
            )
            some = next(iter(space.values))
            with pytest.raises(ValueError, match=message) as error:
                space.read(png([[some] * 4, [some, some, value, value]]))
            assert f"expected {space.about}" in str(error.value)
            continue
        layers = space.read(png([[value]]))
        label = layers.clean().labels[0, 0]
        expected = space.target(space.values[value])
        assert label == (VOID if expected is None else MINI158.names.index(expected))


def few_bits() -> bytes:
    """A grey PNG of 4 bits: the numbers 1 and 2, or the shades 17 and 34."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    head = struct.pack(">IIBBBBB", 2, 1, 4, 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0\x12"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")


def test_what_is_no_label_map():
    for space, content, message in (
        (ADE20K, encoded(np.zeros((2, 2), np.uint16)), r"mode I;16 \(16 bits: instances or depth"),
        (ADE20K, few_bits(), "mode L of 4 bits, which some read as numbers, some as shades, expec"),
        (ADE20K, encoded(np.zeros((2, 2), bool)), "found PNG of mode 1, expected a label map of a"),
        (ADE20K, encoded(np.zeros((2, 2), np.uint8), "JPEG"), "found JPEG of mode L"),
        (COCO_STUFF, png([[0]], "RGB"), "found a colour map .RGB., expected numbers: coco-stuff"),
        (SPACES["voc"], png([[7]], "RGB"), r"found \[#070707\] \(first at row 0, column 0; 100.0%"),
        (SPACES["voc"], encoded(np.zeros((2, 2, 4), np.uint8)), "found transparent pixels"),
        (SPACES["voc"], b"", "label map: found data that is no image"),
    ):
        with pytest.raises(ValueError, match=message):
            space.read(content)


def test_a_wrong_name_is_told_which_would_be_possible():
    with pytest.raises(ValueError, match="spaces with all of its values: .*ade20k"):
        SPACES["voc"].read(png([[3, 149]]))


def test_some_classes():
    for name, class_, expected in (
        ("ade20k", "sky", "sky-other-merged"),
        ("ade20k", "wall", "wall-other-merged"),
        ("ade20k", "sofa", "couch"),
        ("ade20k", "house", "house"),
        ("ade20k", "painting", None),
        ("coco-stuff", "clouds", "sky-other-merged"),
        ("coco-stuff", "tree", "tree-merged"),
        ("coco-stuff", "wood", None),
        ("coco-stuff", "hat", None),  # a thing; ours is a part of a person
        ("coco-things", "toothbrush", "toothbrush"),
        ("cityscapes", "rider", "person"),
        ("cityscapes", "vegetation", "tree-merged"),
        ("cityscapes", "pole", None),
        ("cityscapes-train", "terrain", "grass-merged"),
        ("voc", "aeroplane", "airplane"),
        ("voc", "tvmonitor", "tv"),
        ("voc", "background", None),
        ("camvid", "pavement", "pavement-merged"),
        ("camvid-32", "SUV pickup truck", "car"),
        ("pascal-context", "bedclothes", "blanket"),
        ("lip", "hair", "hair"),
        ("cihp", "torso-skin", "person"),
        ("celebamask", "u_lip", "outer-mouth"),
        ("celebamask", "neck", "person"),
        ("mas159", "left-arm", "left-arm"),
        ("mini158", "eyebrows", "eyebrows"),
    ):
        space = SPACES[name]
        assert ours(space, class_) == expected == space.target(class_)
        assert (class_ in space.unmapped) == (expected is None)


def test_numbers_of_others():
    """Values that each data set documents."""
    for name, value, class_ in (
        ("ade20k", 13, "person"),
        ("ade20k-from-0", 12, "person"),
        ("coco-panoptic", 200, "rug-merged"),
        ("coco-panoptic", 1, "person"),
        ("coco-stuff", 156, "sky-other"),
        ("coco-stuff-ids", 157, "sky-other"),
        ("coco-things", 90, "toothbrush"),
        ("coco-things-80", 80, "toothbrush"),
        ("cityscapes", 26, "car"),
        ("cityscapes", 33, "bicycle"),
        ("cityscapes-train", 13, "car"),
        ("cityscapes-train", 18, "bicycle"),
        ("voc", 15, "person"),
        ("voc", 255, "other"),
        ("camvid", 9, "pedestrian"),
        ("camvid-32", 21, "sky"),
        ("lip", 19, LIP_NAMES[19]),
        ("pascal-context", 59, "wood"),
        ("mas159", 152, "right-shoe"),
        ("mini158", 151, "right-shoe"),
    ):
        assert SPACES[name].values[value] == class_


@pytest.mark.parametrize(
    ("name", "color", "class_"),
    [
        ("cityscapes", (128, 64, 128), "road"),
        ("cityscapes-train", (220, 20, 60), "person"),
        ("voc", (192, 128, 128), "person"),
        ("voc", (224, 224, 192), None),
        ("camvid", (64, 0, 128), "car"),
        ("camvid-32", (128, 128, 128), "sky-other-merged"),
        ("ade20k", (6, 230, 230), "sky-other-merged"),
        ("ade20k", (140, 140, 140), None),  # road and skyscraper have one colour
        ("mini158", (220, 20, 60), "person"),
    ],
)
def test_colour_maps(name, color, class_):
    pixels = np.full((3, 2, 3), color, np.uint8)
    opaque = np.dstack([pixels, np.full((3, 2), 255, np.uint8)])
    for content in (encoded(pixels), encoded(opaque), encoded(Image.fromarray(pixels).quantize(2))):
        labels = SPACES[name].read(content).panoptic
        assert (labels == (VOID if class_ is None else COCO_NAMES.index(class_))).all()


def test_every_colour_is_one_class():
    for space in SETS:
        for color, names in space.colors.items():
            assert len({space.target(name) for name in names}) == 1 or color == 0x8C8C8C, space.name
    colors = MINI158.colors[MINI158.label_channels]
    assert len(np.unique(colors, axis=0)) == 157
    assert colors.any(1).all()


def palette_png(values, palette: np.ndarray) -> bytes:
    image = Image.fromarray(np.asarray(values, np.uint8)).convert("L")
    image.putpalette(palette.astype(np.uint8).tobytes())
    return encoded(image)


def test_palettes():
    """Colours of the space decide where they are in another order; other palettes mean nothing;
    a mixture is an error."""
    values = [[119, 16, 125, 255]]
    expected = [[119, 16, 125, VOID]]
    space, colors = SPACES["mini158"], MINI158.colors
    assert space.read(palette_png(values, colors)).panoptic.tolist() == expected
    ramp = np.repeat(np.arange(256)[:, None], 3, 1)
    assert space.read(palette_png(values, ramp)).panoptic.tolist() == expected
    other = np.random.default_rng(0).integers(0, 256, (256, 3))
    assert space.read(palette_png(values, other)).panoptic.tolist() == expected
    order = np.random.default_rng(1).permutation(256)  # as an editor sorts it
    moved = np.empty(256, int)
    moved[order] = np.arange(256)
    new = moved[np.array(values)]
    assert space.read(palette_png(new, colors[order])).panoptic.tolist() == expected
    mixed = colors[order].copy()
    mixed[new[0, 1]] = (1, 2, 3)
    with pytest.raises(ValueError, match="of the palette, which mini158 calls .*: an editor has"):
        space.read(palette_png(new, mixed))
