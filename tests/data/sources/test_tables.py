"""data/sources/tables.py and folders.py: captions in the places and forms that data sets have."""

import gzip
import json
import re
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from mas_fast.data.sources.base import Reject, Sample
from mas_fast.data.sources.open import open_source
from mas_fast.data.sources.tables import coco_id, read_table


def pictures(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(root / name, "JPEG")
    return root


def captions(source) -> dict[str, list[str]]:
    return {item.key: item.captions for item in source if isinstance(item, Sample)}


def rejects(source) -> dict[str, str]:
    return {item.key: item.reason for item in source if isinstance(item, Reject)}


def parquet(file: Path, columns: dict) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), file)


# ---------------------------------------------------------------------------- where they are


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
@pytest.mark.parametrize("folder", ["", "train/", "data/train/"])
def test_hugging_faces_layouts(tmp_path, folder, name):
    pictures(tmp_path, f"{folder}x.jpg", f"{folder}deep/y.jpg")
    rows = [("x.jpg", "a cat"), ("deep/y.jpg", "a dog")]
    file = tmp_path / folder / name
    if file.suffix == ".csv":
        file.write_text("file_name,text\n" + "".join(f"{n},{c}\n" for n, c in rows))
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps({"file_name": n, "text": c}) + "\n" for n, c in rows))
    else:
        parquet(
            file, dict(zip(("file_name", "text"), map(list, zip(*rows, strict=True)), strict=True))
        )
    source = open_source(tmp_path)
    assert captions(source) == {f"{folder}x": ["a cat"], f"{folder}deep/y": ["a dog"]}
    assert not rejects(source)
    # Given, it means the same, whether its names are relative to it or to the folder.
    assert captions(open_source(tmp_path, file)) == captions(source)
    given = pictures(tmp_path / "more", f"{folder}x.jpg", f"{folder}deep/y.jpg")
    other = file.rename(tmp_path / f"other{file.suffix}")
    if not folder:
        assert captions(open_source(given, other)) == {"x": ["a cat"], "deep/y": ["a dog"]}


def test_a_table_for_each_split(tmp_path):
    pictures(tmp_path, "train/1.jpg", "val/1.jpg")
    for split in ("train", "val"):
        (tmp_path / split / "metadata.csv").write_text(f"file_name,text\n1.jpg,of {split}\n")
    assert captions(open_source(tmp_path)) == {"train/1": ["of train"], "val/1": ["of val"]}
    (tmp_path / "metadata.csv").write_text("file_name,text\ntrain/1.jpg,twice\n")
    expected = "found metadata.csv, train/metadata.csv, expected one table .*--captions says which"
    with pytest.raises(ValueError, match=expected):
        open_source(tmp_path)
    found = captions(open_source(tmp_path, tmp_path / "metadata.csv"))
    assert found == {"train/1": ["twice"], "val/1": []}


def test_names_find_their_files(tmp_path):
    """Further down, in another case, and with the folders above the root, but never another."""
    root = pictures(tmp_path / "set", "images/a.jpg", "images/B.JPG", "x/same.jpg", "y/same.jpg")
    rows = ["a.jpg,one", "b.jpg,two", "same.jpg,which?", "z/a.jpg,no"]
    table = root / "captions.csv"
    table.write_text("image,caption\n" + "\n".join(rows))
    source = open_source(root)
    assert captions(source) == {
        "images/a": ["one"],
        "images/B": ["two"],
        "x/same": [],
        "y/same": [],
    }
    told = rejects(source)
    assert "found 2 files 'same.jpg' (x/same, y/same), expected one" in told["captions.csv:4"]
    assert "found 1 rows of files that are not there, such as 'z/a.jpg'" in told["captions.csv:5"]
    # Where names are whole, one that is not there is not that of a file further down.
    table.write_text("image,caption\nimages/A.jpg,one\nx/same.jpg,two\na.jpg,no\n")
    source = open_source(root)
    assert captions(source) == {
        "images/a": ["one"],
        "images/B": [],
        "x/same": ["two"],
        "y/same": [],
    }
    assert "such as 'a.jpg'" in rejects(source)["captions.csv:4"]
    other = table.rename(tmp_path / "c.csv")
    other.write_text("image,caption\nset/images/a.jpg,one\nother/images/B.JPG,no\n")
    source = open_source(root / "images", other)
    assert captions(source) == {"a": ["one"], "B": []}
    assert len(rejects(source)) == 1


