"""data/inputs.py: shards go on with the input they were made of, and with no other."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from mas_fast.data import prepare as module
from mas_fast.data.prepare import Rules, prepare
from mas_fast.data.sources.open import open_source
from mas_fast.scene import clean
from prepared import content, folder_of, grey, jpeg, rejects, write_tar


def test_a_tar_in_is_a_tar_out(tmp_path):
    for n, count in enumerate((3, 1, 2)):
        write_tar(tmp_path / "tars" / f"{n}.tar", [f"{n}-{i}" for i in range(count)])
    broken = tmp_path / "tars" / "1.tar"
    broken.write_bytes(broken.read_bytes()[:2000])
    manifest = prepare(tmp_path / "tars", tmp_path / "out", rules=Rules(8), progress=False)
    assert [shard["samples"] for shard in manifest["shards"]] == [3, 0, 2]
    assert [name for name, *_ in manifest["options"]["tars"]] == [
        "0.tar",
        "1.tar",
        "2.tar",
    ]
    assert [(shard, key) for shard, key, _ in rejects(tmp_path / "out")] == [("00001.tar", "1.tar")]
    one = prepare(tmp_path / "tars" / "0.tar", tmp_path / "one", rules=Rules(8), progress=False)
    assert one["shards"][0]["sha256"] == manifest["shards"][0]["sha256"]


def test_members_that_would_leave_the_folder_are_rejects(tmp_path):
    write_tar(tmp_path / "x.tar", ["good", "../up", "/etc/top"])
    prepare(tmp_path / "x.tar", tmp_path / "out", rules=Rules(8), progress=False)
    assert len(rejects(tmp_path / "out")) == 2
    assert all("relative path without .." in reason for *_, reason in rejects(tmp_path / "out"))
    assert [item.info["source"]["key"] for item in open_source(tmp_path / "out")] == ["good"]


def test_a_changed_source_or_rule_is_an_error_that_names_it(tmp_path):
    tar = write_tar(tmp_path / "tars" / "0.tar", ["a"])
    out = tmp_path / "out"
    prepare(tmp_path / "tars", out, rules=Rules(8), progress=False)
    before = content(out)
    with pytest.raises(ValueError, match="out: found shards made with size = 8, now it is 9:"):
        prepare(tmp_path / "tars", out, rules=Rules(9), progress=False)
    with pytest.raises(ValueError, match=r"made with annotators = \[\], now it is .*truth"):
        prepare(tmp_path / "tars", out, rules=Rules(8), annotators=["truth"], progress=False)
    write_tar(tar, ["a", "b", "c"])
    with pytest.raises(ValueError, match="tars: found 1 files of .*another folder with --output"):
        prepare(tmp_path / "tars", out, rules=Rules(8), progress=False)
    assert content(out) == before


def scene_files(value: int, *names: str) -> dict[str, bytes]:
    seg, edge = clean(np.full((8, 8), 1, np.uint8)).to_pngs()
    parts = {"jpg": jpeg(grey(value, 8, 8)), "seg.png": seg, "edge.png": edge}
    return {f"{name}.{suffix}": part for name in names for suffix, part in parts.items()}


def half_done(tmp_path: Path) -> tuple[Path, Path]:
    """A source of four samples, and its output without the second of two shards."""
    source, out = folder_of(tmp_path / "in", scene_files(80, *"abcd")), tmp_path / "out"
    prepare(source, out, rules=Rules(8), per_shard=2, progress=False)
    for name in ("00001.tar", "00001.json"):
        (out / name).unlink()
    return source, out


def test_another_input_is_refused(tmp_path):
    """Of the same names and sizes too; and after that everything is as it was."""
    source, out = half_done(tmp_path)
    before = content(out)
    files = scene_files(80, *"abcd")
    picture = bytearray(files["a.jpg"])
    picture[-20] ^= 1
    for change, message in (
        ({"a.jpg": bytes(picture)}, "found other contents under the same names and sizes"),
        ({"a.jpg": files["a.jpg"] + b"x"}, "in all, expected 12"),
        ({"e.jpg": files["a.jpg"]}, "found 13 files"),
        ({"notes.txt": b"x"}, "found 13 files"),
    ):
        folder_of(source, change)
        with pytest.raises(ValueError, match=message) as error:
            prepare(source, out, rules=Rules(8), per_shard=2, progress=False)
        assert "put that back to go on, or give another folder with --output" in str(error.value)
        assert content(out) == before
        for name in change:
            (source / name).unlink()
        folder_of(source, files)
    prepare(source, out, rules=Rules(8), per_shard=2, progress=False)
    assert len(list(open_source(out))) == 4


@pytest.mark.parametrize("verify", [False, True])
def test_the_same_input_goes_on_wherever_it_lies(tmp_path, verify):
    """Another path, another spelling of it, and times of change that a copy has lost."""
    source, out = half_done(tmp_path)
    moved = source.rename(tmp_path / "elsewhere")
    for file in moved.iterdir():
        os.utime(file, (0, 0))
    link = tmp_path / "link"
    link.symlink_to(moved)
    for path in (moved, link, tmp_path / "out" / ".." / "elsewhere"):
        prepare(path, out, rules=Rules(8), per_shard=2, verify=verify, progress=False)
    assert len(list(open_source(out))) == 4


def test_other_captions_are_another_input(tmp_path):
    source, out = folder_of(tmp_path / "in", scene_files(80, "a")), tmp_path / "out"
    tables = [tmp_path / f"{n}.csv" for n in range(3)]
    for n, table in enumerate(tables):
        table.write_text(f"file_name,text\na.jpg,number {n % 2}\n")
    go = lambda table: prepare(source, out, captions=table, rules=Rules(8), progress=False)  # noqa: E731
    go(tables[0])
    with pytest.raises(ValueError, match="1.csv: found 1 files of other names"):
        go(tables[1])
    with pytest.raises(ValueError, match="made with captions = "):
        go(None)
    tables[2].rename(tables[0])
    go(tables[0])


def test_a_manifest_whose_input_is_broken(tmp_path):
    source, out = half_done(tmp_path)
    values = json.loads((out / "manifest.json").read_text())
    values["options"]["input"] = {"files": 12}
    (out / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="manifest.json: found a broken input"):
        prepare(source, out, rules=Rules(8), per_shard=2, progress=False)


def test_rejects_are_listed_when_a_run_is_stopped(tmp_path, monkeypatch):
    files = scene_files(80, "a", "c") | {"b.jpg": b"x", "d.jpg": b"y"}
    source, out = folder_of(tmp_path / "in", files), tmp_path / "out"
    real = module._Shard.add

    def add(self, place, item):
        if self.prefix == "00001":
            raise KeyboardInterrupt
        return real(self, place, item)

    monkeypatch.setattr(module._Shard, "add", add)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, out, rules=Rules(8), per_shard=2, progress=False)
    assert [key for _, key, _ in rejects(out)] == ["b"]
    monkeypatch.undo()
    prepare(source, out, rules=Rules(8), per_shard=2, progress=False)
    assert [key for _, key, _ in rejects(out)] == ["b", "d"]


def test_a_source_that_changes_while_it_is_read(tmp_path, monkeypatch):
    source = folder_of(tmp_path / "in", scene_files(80, *"abcd"))
    real = module.ShardFolder.begin

    def begin(self):
        folder_of(source, scene_files(80, "0"))
        return real(self)

    monkeypatch.setattr(module.ShardFolder, "begin", begin)
    with pytest.raises(ValueError, match="in: found 5 samples, a moment ago 4"):
        prepare(source, tmp_path / "out", rules=Rules(8), progress=False)


def test_the_output_lies_apart(tmp_path):
    source = folder_of(tmp_path / "photos", scene_files(80, "a"))
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "sub").mkdir()
    for output, message in (
        (source, "that is the input"),
        (tmp_path / "link", "that is the input"),
        (source / "scenes", "that lies in the input"),
        (tmp_path / "link" / "scenes", "that lies in the input"),
        (tmp_path / "sub" / ".." / "photos" / "scenes", "that lies in the input"),
        (tmp_path, "that has in it the input"),
    ):
        with pytest.raises(ValueError, match=f"found an output {message}.*outside of it"):
            prepare(source, output, rules=Rules(8), progress=False)
    assert sorted(file.name for file in source.iterdir()) == ["a.edge.png", "a.jpg", "a.seg.png"]
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file: found a file, expected a folder"):
        prepare(source, tmp_path / "file", rules=Rules(8), progress=False)
    # A link in the source that leads to the output: what is there is no picture.
    (tmp_path / "out").mkdir()
    (source / "done").symlink_to(tmp_path / "out")
    for _ in range(2):
        manifest = prepare(source, tmp_path / "out", rules=Rules(8), progress=False)
        assert [shard["samples"] for shard in manifest["shards"]] == [1]
