"""Readers of what models learn from: shards, sources, scenes and captions."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL.PngImagePlugin import PngInfo
from reader import attempt

# ---------------------------------------------------------------------------- shards


def make_arrow(folder: Path) -> None:
    from mas_fast.data.shards import TOKENS, ShardFolder
    from mas_fast.data.token_shards import TokenShards, token_batch, write_tokens
    from mas_fast.streams import Stream, Streams

    draw = np.random.default_rng(0)
    seg, img = Stream("seg", 4, 32, (2, 2)), Stream("img", 9, 64, (3, 3))
    streams = Streams([Stream("text", 5, 300, pad=0), seg, img])
    options = {"format": "arrow", "streams": streams.to_list(), "batch": 8, "device": "cpu"}
    shards = ShardFolder(folder, TOKENS, "arrow", options, 2)
    for number in shards.begin():
        rows = 3 + number

        def ids(name: str, n: int) -> np.ndarray:
            return draw.integers(streams[name].vocab, size=(n, streams[name].length))

        batch = token_batch(
            streams,
            [f"{number}/{n}" for n in range(rows)],
            [[f"{n} 빨간 🏠"] * n for n in range(rows)],
            [ids("text", max(n, 1)) for n in range(rows)],
            ids("seg", rows),
            ids("img", rows),
        )
        shards.commit(number, lambda file, batch=batch: write_tokens(file, batch))
    shards.finish()
    TokenShards(folder)  # so that .checked.json is there


def read_arrow(folder: Path) -> None:
    from mas_fast.data.token_shards import TokenShards
    from mas_fast.text.bpe import BPE  # noqa: F401  (training imports it)

    tokens = TokenShards(folder)
    for index in range(len(tokens)):
        row = tokens[index]
        captions = tokens.captions(index)
        assert len(row.text) == max(1, len(captions))
        assert isinstance(tokens.key(index), str)
        for stream, ids in zip(tokens.streams, row, strict=True):
            assert ids.shape[-1] == stream.length
            assert 0 <= int(ids.max()) < stream.vocab


def believe(folder: Path) -> None:
    """The manifest says of the shards what they are, so that the checksum hides nothing."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        for shard in manifest["shards"]:
            content = (folder / shard["file"]).read_bytes()
            shard["bytes"], shard["sha256"] = len(content), hashlib.sha256(content).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(manifest))
    except Exception:  # it was changed too
        pass


def make_scenes(folder: Path) -> None:
    from PIL import Image

    from mas_fast.data.prepare import Rules, prepare
    from mas_fast.scene import Scene

    photos = folder / "photos"
    photos.mkdir()
    for n in range(2):
        labels = np.full((16, 16), n, np.uint8)
        labels[4:9, 4:9] = 0
        image = Image.fromarray(np.full((16, 16, 3), 40 * n, np.uint8))
        scene = Scene(labels, np.zeros((16, 16), bool))
        seg, edge = scene.to_pngs()
        image.save(photos / f"{n}.jpg")
        (photos / f"{n}.seg.png").write_bytes(seg)
        (photos / f"{n}.edge.png").write_bytes(edge)
        (photos / f"{n}.txt").write_text("a red house")
    (photos / "broken.jpg").write_bytes(b"no picture")
    prepare(photos, folder / "scenes", rules=Rules(size=16), progress=False)


def read_scenes(folder: Path) -> None:
    from mas_fast.data.report import Report

    report = Report.read(folder / "scenes")
    report.contents()
    report.write_html(folder / "report.html")


def resume_scenes(folder: Path) -> None:
    from mas_fast.data.prepare import Rules, prepare

    prepare(folder / "photos", folder / "scenes", rules=Rules(size=16), progress=False)


# ---------------------------------------------------------------------------- sources and scenes


def make_tar(folder: Path) -> None:
    from PIL import Image

    picture = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(picture, "JPEG")
    label = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(label, "PNG")
    edge = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), bool)).save(edge, "PNG")
    info = json.dumps({"caption": "a house", "face_boxes": [[1, 1, 5, 5]], "status": "success"})
    with tarfile.open(folder / "a.tar", "w") as tar:
        for key in ("1", "2"):
            for suffix, content in (
                ("jpg", picture.getvalue()),
                ("json", info.encode()),
                ("seg.png", label.getvalue()),
                ("edge.png", edge.getvalue()),
            ):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def read_source(folder: Path) -> None:
    from mas_fast.data.sources.base import Sample
    from mas_fast.data.sources.open import open_source

    for item in open_source(folder):
        if isinstance(item, Sample):
            item.square(8).scene  # noqa: B018