@pytest.mark.parametrize(("disk", "table"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_meet_in_one_form(tmp_path, disk, table):
    name = unicodedata.normalize(disk, "Ångström/café")
    pictures(tmp_path, f"{name}.jpg", f"{name}2.jpg")
    other = unicodedata.normalize(table, "Ångström/café")
    (tmp_path / "captions.csv").write_text(f"file_name,text\n{other}.jpg,a cup\n", "utf-8")
    folder, base = name.split("/")
    (tmp_path / folder / f"{unicodedata.normalize(table, base)}2.txt").write_text("two cups")
    found = captions(open_source(tmp_path))
    key = unicodedata.normalize("NFC", name)
    assert found == {key: ["a cup"], f"{key}2": ["two cups"]}


# ---------------------------------------------------------------------------- what they hold

COCO = {
    "images": [{"id": 9, "file_name": "a.jpg"}, {"id": "0010", "file_name": "b.jpg"}],
    "annotations": [
        {"image_id": 9, "id": 1, "caption": "one"},
        {"image_id": 10, "id": 2, "caption": "two"},
        {"image_id": "9", "id": 3, "caption": "three"},
        {"image_id": 11, "id": 4, "caption": "of another image"},
    ],
}
KARPATHY = {
    "dataset": "coco",
    "images": [
        {"filename": "a.jpg", "sentences": [{"raw": "one", "tokens": ["one"]}, {"raw": "three"}]},
        {"filepath": "val2014", "filename": "b.jpg", "sentences": [{"raw": "two"}]},
    ],
}
FORMS = {
    "coco.json": COCO,
    "karpathy.json": KARPATHY,
    "dict.json": {"a.jpg": ["one", "three"], "b.jpg": "two"},
    "list.json": [
        {"image": "a.jpg", "caption": "one"},
        {"image": "b.jpg", "caption": "two"},
        {"image": "a.jpg", "caption": "three"},
    ],
    "lines.json": [
        {"file_name": "a.jpg", "captions": ["one", "three"]},
        {"file_name": "b.jpg", "prompt": "two"},
    ],  # fmt: skip
    "cells.csv": 'file_name,captions\na.jpg,"[""one"", ""three""]"\nb.jpg,two\n',
    "spaces.tsv": "file_name\tcaption\na.jpg\tone\nb.jpg\ttwo\na.jpg\tthree\n",
    "captions.txt": "image,caption\na.jpg,one\na.jpg,three\nb.jpg,two\n",  # Flickr8k's
    "input.jsonl": '{"x_file_name": "a.jpg", "text": "one"}\n'
    '{"x_file_name": "b.jpg", "text": "two"}\n{"x_file_name": "a.jpg", "text": "three"}\n',
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", FORMS)
def test_forms(tmp_path, name, packed):
    root = pictures(tmp_path / "val2014", "a.jpg", "b.jpg")
    form = FORMS[name]
    if name.startswith("lines"):
        form = "\n".join(map(json.dumps, form))
    text = (form if isinstance(form, str) else json.dumps(form)).encode()
    table = tmp_path / f"{name}{'.gz' * packed}"
    table.write_bytes(gzip.compress(text) if packed else text)
    source = open_source(root, table)
    assert captions(source) == {"a": ["one", "three"], "b": ["two"]}
    told = rejects(source)
    assert list(told) == ([f"{table.name}:annotation 3"] if name == "coco.json" else [])


def test_parquet(tmp_path):
    root = pictures(tmp_path / "p", "a.jpg", "b.jpg")
    table = tmp_path / "t.parquet"
    parquet(table, {"n": [1, 2], "image_path": ["a.jpg", "b.jpg"], "captions": [["x", "y"], None]})
    source = open_source(root, table)
    assert captions(source) == {"a": ["x", "y"], "b": []}
    assert "no caption" in rejects(source)["t.parquet:row 2"]
    parquet(table, {"image": [{"bytes": b"x", "path": "a.jpg"}], "text": ["x"]})
    with pytest.raises(
        ValueError, match="found pictures inside the column 'image', expected names"
    ):
        open_source(root, table)
    table.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="t.parquet: "):
        open_source(root, table)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", {"images": [], "annotations": [{"bbox": []}]}, "with ['bbox'], expected 'cap"),
        ("a.json", {"annotations": [{"image_id": 1, "caption": "x"}]}, "without 'images'"),
        ("a.json", [{"image": "a.jpg", "conversations": []}], "found columns ['image', 'convers"),
        ("a.json", {"version": 1, "data": {}}, "found an object with ['version', 'data']"),
        ("a.json", 3, "found a value, expected COCO's captions, a list of rows"),
        ("a.json", "{", "found broken JSON"),
        ("a.json", '{"a.jpg": "x", "a.jpg": "y"}', "found the key 'a.jpg' twice"),
        ("a.json", {"file_name": "a.jpg", "objects": []}, "found columns ['file_name', 'obj"),
        ("a.csv", "url,caption\nx,y\n", "found columns ['url', 'caption'], expected 'file_name'"),
        ("a.csv", "a.jpg,a cat\n", "found columns ['a.jpg', 'a cat']"),
        ("a.csv", "in_file_name,out_file_name,text\na.jpg,b.jpg,x", "expected one column of file"),
        ("a.jsonl", '{"file_name": "no.jpg", "text": "x"}\n', "found 1 rows of files that are not"),
        ("a.jsonl", "", "found none of a file in"),
        ("a.csv", "file_name,text\n", "found none of a file in"),
        ("a.xml", "<x/>", "found the suffix '.xml', expected .csv, .tsv"),
        ("a.csv.gz", "not gzip", "a.csv.gz: "),
    ],
)
def test_what_is_no_table_of_these_pictures(tmp_path, name, text, message):
    root = pictures(tmp_path / "p", "a.jpg")
    (tmp_path / name).write_text(text if isinstance(text, str) else json.dumps(text))
    with pytest.raises(ValueError, match=re.escape(message)):
        open_source(root, tmp_path / name)


