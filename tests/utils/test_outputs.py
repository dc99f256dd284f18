"""outputs.py: places that cannot be written to, and files that are read."""

import os
from pathlib import Path

import pytest

from mas_fast.utils.outputs import LONGEST, check_outputs


def test_new_files_and_old_outputs_are_fine(tmp_path) -> None:
    (tmp_path / "old.png").touch()
    (tmp_path / "in.png").touch()
    places = [tmp_path / "old.png", str(tmp_path / "new.png")]
    check_outputs(
        {"-o": places, "--json": tmp_path / "a.json", "--sheet": None}, [tmp_path / "in.png"]
    )
    check_outputs({"-o": tmp_path / "a" / "b" / "x.png"}, folder=tmp_path / "a" / "b")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.png", "old.png"]
    check_outputs({"-o": tmp_path / "data" / "new.png"}, [tmp_path / "data"], tmp_path / "data")


@pytest.mark.parametrize("given", ["in.png", "./in.png", "sub/../in.png", "soft.png", "hard.png"])
def test_an_input_by_any_name_is_refused(tmp_path, monkeypatch, given) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    Path("in.png").touch()
    Path("soft.png").symlink_to("in.png")
    os.link("in.png", "hard.png")
    for output in ("in.png", tmp_path / "in.png", "sub/../in.png", "hard.png", "soft.png"):
        with pytest.raises(ValueError, match="--sheet: .*found an input of this command"):
            check_outputs({"--sheet": output}, [given])


def test_a_file_of_an_input_folder_is_refused(tmp_path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "a.png").touch()
    (tmp_path / "link").symlink_to(tmp_path / "data" / "deep")
    for place in ("data/deep/a.png", "link/a.png"):
        with pytest.raises(ValueError, match="found a file of the input .*data"):
            check_outputs({"-o": tmp_path / place}, [tmp_path / "data"])


def test_two_outputs_in_one_place_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="--json: .*: found it twice with --sheet"):
        check_outputs({"--sheet": tmp_path / "a", "--json": tmp_path / "." / "a"})
    with pytest.raises(ValueError, match="found it twice, expected a file for each"):
        check_outputs({"-o": [tmp_path / "a", tmp_path / "a"]}, folder=tmp_path / "new")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("none/a.png", "found no folder .*none, expected one that is there"),
        ("file/a.png", "found no folder .*file, expected"),
        ("folder", "found a folder, expected the name of a file"),
        ("x" * (LONGEST + 1), "found a name of 201 bytes, expected at most 200"),
        ("\u00e9" * LONGEST, "found a name of 400 bytes"),
    ],
)
def test_where_nothing_can_be_written(tmp_path, place, message) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=message):
        check_outputs({"": tmp_path / place})


def test_folders_that_cannot_be_made(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "new", tmp_path / "file" / "a" / "b"):
        with pytest.raises(ValueError, match="found that .*file is a file, expected a folder"):
            check_outputs({"": folder / "x"}, folder=folder)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(ValueError, match="found no permission to make .*new in"):
        check_outputs({"": tmp_path / "new" / "x"}, folder=tmp_path / "new")
    with pytest.raises(ValueError, match="found no permission to write to the folder"):
        check_outputs({"": tmp_path / "x"})


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_a_folder_that_takes_no_files() -> None:
    """Root may write everywhere, by what the permissions say."""
    for place, folder in (("/proc/x.png", None), ("/proc/new/x.png", "/proc/new")):
        with pytest.raises(ValueError, match="--output: /proc/.*found .*/proc"):
            check_outputs({"--output": place}, folder=folder)
