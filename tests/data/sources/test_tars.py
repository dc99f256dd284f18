"""data/sources/tars.py: members in any order, names of any kind, and tars that are not whole."""

import gzip
import io
import os
import tarfile
import tracemalloc
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mas_fast.data.sources.base import Reject, Sample
from mas_fast.data.sources.open import open_source
from mas_fast.data.sources.tars import TarSource


def picture(value: int = 0, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (value, value, value)).save(file, kind)
    return file.getvalue()


JPG = picture()


def write(path: Path, members, **options) -> Path:
    with tarfile.open(path, "w", **options) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname, content = tarfile.LNKTYPE, content, b""
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def found(source) -> dict[str, list[str]]:
    return {item.key: item.captions for item in source if isinstance(item, Sample)}


def rejects(source) -> list[Reject]:
    return [item for item in source if isinstance(item, Reject)]


def test_members_in_any_order(tmp_path):
    """Each sample has its own picture and its own caption, in whatever order they are."""
    members = [(f"{n}.jpg", picture(10 * n)) for n in range(20)]
    members += [(f"{n}.txt", str(n).encode()) for n in range(20)]
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(40) if seed else range(40)
        tar = write(tmp_path / "0.tar", [members[n] for n in order])
        source = TarSource([tar])
        assert not rejects(source)
        assert len(source) == 20
        for sample in source:
            assert sample.captions == [sample.key]
            assert abs(int(sample.pixels[0, 0, 0]) - 10 * int(sample.key)) <= 2
        firsts = dict.fromkeys(members[n][0].partition(".")[0] for n in order)
        assert [sample.key for sample in source] == list(firsts)
    assert found(source.shard(0, 2)) | found(source.shard(1, 2)) == found(source)


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_names(tmp_path, format):
    long = "/".join(["folder" * 10] * (4 if format != tarfile.USTAR_FORMAT else 2))
    names = {"./a": "a", f"./{long}/b": f"{long}/b", "c//d": "c/d", "deep/er/e": "deep/er/e"}
    pairs = [(f"{name}.jpg", JPG) for name in names]
    pairs += [(f"{name}.txt", key[-9:].encode()) for name, key in names.items()]
    tar = write(tmp_path / "0.tar", pairs, format=format)
    assert found(TarSource([tar])) == {key: [key[-9:]] for key in names.values()}
    assert not rejects(TarSource([tar]))