def test_coco_captions_in_the_folder_are_told_of(tmp_path):
    pictures(tmp_path, "train2017/a.jpg")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "captions_train2017.json").write_text(json.dumps(COCO))
    told = rejects(open_source(tmp_path))
    reason = told.pop("annotations/captions_train2017.json")
    assert "not read: --captions annotations/captions_train2017.json takes them" in reason
    assert not told


def test_an_id_that_two_files_share_has_no_captions(tmp_path):
    root = pictures(tmp_path / "p", "a.jpg", "b.jpg", "c.jpg")
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}]
    images += [{"id": 2, "file_name": "c.jpg"}]
    rows = [{"image_id": 1, "caption": "whose?"}, {"image_id": 2, "caption": "of c"}]
    (tmp_path / "c.json").write_text(json.dumps({"images": images, "annotations": rows}))
    source = open_source(root, tmp_path / "c.json")
    assert captions(source) == {"a": [], "b": [], "c": ["of c"]}
    assert rejects(source) == {"c.json:annotation 0": "image id 1: found 2 images of it"}


def test_rows_that_are_broken_say_where(tmp_path):
    lines = ['file_name,text', 'a.jpg,"[\'x\', \'y\']"', "a.jpg,\udcff"]  # fmt: skip
    (tmp_path / "t.csv").write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    found = list(read_table(tmp_path / "t.csv"))
    assert [where for where, _ in found] == ["2", "3"]
    assert "a text or a list in JSON" in str(found[0][1])
    assert "valid Unicode" in str(found[1][1])


def test_ids():
    assert [coco_id(v) for v in (7, "7", "007", 7.0, "x7")] == [7, 7, 7, 7, "x7"]
    assert [coco_id(v) for v in (True, None, 7.5, [7], float("inf"))] == [None] * 5


def test_quotes_that_are_not_closed(tmp_path):
    """They would make one caption of all that follows."""
    root = pictures(tmp_path / "p", "a.jpg", "b.jpg", "c.jpg")
    table = tmp_path / "t.csv"
    table.write_text('file_name,text\na.jpg,"two\nlines"\nb.jpg,"open\nc.jpg,three\n')
    source = open_source(root, table)
    assert captions(source) == {"a": ["two\nlines"], "b": [], "c": []}
    assert "broken row of 2 lines (unexpected end" in rejects(source)["t.csv:4"]


def test_why_no_row_finds_its_file(tmp_path):
    root = pictures(tmp_path / "p", "a.jpg")
    table = root / "metadata.jsonl"
    table.write_text('{"file_name": "a.jpg", "label": 3}\n')
    with pytest.raises(ValueError, match="none of a file in .*p; metadata.jsonl:1: found no capt"):
        open_source(root)


def test_an_empty_column_hides_no_other(tmp_path):
    root = pictures(tmp_path / "p", "a.jpg", "b.jpg", "c.jpg")
    table = tmp_path / "t.csv"
    table.write_text("file_name,caption,text\na.jpg,,one\nb.jpg,two,x\nc.jpg,,\n")
    source = open_source(root, table)
    assert captions(source) == {"a": ["one"], "b": ["two"], "c": []}
    assert not rejects(source)
