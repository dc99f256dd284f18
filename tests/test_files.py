"""files.py: a file is replaced in one step or not at all."""

import os

import pytest

from mas_fast.files import replace_file


def test_the_old_content_stays_until_the_new_one_is_whole(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def write(temporary):
        temporary.write_text("ne")
        assert file.read_text() == "old" and temporary.parent == tmp_path
        temporary.write_text("new")
        temporary.chmod(0o600)

    replace_file(file, write)
    assert file.read_text() == "new" and os.listdir(tmp_path) == ["a.txt"]
    (tmp_path / "plain").touch()
    assert file.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failure_leaves_the_old_content_and_no_scraps(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")

    def write(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(file, write)
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]
