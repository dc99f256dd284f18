"""data/sources/walk.py: files below a folder, through links."""

import os

import pytest

from mas_fast.data.shards import SCENES, TOKENS, ShardFolder
from mas_fast.data.sources.walk import walk


def fill(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_order_and_what_is_no_part(tmp_path):
    fill(tmp_path, "b.jpg", "a/z.jpg", "a/a/x.jpg", "c/y.jpg", ".hidden/h.jpg", ".h.jpg")
    fill(tmp_path, "Thumbs.db", "a/README.md", "__MACOSX/a.jpg", "a/._z.jpg")
    found = walk(tmp_path)
    assert found.files == ["b.jpg", "a/z.jpg", "a/a/x.jpg", "c/y.jpg"]
    fill(tmp_path, "notice/n.jpg")
    assert walk(tmp_path).files[-1] == "notice/n.jpg"
    assert not found.rejects
    assert not found.shards


def test_links_to_folders_are_followed_once(tmp_path):
    fill(tmp_path, "photos/part1/a.jpg", "disk2/part2/b.jpg", "disk2/part2/deep/c.jpg")
    photos = tmp_path / "photos"
    (photos / "a-link").symlink_to(tmp_path / "disk2" / "part2")
    (photos / "again").symlink_to("part1")  # before the folder itself, by name
    (photos / "more").symlink_to(tmp_path / "disk2" / "part2" / "deep")
    found = walk(photos)
    assert found.files == ["part1/a.jpg", "a-link/b.jpg", "a-link/deep/c.jpg"]
    assert [reject.key for reject in found.rejects] == ["again/", "more/"]
    assert all("read already" in reject.reason for reject in found.rejects)
    whole = tmp_path / "whole"
    whole.symlink_to(photos)
    assert walk(whole).files == found.files


def test_cycles_end(tmp_path):
    fill(tmp_path, "root/a/x.jpg", "other/y.jpg")
    root = tmp_path / "root"
    for name, target in (("a/up", ".."), ("above", tmp_path), ("top", "/"), ("self", "self")):
        (root / name).symlink_to(target)
    (root / "other").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(root)
    found = walk(root)
    assert found.files == ["a/x.jpg", "other/y.jpg"]
    reasons = {reject.key: reject.reason for reject in found.rejects}
    assert set(reasons) == {"a/up/", "above/", "top/", "self", "other/back/"}
    assert "lies in" in reasons["above/"]
    assert "lies in" in reasons["top/"]
    assert "read already" in reasons["a/up/"]
    assert "read already" in reasons["other/back/"]


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone").symlink_to("/nowhere/part3")
    (tmp_path / "gone.jpg").symlink_to("/nowhere/a.jpg")
    found = walk(tmp_path)
    assert found.files == ["gone.jpg"]  # its sample says what is wrong
    reasons = {reject.key: reject.reason for reject in found.rejects}
    assert "found a pipe" in reasons["pipe.jpg"]
    assert "'/nowhere/part3'" in reasons["gone"]


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    fill(tmp_path, "a/x.jpg", "b/y.jpg")
    real = os.scandir

    def scandir(path):
        if os.fspath(path).rstrip("/").endswith("/a"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = walk(tmp_path)
    assert found.files == ["b/y.jpg"]
    assert [r.key for r in found.rejects] == ["a/"]
    assert "Permission" in found.rejects[0].reason


@pytest.mark.parametrize("kind", [SCENES, TOKENS])
def test_own_shards_are_no_pictures(tmp_path, kind):
    fill(tmp_path, "a.jpg", "x/manifest.json")
    ShardFolder(tmp_path / "scenes", kind, "tar", {}, 1).begin()
    fill(tmp_path, "scenes/00000.tar")
    found = walk(tmp_path)
    assert found.files == ["a.jpg", "x/manifest.json"]
    assert found.shards == ["scenes"]
