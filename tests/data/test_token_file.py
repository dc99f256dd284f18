"""token_file.py: files of codes, and what is refused."""

import struct
from dataclasses import replace

import numpy as np
import pytest

from mas_fast.data.token_file import Codes, check_output, distinct_names

GIVEN = Codes("vq_img", "ab" * 32, ["house", "빨간 집"], np.arange(32).reshape(2, 4, 4))


def test_what_is_saved_is_read(tmp_path) -> None:
    file = tmp_path / "tokens.npz"
    GIVEN.save(file)
    found = Codes.load(file)
    assert (found.model, found.bundle, found.names) == ("vq_img", "ab" * 32, GIVEN.names)
    assert found.codes.dtype == np.int32
    assert np.array_equal(found.codes, GIVEN.codes)
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.npz"]
    with np.load(file) as arrays:  # as others read it
        assert np.array_equal(arrays["codes"], GIVEN.codes)


def test_names_are_distinct() -> None:
    assert distinct_names(["a/x.png", "b/x.jpg", "x-2.png", "y.scene.png"]) == [
        *("x", "x-2", "x-2-2", "y.scene")
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "gpt"}, "model: found 'gpt', expected one of"),
        ({"codes": np.zeros((2, 4, 4))}, r"codes: found float64 \[2, 4, 4\], expected integers"),
        ({"codes": np.zeros((2, 16), int)}, r"codes: found int64 \[2, 16\]"),
        ({"names": ["a"]}, "names: found 1 different ones for 2, expected one for each"),
        ({"names": ["a", "a"]}, "names: found 1 different ones for 2"),
        *(
            ({"names": ["a", bad]}, "names: found .*, expected that of a file, in no folder")
            for bad in ("", ".", "..", "../up", "/etc/x", "b/c", "b\\c")
        ),
    ],
)
def test_unfit_fields_are_named(changes, message, tmp_path) -> None:
    with pytest.raises(ValueError, match=message):
        replace(GIVEN, **changes)
    values = {"format": 1} | vars(GIVEN) | changes
    with open(tmp_path / "x.npz", "wb") as stream:
        np.savez(stream, **values)
    with pytest.raises(ValueError, match=f"x.npz: {message}"):
        Codes.load(tmp_path / "x.npz")


def test_other_files_are_refused(tmp_path) -> None:
    file = tmp_path / "x.npz"
    with pytest.raises(ValueError, match="x.npz: found no such file, expected codes of `mas-fast"):
        Codes.load(file)
    GIVEN.save(file)
    content = file.read_bytes()
    for broken in (b"", b"text", content[: len(content) // 2], content[:-30]):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match="x.npz: found no .npz, expected codes"):
            Codes.load(file)
    file.write_bytes(content.replace(content[300:310], b"\xff" * 10))
    with pytest.raises(ValueError, match="x.npz: .*expected codes of `mas-fast encode`"):
        Codes.load(file)
    np.savez(file, codes=GIVEN.codes)
    with pytest.raises(ValueError, match=r"found no keys \['format', 'model', 'bundle', 'names'\]"):
        Codes.load(file)
    values = {"format": 1} | vars(GIVEN)
    np.savez(file, **values | {"format": 2})
    with pytest.raises(ValueError, match="format: found 2, expected 1"):
        Codes.load(file)
    np.savez(file, **values | {"names": np.array(GIVEN.names, object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        Codes.load(file)


def test_outputs_that_cannot_be_written(tmp_path) -> None:
    assert check_output(tmp_path / "a.npz") == tmp_path / "a.npz"
    (tmp_path / "b.npz").mkdir()
    for name, message in (
        ("a.png", "a.png: found the suffix '.png', expected the name of a file in .npz"),
        ("b.npz", "b.npz: found a folder"),
        ("none/a.npz", "none/a.npz: found no folder .*none"),
    ):
        with pytest.raises(ValueError, match=message):
            GIVEN.save(tmp_path / name)


def test_an_archive_of_several_disks_is_no_npz(tmp_path):
    """zipfile.is_zipfile raises for it."""
    file = tmp_path / "codes.npz"
    Codes("vq_img", "0" * 64, ["a"], np.zeros((1, 2, 2), int)).save(file)
    content = file.read_bytes()
    end = content.rindex(b"PK\5\6")
    locator = b"PK\6\7" + struct.pack("<IQI", 3, 0, 7)
    file.write_bytes(content[:end] + locator + content[end:])
    with pytest.raises(ValueError, match="codes.npz: .*expected codes of `mas-fast encode`"):
        Codes.load(file)
