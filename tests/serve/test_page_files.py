"""The page in a browser: scenes that are opened, and files that are saved, equal ours."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from browser import Visit, browsing
from mas_fast.scene import Layers, Scene, square
from mas_fast.scene.labels import MAS159, MINI158
from mas_fast.scene.readers import read_coco_panoptic
from mas_fast.scene.scene import read_labels

SIZE, VOID = 64, 255


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with browsing() as browser:
        yield browser


@pytest.fixture
def page(browser, server) -> Iterator[Visit]:
    visit = Visit(browser, server).ready()
    visit.paint_only()
    yield visit
    visit.close()


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """All labels of the layout, and void, in stripes: uint8 [70, 100]."""
    y, x = np.mgrid[:70, :100]
    known = np.append(MINI158.label_channels, VOID).astype(np.uint8)
    return known[(7 * x + 3 * (y // 2)) % len(known)]


def opened(page: Visit, *files: Path) -> np.ndarray:
    page.page.set_input_files("#open", files)
    page.page.wait_for_function("f => state.textContent === `opened ${f}`", arg=files[0].name)
    return page.labels


def squared(labels: np.ndarray) -> np.ndarray:
    return square(Scene(labels, np.zeros(labels.shape, bool)), SIZE).labels


def test_png_of_labels(page, labels, tmp_path):
    edges = np.zeros(labels.shape, bool)
    Image.fromarray(labels).save(tmp_path / "gray.png")
    Scene(labels, edges).save(tmp_path / "scene.png")
    (tmp_path / "shard.seg.png").write_bytes(Scene(labels, edges).to_pngs()[0])
    for name in ("gray.png", "scene.png", "shard.seg.png"):
        np.testing.assert_array_equal(opened(page, tmp_path / name), squared(labels), name)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_png_of_few_bits(page, bits, tmp_path):
    values = (np.mgrid[:37, :37].sum(0) % 2**bits).astype(np.uint8)
    palette = Image.fromarray(values, "P")
    palette.putpalette(list(range(48)))
    palette.save(tmp_path / "few.png", bits=bits)
    np.testing.assert_array_equal(opened(page, tmp_path / "few.png"), squared(values))


def test_all_filters_of_png(page, labels, tmp_path):
    """A photo's rows are filtered in all five ways; here each row in the next."""
    import struct
    import zlib

    height, width = labels.shape
    rows, above = b"", np.zeros(width, np.int32)
    for n, row in enumerate(labels.astype(np.int32)):
        left, corner = np.append(0, row[:-1]), np.append(0, above[:-1])
        distances = np.abs([above - corner, left - corner, left + above - 2 * corner])
        paeth = np.choose(distances.argmin(0), [left, above, corner])
        guess = [0, left, above, (left + above) // 2, paeth][n % 5]
        rows += bytes([n % 5]) + ((row - guess) & 255).astype(np.uint8).tobytes()
        above = row

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    file = tmp_path / "filtered.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    np.testing.assert_array_equal(np.array(Image.open(file)), labels)
    np.testing.assert_array_equal(opened(page, file), squared(labels))


def test_coco_panoptic(page, coco):
    table = coco / "annotations" / "panoptic_val2017.json"
    rows = json.loads(table.read_bytes())["annotations"]
    for row in rows[:3]:
        png = coco / "annotations" / "panoptic_val2017" / row["file_name"]
        expected, instances = read_coco_panoptic(png, row["segments_info"])
        layers = square(Layers(expected, instances), SIZE)
        np.testing.assert_array_equal(opened(page, png, table), layers.panoptic)


def test_files_that_are_no_scenes(page, labels, coco, tmp_path):
    photo = next((coco / "val2017").glob("*.jpg"))
    Image.open(photo).save(tmp_path / "photo.png")
    Image.fromarray(np.full((9, 9), 200, np.uint8)).save(tmp_path / "unknown.png")
    Scene(labels, np.zeros(labels.shape, bool)).to(MAS159).save(tmp_path / "other.png")
    file = io.BytesIO()
    Image.fromarray(labels).save(file, "PNG")
    (tmp_path / "cut.png").write_bytes(file.getvalue()[:-40])
    (tmp_path / "odd.json").write_text("{")
    for names, said in (
        ([photo], "This is no PNG"),
        ([tmp_path / "photo.png"], "drop its JSON with it"),
        ([tmp_path / "unknown.png"], "found the value 200, which is no label of mini158"),
        ([tmp_path / "other.png"], "Found a scene of mas159, expected one of mini158"),
        ([tmp_path / "cut.png"], "This PNG is cut off"),
        ([tmp_path / "photo.png", tmp_path / "odd.json"], "odd.json: found no JSON"),
        ([tmp_path / "odd.json"], "Expected one PNG of labels"),
    ):
        page.page.set_input_files("#open", names)
        page.page.wait_for_function(
            "s => window['problem-text'].textContent.includes(s)", arg=said, timeout=5000
        )
        assert (page.labels == VOID).all()


def test_what_is_saved(page):
    page.choose("grass")
    page.stroke((5, 50), (58, 50))
    page.draw("a red house beside a lake at dusk")
    page.page.click("summary:text('Download')")
    files = {}
    for name in ("picture", "scene", "legend", "painting"):
        with page.page.expect_download() as download:
            page.page.click(f"#save-{name}")
        files[name] = Path(download.value.path()).read_bytes()
        assert download.value.suggested_filename.startswith("a-red-house-beside-a-lake-")
    assert files["picture"] == page.picture
    assert Scene.load(files["scene"]).labels.shape == (SIZE, SIZE)
    painted, layout = read_labels(files["painting"])
    np.testing.assert_array_equal(painted, page.labels)
    assert layout == MINI158
    legend = Image.open(io.BytesIO(files["legend"])).convert("RGB")
    assert legend.size == (512 + 240, 512)
    seen = np.array(legend)[4:512:8, 4:512:8]
    np.testing.assert_array_equal(seen, MINI158.colors[Scene.load(files["scene"]).labels])