def make_table(suffix: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        from PIL import Image

        for n in range(2):
            Image.fromarray(np.full((8, 8, 3), 90 * n, np.uint8)).save(folder / f"{n}.jpg")
        rows = [{"file_name": f"{n}.jpg", "text": f"a house {n}"} for n in range(2)]
        if suffix == "parquet":
            import pyarrow as pa
            import pyarrow.parquet as parquet

            parquet.write_table(pa.Table.from_pylist(rows), folder / "metadata.parquet")
        elif suffix == "jsonl":
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / "metadata.jsonl").write_text(lines)
        else:
            lines = "".join(",".join(row.values()) + "\n" for row in rows)
            (folder / "metadata.csv").write_text(f"file_name,text\n{lines}")

    return make


def make_coco(folder: Path) -> None:
    from PIL import Image

    for name in ("val2017", "annotations/panoptic_val2017"):
        (folder / name).mkdir(parents=True)
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(folder / "val2017" / "1.jpg")
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[2:5, 2:5, 0] = 7
    Image.fromarray(pixels).save(folder / "annotations" / "panoptic_val2017" / "1.png")
    segments = [{"id": 7, "category_id": 1, "iscrowd": 0, "bbox": [2, 2, 3, 3], "area": 9}]
    annotation = {"image_id": 1, "file_name": "1.png", "segments_info": segments}
    values = {
        "images": [{"id": 1, "file_name": "1.jpg", "height": 8, "width": 8}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "person", "isthing": 1, "supercategory": "person"}],
    }
    (folder / "annotations" / "panoptic_val2017.json").write_text(json.dumps(values))
    captions = {"images": values["images"], "annotations": [{"image_id": 1, "caption": "a man"}]}
    (folder / "annotations" / "captions_val2017.json").write_text(json.dumps(captions))


def make_pngs(folder: Path) -> None:
    from PIL import Image

    from mas_fast.scene import Scene

    labels = np.zeros((12, 12), np.uint8)
    labels[3:8, 3:8] = 5
    Scene(labels, np.zeros((12, 12), bool)).save(folder / "ours.png")
    Image.fromarray(labels).save(folder / "grey.png")
    palette = Image.fromarray(labels, "P")
    palette.putpalette([n % 256 for n in range(768)])
    palette.save(folder / "palette.png")
    pixels = np.zeros((12, 12, 3), np.uint8)
    pixels[3:8, 3:8, 0] = 7
    Image.fromarray(pixels).save(folder / "coco.png")
    (folder / "coco.json").write_text(
        json.dumps({"segments_info": [{"id": 7, "category_id": 1, "isthing": True}]})
    )


def read_pngs(folder: Path) -> None:
    from mas_fast.scene.open import open_scene

    named = {"grey.png": "mini158", "palette.png": "ade20k"}
    files = sorted(folder.glob("*.png"))
    attempt(*(partial(open_scene, file, labels=named.get(file.name), size=8) for file in files))


def make_painted(folder: Path) -> None:
    from PIL import Image

    from mas_fast.pipelines.png_tokens import KEY, Painted

    painted = Painted("a red house", np.arange(40))
    picture = Image.fromarray(np.full((16, 16, 3), 90, np.uint8))
    picture.save(folder / "zipped.png", pnginfo=painted.text())
    plain = PngInfo()
    plain.add_text(KEY, json.dumps({"format": 1, "caption": "a", "tokens": list(range(40))}))
    picture.save(folder / "plain.png", pnginfo=plain)
    Image.fromarray(np.full((16, 20, 4), 90, np.uint8), "RGBA").save(folder / "clear.png")


def read_painted(folder: Path) -> None:
    from mas_fast.pipelines.given import read_picture
    from mas_fast.pipelines.png_tokens import Painted
    from mas_fast.scene.png import open_image

    def read(file: Path) -> None:
        pixels, given = read_picture(file, 8)
        assert (pixels.shape, given.shape) == ((8, 8, 3), (8, 8))
        painted = Painted.of(open_image(file), file.name)
        assert painted is None or painted.tokens.min(initial=0) >= 0

    attempt(*(partial(read, file) for file in sorted(folder.glob("*.png"))))


def make_captions(folder: Path) -> None:
    text = "a red house\n빨간 집 🏠\n\nthe car\n"
    (folder / "a.txt").write_text(text)
    (folder / "b.txt.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "c.tsv").write_text("a house\thttp://x.org/1\na car\thttps://x.org/2\n")
    rows = [{"id": n, "image_id": n, "caption": f"house {n}"} for n in range(3)]
    (folder / "d.json").write_text(json.dumps({"info": {"x": [1.5]}, "annotations": rows}))


def read_captions(folder: Path) -> None:
    from mas_fast.text.captions import captions

    files = sorted(folder.iterdir())
    attempt(*(lambda file=file: [text.encode() for text in captions([file])] for file in files))
