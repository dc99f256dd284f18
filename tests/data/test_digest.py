"""data/digest.py: the same files by another way are the same, others are not."""

import os
import shutil

import pytest

from mas_fast.data import digest as module
from mas_fast.data.digest import changes, digest
from mas_fast.data.shards import SCENES, ShardFolder


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "photos"
    (place / "more").mkdir(parents=True)
    for n in range(6):
        (place / ("more" if n % 2 else ".") / f"{n}.png").write_bytes(bytes([n]) * 1000)
    return place


def touched(folder) -> None:
    for file in folder.rglob("*.png"):
        os.utime(file, (1, 1))


def test_the_same_files_in_another_place(folder, tmp_path, monkeypatch) -> None:
    then = digest(folder)
    assert (then["files"], then["bytes"], then["whole"]) == (6, 6000, True)
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    touched(copy)
    link = tmp_path / "link"
    link.symlink_to(copy)
    monkeypatch.chdir(tmp_path)
    for path in (folder, copy, link, "photos", "./photos/../elsewhere"):
        assert changes(then, path) is None
        assert digest(path) == then | {"times": digest(path)["times"]}


def test_hidden_files_and_ones_own_output_do_not_count(folder) -> None:
    then = digest(folder)
    (folder / ".DS_Store").write_text("x")
    (folder / ".thumbs").mkdir()
    (folder / ".thumbs" / "0.png").write_text("x")
    (folder / "run").mkdir()
    (folder / "run" / "sheet.png").write_text("x")
    (folder / "nothing").symlink_to("absent")
    (folder / "again").symlink_to(folder)  # a cycle
    assert changes(then, folder, without=[folder / "run"]) is None
    assert "found 7 files" in changes(then, folder)


@pytest.mark.parametrize("change", ["more", "fewer", "size", "name", "bytes"])
@pytest.mark.parametrize("limit", [module.LIMIT, 3000])
def test_what_changed_is_said(folder, monkeypatch, change, limit) -> None:
    monkeypatch.setattr(module, "LIMIT", limit)
    monkeypatch.setattr(module, "PIECE", 500)  # of six files, under the small limit
    then = digest(folder)
    assert then["whole"] == (limit > 3000)
    touched(folder)
    assert changes(then, folder) is None
    words = {"more": "found 7 files", "fewer": "found 5 files", "size": "found 6 files of 6001"}
    words |= {"name": "other names or sizes", "bytes": "found other contents under the same names"}
    if change == "more":
        (folder / "6.png").write_bytes(b"")
    elif change == "fewer":
        (folder / "0.png").unlink()
    elif change == "size":
        (folder / "0.png").write_bytes(bytes(1001))
    elif change == "name":
        (folder / "0.png").rename(folder / "9.png")
    else:
        (folder / "0.png").write_bytes(bytes([7]) * 1000)
    assert words[change] in changes(then, folder)


def test_two_files_that_swap_names(folder) -> None:
    """Of one size and time, as unpacking a tar leaves them."""
    touched(folder)
    then = digest(folder)
    one, other, aside = folder / "0.png", folder / "2.png", folder / "aside"
    for file, name in ((one, aside), (other, one), (aside, other)):
        file.rename(name)
    assert "other contents" in changes(then, folder)


def test_bytes_behind_a_time_that_was_put_back(folder) -> None:
    then, file = digest(folder), folder / "0.png"
    time = file.stat().st_mtime_ns
    file.write_bytes(b"7" * 1000)
    os.utime(file, ns=(time, time))
    for whole in (False, True):
        assert "other contents" in changes(then, folder, every_byte=whole)


@pytest.mark.parametrize("suffix", [".json", ".JSON"])
def test_a_panoptic_json_with_its_photos_and_captions(folder, suffix) -> None:
    file = (folder / "panoptic_val").with_suffix(suffix)
    captions, photos = folder / "captions_val.json", folder / "val"
    photos.mkdir()
    for place in (file, captions, photos / "1.png"):
        place.write_text("one")
    then = digest(file)
    assert then["files"] == 3
    assert changes(then, file) is None
    for place in (captions, photos / "1.png"):
        place.write_text("two")
        assert "other contents" in changes(then, file)
        place.write_text("one")
    captions.unlink()
    assert "found 2 files" in changes(then, file)


def test_whole_needs_to_have_been_remembered(folder, monkeypatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 100)
    monkeypatch.setattr(module, "PIECE", 10)
    with pytest.raises(ValueError, match="a run that begins with `verify` remembers them"):
        changes(digest(folder), folder, every_byte=True)
    then = digest(folder, every_byte=True)
    assert then["whole"]
    assert changes(then, folder, every_byte=True) is None
    file = folder / "0.png"
    file.write_bytes(bytes(999) + b"x")
    assert "other contents" in changes(then, folder)


def test_a_manifest_is_believed_unless_all_is_read(tmp_path) -> None:
    facts = {"statistics": {}, "rejects": []}

    def make(name, byte: bytes, **options):
        shards = ShardFolder(tmp_path / name, SCENES, "tar", options, 2)
        for n in shards.begin():
            shards.commit(n, lambda file: {**facts, "samples": file.write_bytes(byte * 100) and 1})
        shards.finish()
        return tmp_path / name

    then = digest(make("a", b"a"))
    assert then["whole"]
    assert then["files"] == 2
    assert changes(then, make("again", b"a", source="elsewhere")) is None
    assert "other contents" in changes(then, make("b", b"b"))
    (tmp_path / "a" / "00000.tar").write_bytes(b"c" * 100)
    assert changes(then, tmp_path / "a") is None
    assert "other contents" in changes(then, tmp_path / "a", every_byte=True)


def test_annotations_in_a_file_have_their_photos_beside_them(tmp_path) -> None:
    for name in ("annotations/panoptic_val/1.png", "val/1.jpg", "train/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    file = tmp_path / "annotations" / "panoptic_val.json"
    file.write_text("{}")
    then = digest(file)
    assert then["files"] == 3
    (tmp_path / "train" / "2.jpg").write_text("")
    assert changes(then, file) is None
    (tmp_path / "val" / "1.jpg").write_text("another")
    assert "bytes in all" in changes(then, file)


def test_nothing_there(tmp_path) -> None:
    with pytest.raises(OSError, match="absent"):
        digest(tmp_path / "absent")
