"""data/sources/open.py: folders and webdataset tars; what is broken becomes a reject."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from encoded_photos import bomb, encoded
from mas_fast.data.shards import SCENES, ShardFolder
from mas_fast.data.sources.base import Reject, Sample
from mas_fast.data.sources.open import FolderSource, TarSource, open_source
from mas_fast.data.statistics import Statistics
from mas_fast.scene import Scene, clean, find_edges, read_coco_panoptic

JPG = encoded(np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3), "JPEG")
LABELS = np.arange(48, dtype=np.uint8).reshape(6, 8)
SCENE = Scene(LABELS, find_edges(LABELS))
SEG, EDGE = SCENE.to_pngs()


def write_tar(path: Path, members: list[tuple[str, bytes]], **options) -> Path:
    with tarfile.open(path, "w", **options) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def keys(source) -> list[str]:
    return [item.key for item in source if isinstance(item, Sample)]


def reasons(source) -> dict[str, str]:
    return {item.key: item.reason for item in source if isinstance(item, Reject)}


def test_shards_hold_every_item_once(tmp_path):
    for n in range(11):
        (tmp_path / f"{n:02}.jpg").write_bytes(JPG if n != 4 else b"")
    source = open_source(tmp_path)
    for count in (1, 2, 3, 5, 12):
        parts = [source.shard(n, count) for n in range(count)]
        found = sorted(item.key for part in parts for item in part)
        assert found == [f"{n:02}" for n in range(11)]
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    nested = source.shard(1, 2).shard(0, 2)
    assert [item.key for item in nested] == ["01", "05", "09"]
    assert isinstance(source.shard(0, 2)[2], Reject)
    assert source.shard(0, 2).key(2) == "04"
    with pytest.raises(ValueError, match=r"index: found 2, expected an integer in 0..1"):
        source.shard(2, 2)
    with pytest.raises(IndexError):
        source[11]


def test_the_first_items(tmp_path):
    for n in range(5):
        (tmp_path / f"{n:02}.jpg").write_bytes(JPG if n != 1 else b"")
    source = open_source(tmp_path)
    assert [item.key for item in source.head(3)] == ["00", "01", "02"]
    assert isinstance(source.head(3)[1], Reject)
    assert len(source.head(5)) == len(source.head(99)) == 5
    with pytest.raises(IndexError):
        source.head(3)[3]
    with pytest.raises(ValueError, match="count: found 0, expected an integer >= 1"):
        source.head(0)


def test_folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("b.v1.jpg", "sub/a.JPG", ".hidden/x.jpg", "c.png"):
        (tmp_path / name).write_bytes(JPG)
    (tmp_path / "b.v1.txt").write_bytes(
        "A red house.\r\n\n  안녕하세요 🙂 \rstill\u2028one\x85line\n".encode()
    )
    (tmp_path / "c.json").write_text('{"caption": "from json", "n": 3}')
    (tmp_path / "c.txt").write_text("not this one")
    (tmp_path / "c.seg.png").write_bytes(SEG)
    (tmp_path / "c.edge.png").write_bytes(EDGE)
    source = open_source(str(tmp_path))
    assert isinstance(source, FolderSource)
    assert keys(source) == ["b.v1", "c", "sub/a"]
    first, second, third = source
    assert first.captions == ["A red house.", "안녕하세요 🙂", "still\u2028one\x85line"]
    assert first.scene is None
    assert second.captions == ["from json"]
    assert second.info["n"] == 3
    assert second.scene == SCENE
    assert third.captions == []
    assert third.image.mode == "RGB"


def test_pictures_with_any_suffix_or_none(tmp_path):
    picture = Image.new("RGB", (8, 6), "red")
    kinds = {"b.gif": "GIF", "c.tif": "TIFF", "e.jfif": "JPEG", "f.JPE": "JPEG", "h.ppm": "PPM"}
    for name, kind in {**kinds, "i": "PNG", "j.jpg_large": "JPEG", "k.jpg?x=1": "JPEG"}.items():
        picture.save(tmp_path / name, kind)
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "l.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "m.tiff", save_all=True, append_images=frames[1:])
    (tmp_path / "i.txt").write_text("no suffix")
    (tmp_path / "j.txt").write_text("large")
    (tmp_path / "g.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "n.jxl").write_bytes(b"\xff\x0a" + bytes(30))
    source = open_source(tmp_path)
    samples = {item.key: item for item in source if isinstance(item, Sample)}
    assert list(samples) == ["b", "c", "e", "f", "h", "i", "j", "k.jpg?x=1", "l", "m"]
    assert samples["i"].captions == ["no suffix"]
    assert samples["j"].captions == ["large"]
    for sample in samples.values():  # of several frames or pages the first
        assert np.abs(sample.pixels[0, 0].astype(int) - (255, 0, 0)).max() < 8
    found = reasons(source)
    assert "HEIC picture, which is not read; convert it" in found["g"]
    assert "JPEG XL picture, which is not read" in found["n"]


def test_postscript_is_not_run(tmp_path, monkeypatch):
    """Whatever it is called: Pillow would hand it to Ghostscript."""
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: 1 / 0)
    (tmp_path / "good.jpg").write_bytes(JPG)
    Image.new("RGB", (8, 6)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    source = open_source(tmp_path)
    assert keys(source) == ["good"]
    assert "found PostScript" in reasons(source)["a"]


def test_what_is_neither_used_nor_left_out_is_counted(tmp_path):
    for name in ("a.jpg", "sub/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(JPG)
    for name in ("a.xml", "sub/b.xml", "train-0.parquet", "data", "README.md", ".x", "Thumbs.db"):
        (tmp_path / name).write_text("x")
    source = open_source(tmp_path)
    assert keys(source) == ["a", "sub/b"]
    found = reasons(source)
    assert found.keys() == {"*.xml", "*.parquet", "*"}
    assert found["*.xml"] == "found 2 files that are no pictures, such as 'a.xml'"
    for name in ("a.jpg", "sub/b.jpg"):
        (tmp_path / name).unlink()
    expected = r"\(2 \*.xml, .*\).*; pictures inside of parquet or arrow files are not read"
    with pytest.raises(ValueError, match=expected):
        open_source(tmp_path)


def test_a_folder_of_shards_has_to_be_whole(tmp_path):
    folder = ShardFolder(tmp_path, SCENES, "tar", {}, 1)
    folder.begin()
    facts = {"samples": 1, "rejects": [], "statistics": Statistics().to_dict()}
    folder.commit(0, lambda file: write_tar(file, [("a.jpg", JPG)]) and facts)
    with pytest.raises(ValueError, match="has not come to its end"):
        open_source(tmp_path)
    folder.finish()
    assert keys(open_source(tmp_path)) == ["a"]
    (tmp_path / "00000.tar").unlink()
    with pytest.raises(ValueError, match="00000.tar: found None bytes, expected"):
        open_source(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")  # somebody else's
    (tmp_path / "b.jpg").write_bytes(JPG)
    assert keys(open_source(tmp_path)) == ["b"]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_caption_tables(tmp_path, kind):
    (tmp_path / "sub").mkdir()
    for name in ("a.jpg", "sub/b.jpg"):
        (tmp_path / name).write_bytes(JPG)
    (tmp_path / "a.txt").write_text("replaced by the table")
    if kind == "jsonl":
        lines = [
            '{"file_name": "a.jpg", "captions": ["one", " two "]}',
            '{"file_name": "./sub/b.jpg", "text": "three"}',
            "",
            '{"file_name": "a.jpg", "caption": "four"}',
            '{"file_name": "a.jpg"',
            '["a.jpg", "x"]',
            '{"file_name": "a.jpg", "caption": 3}',
            '{"file_name": "a.jpg", "caption": "\\ud800"}',
            '{"file_name": "../a.jpg", "caption": "x"}',
            '{"file_name": "c.jpg", "caption": "x"}',
            '{"file_name": "a.jpg"}',
            '{"caption": "x"}',
            "[" * 100000,
        ]
        bad = {5: "broken JSON", 6: "found list", 7: "caption: found int", 8: "valid Unicode"}
        bad |= {9: "without ..", 10: "expected a file in", 11: "no caption", 12: "file_name: found"}
        bad |= {13: "broken JSON"}
        content = "\n".join(lines).encode()
    else:
        lines = [b"file_name,caption", b"a.jpg,one", b'a.jpg," two "', b"sub/b.jpg,three"]
        lines += [b"a.jpg,four", b"a.jpg,x,y", b"/a.jpg,x", b"a.jpg,\xff\xfe", b"a.png,x", b"a.jpg"]
        bad = {6: "1 fields too many", 7: "without ..", 8: "valid Unicode", 9: "expected a file in"}
        bad |= {10: "no caption"}
        content = b"\xef\xbb\xbf" + b"\r\n".join(lines)
    (tmp_path / f"captions.{kind}").write_bytes(content)
    source = open_source(tmp_path)
    a, b = (item for item in source if isinstance(item, Sample))
    assert a.captions == ["one", "two", "four"]
    assert b.captions == ["three"]
    found = reasons(source)
    assert list(found) == [f"captions.{kind}:{line}" for line in bad]
    for line, message in bad.items():
        assert message in found[f"captions.{kind}:{line}"]
    elsewhere = (tmp_path / f"captions.{kind}").rename(tmp_path / f"other.{kind}")
    assert open_source(tmp_path)[0].captions == ["replaced by the table"]
    assert open_source(tmp_path, elsewhere)[0].captions == a.captions


def test_broken_samples_of_a_folder(tmp_path):
    broken = {
        "empty.jpg": b"",
        "cut.jpg": JPG[: len(JPG) * 3 // 4],
        "bomb.png": bomb(),
        "two.jpg": JPG,
        "two.png": JPG,
        "lonely.txt": b"no picture",
        "latin.jpg": JPG,
        "latin.txt": b"caf\xe9",
        "json.jpg": JPG,
        "json.json": b"{",
        "list.jpg": JPG,
        "list.json": b'{"captions": "one"}',
        "half.jpg": JPG,
        "half.seg.png": SEG,
        "size.jpg": encoded(np.zeros((3, 3), np.uint8), "JPEG"),
        "size.seg.png": SEG,
        "size.edge.png": EDGE,
    }
    for name, content in {**broken, "good.jpg": JPG}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    source = open_source(tmp_path)
    assert keys(source) == ["good"]
    expected = {
        "empty": "no image",
        "cut": "runcated",
        "bomb": "9000 x 9000",
        "two": "found jpg and png",
        "lonely": "found no image",
        "latin": "not UTF-8",
        "json": "broken JSON",
        "list": "expected a list of strings",
        "half": "expected edge.png or segments_info",
        "size": "image of 3 x 3 and a scene of 6 x 8",
        "link": "no such file",
    }
    found = reasons(source)
    assert found.keys() == expected.keys()
    for key, message in expected.items():
        assert message in found[key]


def test_nothing_to_read(tmp_path):
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(ValueError, match="found no images, tars or panoptic JSON, expected some"):
        open_source(tmp_path)
    for path in (tmp_path / "nowhere", tmp_path / "readme.txt"):
        with pytest.raises(ValueError, match="found no such folder, .tar or .json"):
            open_source(path)
    (tmp_path / "a.jpg").write_bytes(JPG)
    with pytest.raises(ValueError, match="no.csv: found no such file, expected captions"):
        open_source(tmp_path, tmp_path / "no.csv")
    for name in ("captions.csv", "metadata.jsonl"):
        (tmp_path / name).write_text("file,caption\n")
    with pytest.raises(ValueError, match="found captions.csv, metadata.jsonl, expected one table"):
        open_source(tmp_path)
    (tmp_path / "metadata.jsonl").unlink()
    with pytest.raises(ValueError, match=r"found columns \['file', 'caption'\]"):
        open_source(tmp_path)
    write_tar(tmp_path / "0.tar", [])
    with pytest.raises(ValueError, match="found no samples"):
        open_source(tmp_path / "0.tar")


def test_tars(tmp_path):
    with_scene = [("000.jpg", JPG), ("000.seg.png", SEG), ("000.edge.png", EDGE)]
    with_scene += [("000.json", b'{"captions": ["one", "two"]}'), ("000.txt", b"not this")]
    long = "sub/" + 150 * "n" + "é"  # in a PAX header
    write_tar(tmp_path / "00001.tar", [(f"{long}.jpg", JPG), (f"{long}.cls", b"3")])
    write_tar(tmp_path / "00000.tar", [*with_scene, ("001.PNG", JPG), ("001.txt", b"three")])
    source = open_source(tmp_path)
    assert isinstance(source, TarSource)
    assert keys(source) == ["000", "001", long]
    first, second, third = source
    assert first.captions == ["one", "two"]
    assert first.scene == SCENE
    assert first.layers is None
    assert second.captions == ["three"]
    assert second.scene is None
    assert third.captions == []
    assert keys(open_source(tmp_path / "00000.tar")) == ["000", "001"]
    with pytest.raises(ValueError, match="found captions for tars"):
        open_source(tmp_path, tmp_path / "00000.tar")


def test_panoptic_png_in_a_tar(tmp_path):
    ids = np.zeros((6, 8, 3), np.uint8)
    ids[:, 4:, 1] = 7
    segments = [{"id": 7 * 256, "category_id": 1}]
    members = [("0.jpg", JPG), ("0.seg.png", encoded(ids))]
    info = json.dumps({"segments_info": segments}).encode()
    (sample,) = open_source(write_tar(tmp_path / "0.tar", [*members, ("0.json", info)]))
    assert sample.layers is not None
    assert sample.scene == clean(*read_coco_panoptic(encoded(ids), segments))
    (reject,) = open_source(write_tar(tmp_path / "0.tar", [*members, ("0.json", b"{}")]))
    assert "expected edge.png or segments_info" in reject.reason
    empty = b'{"segments_info": []}'
    (reject,) = open_source(write_tar(tmp_path / "0.tar", [*members, ("0.json", empty)]))
    assert "segment ids [1792] that segments_info lacks" in reject.reason


def test_bad_members_of_a_tar(tmp_path):
    bad = {
        "../evil": "without ..",
        "/etc/evil": "without ..",
        "a/../../evil": "without ..",
        "a\\evil": "without ..",
        "x/": "without ..",
        "nothing": "no image",
        "twice": "two files with the suffix jpg",
        "bomb": "9000 x 9000",
        "text": "not UTF-8",
    }
    members = [(f"{key}.jpg", JPG) for key in bad if key not in ("nothing", "bomb")]
    members.insert(6, ("twice.JPG", JPG))
    members += [("text.txt", b"\xff"), ("nothing.txt", b""), ("bomb.png", bomb()), ("ok.jpg", JPG)]
    path = write_tar(tmp_path / "0.tar", members)
    with tarfile.open(path, "a") as tar:
        for name, kind in (("link.jpg", tarfile.SYMTYPE), ("fifo.jpg", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        member = tarfile.TarInfo("folder")
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
    write_tar(tmp_path / "1.tar", [("\udcff.jpg", JPG), ("ok2.jpg", JPG), ("ok3.jpg", JPG)] * 2)
    source = open_source(tmp_path)
    assert keys(source) == ["ok", "ok2", "ok3"]
    found = [item for item in source if isinstance(item, Reject)]
    assert len(found) == len(bad) + 2 + 1 + 3
    for message in {*bad.values(), "expected a plain file", "valid UTF-8", "found the key again"}:
        count = list(bad.values()).count(message) or {"found the key again": 3}.get(message)
        if count:
            assert sum(message in item.reason for item in found) == count, message
    for item in found:
        (item.key + item.reason).encode()  # can be written to a report


def test_broken_tars_give_what_they_have(tmp_path):
    members = [(f"{n}.{suffix}", JPG) for n in range(4) for suffix in ("jpg", "txt")]
    whole = write_tar(tmp_path / "whole.tar", [(n, c if n[2] == "j" else b"x") for n, c in members])
    content = whole.read_bytes()
    samples = keys(TarSource([whole]))
    assert samples == ["0", "1", "2", "3"]
    end = content.index(b"2.txt")
    for cut in (0, 100, 512, 700, end - 1, end + 20, end + 511, end + 512, end + 600):
        (tmp_path / "cut.tar").write_bytes(content[:cut])
        source = TarSource([tmp_path / "cut.tar", whole])
        rejects = reasons(source)
        assert list(rejects) == ["cut.tar"], cut
        assert rejects["cut.tar"].startswith("broken "), cut
        assert keys(source) == ([] if cut < 1000 else ["0", "1"]) + samples
    (tmp_path / "cut.tar").write_bytes(content[: end - 1] + b"?" + content[end:])
    spoilt = bytearray(content)
    spoilt[end : end + 512] = b"?" * 512  # a header, so that tarfile believes in an end
    (tmp_path / "cut.tar").write_bytes(spoilt)
    source = TarSource([tmp_path / "cut.tar", whole])
    assert keys(source) == ["0", "1", *samples]
    assert "cut.tar" in reasons(source)


def test_random_damage_never_stops_a_run(tmp_path):
    members = [("0.jpg", JPG), ("0.seg.png", SEG), ("0.edge.png", EDGE), ("0.json", b'{"a": 1}')]
    content = write_tar(tmp_path / "0.tar", [*members, ("é1.jpg", JPG)]).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        spoilt = bytearray(content)
        for position in rng.integers(0, len(content.rstrip(b"\0")), rng.integers(1, 40)):
            spoilt[position] = rng.integers(256)
        (tmp_path / "0.tar").write_bytes(spoilt)
        for item in TarSource([tmp_path / "0.tar"]):
            assert isinstance(item, Sample) or item.reason


def test_real_shard(coco_tar):
    source = open_source(coco_tar.parent)
    samples = list(source)
    assert [sample.key for sample in samples] == [f"{n:09}" for n in range(15)]
    assert all(len(sample.captions) >= 5 and sample.scene is not None for sample in samples)
    assert (
        samples[0].captions[0]
        == "A man standing in a living room holding a Nintendo Wii game controller."
    )
    assert sorted(
        keys(source.shard(0, 3)) + keys(source.shard(1, 3)) + keys(source.shard(2, 3))
    ) == [sample.key for sample in samples]


def test_real_folders(coco):
    sizes = [item.image.size for item in open_source(coco / "val2017")]
    assert len(sizes) == 15
    assert all(min(size) == 288 for size in sizes)


@pytest.mark.slow
def test_more_real_data(real_data):
    """A shard and photos of odd sizes that are not ours to publish."""
    folder = real_data("webdataset")
    samples = list(open_source(folder / "coco-val-000000.tar"))
    assert [sample.key for sample in samples] == [f"{n:09}" for n in range(16)]
    assert all(len(sample.captions) >= 5 and sample.scene is not None for sample in samples)
    assert samples[0].captions[0] == "A green netted bed in a light filled bedroom."
    sizes = [item.image.size for item in open_source(folder / "img2dataset_resize")]
    assert len(sizes) == 7
    assert all(min(size) >= 100 for size in sizes)