def test_names_that_a_mac_decomposed(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    tar = write(tmp_path / "0.tar", [(f"{decomposed}.jpg", JPG), (f"{composed}.txt", b"a cup")])
    assert found(TarSource([tar])) == {composed: ["a cup"]}


def test_what_is_no_sample_does_not_count(tmp_path):
    members = [("README.md", b"x"), ("./._a.jpg", b"AppleDouble"), (".DS_Store", b"x")]
    members += [("__MACOSX/._a.jpg", b"x"), ("a.jpg", JPG), ("MD5SUMS", b"x"), ("LICENSE", b"x")]
    assert [item.key for item in TarSource([write(tmp_path / "0.tar", members)])] == ["a"]


def test_keys_with_dots(tmp_path):
    members = [(f"s.v2/img.{n}.{s}", JPG if s == "jpg" else n.encode())
               for s in ("jpg", "txt", "cls") for n in ("1.0", "1.5", "2.0")]  # fmt: skip
    source = TarSource([write(tmp_path / "0.tar", members)])
    assert found(source) == {f"s.v2/img.{n}": [n] for n in ("1.0", "1.5", "2.0")}
    assert not rejects(source)


def test_keys_with_and_without_dots(tmp_path):
    members = [("a.jpg", JPG), ("a.txt", b"one"), ("a.b.jpg", JPG), ("a.b.txt", b"two")]
    assert found(TarSource([write(tmp_path / "0.tar", members)])) == {"a": ["one"], "a.b": ["two"]}
    # A mask is no photo, and is told of; webdataset's other columns are left alone.
    members = [("a.jpg", JPG), ("a.mask.png", picture(kind="PNG")), ("a.txt", b"one")]
    members += [("a.cls", b"3"), ("a.emb.npy", b"x"), ("b.jpg", JPG), ("b.mask.png", JPG)]
    source = TarSource([write(tmp_path / "0.tar", members)])
    assert found(source) == {"a": ["one"], "b": []}
    (told,) = rejects(source)
    assert told.key == "0.tar"
    assert "found 2 pictures such as 'a.mask.png' beside" in told.reason
    # Two pictures that share a text: which is meant is not known, so neither goes without it.
    members = [("a.left.jpg", JPG), ("a.right.jpg", JPG), ("a.txt", b"one")]
    (told,) = TarSource([write(tmp_path / "0.tar", members)])
    assert isinstance(told, Reject)
    assert "left.jpg and right.jpg" in told.reason


def test_pictures_by_content(tmp_path):
    members = [("a.JPE", JPG), ("b", JPG), ("b.txt", b"two"), ("c.jpg_large", JPG)]
    members += [("d.gif", picture(kind="GIF")), ("e.heic", b"\0\0\0\x18ftypheic" + bytes(20))]
    members += [("f.jpg", JPG), ("f.pfm", JPG)]  # of two, the one with a suffix
    source = TarSource([write(tmp_path / "0.tar", members)])
    assert found(source) == {"a": [], "b": ["two"], "c": [], "d": [], "f": []}
    (told,) = rejects(source)
    assert told.key == "e"
    assert "found a HEIC picture, which is not read; convert it" in told.reason


def test_hard_links(tmp_path):
    members = [("a.jpg", picture(200)), ("a.txt", b"one"), ("b.jpg", "./a.jpg"), ("b.txt", b"two")]
    members += [("c.jpg", "gone.jpg"), ("c.txt", b"x"), ("d.jpg", "e.jpg"), ("e.jpg", picture(90))]
    source = TarSource([write(tmp_path / "0.tar", members)])
    assert found(source) == {"a": ["one"], "b": ["two"], "d": [], "e": []}
    values = {s.key: int(s.pixels[0, 0, 0]) for s in source if isinstance(s, Sample)}
    assert values == {"a": 200, "b": 200, "d": 90, "e": 90}
    (told,) = rejects(source)
    assert "found 'c.jpg', a link to 'gone.jpg', which is no file of the tar" in told.reason


def test_hard_links_as_tar_writes_them(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(JPG)
    os.link(folder / "a.jpg", folder / "b.jpg")
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        tar.add(folder, ".")
    assert set(found(TarSource([tmp_path / "0.tar"]))) == {"a", "b"}


def test_a_key_in_two_tars_is_two_samples(tmp_path):
    for n in (1, 2):
        members = [("0.jpg", picture(100 * n)), ("0.txt", str(n).encode())]
        write(tmp_path / f"{n}.tar", members)
    source = open_source(tmp_path)
    assert [(s.captions, int(s.pixels[0, 0, 0])) for s in source] == [(["1"], 100), (["2"], 200)]


def test_a_file_that_comes_again(tmp_path):
    members = [("a.jpg", picture(100)), ("b.jpg", JPG), ("a.txt", b"one"), ("a.jpg", picture(200))]
    source = TarSource([write(tmp_path / "0.tar", members)])
    assert found(source) == {"a": ["one"], "b": []}
    assert int(source[0].pixels[0, 0, 0]) == 100
    assert "found the key again at byte" in rejects(source)[0].reason


def test_a_broken_tar_gives_no_half_samples(tmp_path):
    """Where the files of a sample do not follow one another, any may have lost one."""
    members = [(f"{n}.jpg", JPG) for n in range(4)] + [(f"{n}.txt", b"x") for n in range(4)]
    tar = write(tmp_path / "0.tar", members)
    content = tar.read_bytes()
    tar.write_bytes(content[: content.index(b"2.txt") + 100])
    source = TarSource([tar])
    assert found(source) == {}
    assert any("found 4 samples whose files do not follow" in r.reason for r in rejects(source))
    tar.write_bytes(content[: content.index(b"0.txt")])  # between two members: it has no end
    source = TarSource([tar])
    assert "cut off" in rejects(source)[0].reason
    assert "3" not in found(source)


def test_what_lies_behind_the_end_is_told(tmp_path):
    one, two = (write(tmp_path / f"{n}.tar", [(f"{n}.jpg", JPG)]).read_bytes() for n in (1, 2))
    (tmp_path / "both.tar").write_bytes(one + two)
    source = TarSource([tmp_path / "both.tar"])
    assert found(source) == {"1": []}
    assert "after the end of the tar" in rejects(source)[0].reason
    (tmp_path / "both.tar").write_bytes(one + bytes(1 << 16))
    assert not rejects(TarSource([tmp_path / "both.tar"]))


def test_compressed_tars_are_refused_by_name(tmp_path):
    content = gzip.compress(write(tmp_path / "0.tar", [("a.jpg", JPG)]).read_bytes())
    (tmp_path / "x").mkdir()
    for name in ("0.tar.gz", "0.tgz", "0.TAR.GZ", "0.tar.zst"):
        file = tmp_path / "x" / name
        file.write_bytes(content)
        for path in (file, tmp_path / "x"):
            with pytest.raises(ValueError, match=f"{name}: found a compressed tar"):
                open_source(path)
        file.unlink()
    (tmp_path / "0.tar").write_bytes(content)
    (told,) = open_source(tmp_path / "0.tar")
    assert "found gzip data, expected a tar that is not compressed" in told.reason


def test_tars_at_any_depth(tmp_path):
    (tmp_path / "part" / "one").mkdir(parents=True)
    write(tmp_path / "b.tar", [("b.jpg", JPG)])
    write(tmp_path / "part" / "one" / "a.TAR", [("a.jpg", JPG)])
    (tmp_path / "b_stats.json").write_text("{}")
    assert list(found(open_source(tmp_path))) == ["b", "a"]
    (tmp_path / "part" / "c.png").write_bytes(picture(kind="PNG"))
    with pytest.raises(ValueError, match="found 2 tars such as b.tar and 1 pictures such as c.png"):
        open_source(tmp_path)


def test_a_tar_of_many_members_takes_little_memory(tmp_path):
    """10,000 files, grouped by suffix; tarfile's own list of them would take 10 MB."""
    count = 5000
    members = [(f"{n:08}.{suffix}", b"") for suffix in ("jpg", "txt") for n in range(count)]
    write(tmp_path / "0.tar", members)
    tracemalloc.start()
    try:
        source = TarSource([tmp_path / "0.tar"])
        left, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(source) == count
    assert most < 250 * 2 * count
    assert left < 60 * count
