"""data/download.py: which column is which, rows that are left out, img2dataset's command line."""

import csv
import gzip
import io
import json
import os
import stat
import sys
from pathlib import Path

import pytest
from PIL import Image

from mas_fast.data import download
from mas_fast.data.sources.base import Reject
from mas_fast.data.sources.open import open_source
from mas_fast.text.captions import captions

CAPTIONS = ["a red house", 'the "quoted", one', '"빨간" 집 🏠', "4"]
URLS = [f"http{'s' * (n % 2)}://x.org/{n}.jpg?a=b,c" for n in range(len(CAPTIONS))]

FAKE = f"""#!{sys.executable}
import csv, io, json, os, sys, tarfile
options = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
json.dump(options, open(os.environ["SEEN"], "w"))
rows = list(csv.DictReader(open(options["url_list"], encoding="utf-8", newline="")))
photo = open(os.environ["PHOTO"], "rb").read()
with tarfile.open(options["output_folder"] + "/00000.tar", "w") as tar:
    for n, row in enumerate(rows):
        good = not row["url"].endswith("gone.jpg")
        info = {{"caption": row["caption"], "url": row["url"], "key": f"{{n:09}}"}}
        info["status"] = "success" if good else "failed_to_download"
        info["error_message"] = None if good else "HTTP Error 404"
        for suffix, content in [("jpg", photo)] * good + [
            ("json", json.dumps(info).encode()), ("txt", row["caption"].encode())
        ]:
            member = tarfile.TarInfo(f"{{n:09}}.{{suffix}}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
for name in ("00000.parquet", "00000_stats.json"):
    open(options["output_folder"] + "/" + name, "wb").write(b"{{}}")
sys.exit(int(os.environ.get("STATUS", "0")))
"""


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """An img2dataset on PATH that fetches nothing; the path of what it saw."""
    (tmp_path / "bin").mkdir()
    file = tmp_path / "bin" / "img2dataset"
    file.write_text(FAKE)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    photo = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(photo, "JPEG")
    (tmp_path / "photo.jpg").write_bytes(photo.getvalue())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PHOTO", str(tmp_path / "photo.jpg"))
    monkeypatch.setenv("SEEN", str(tmp_path / "seen.json"))
    return tmp_path / "seen.json"


def write(path: Path, rows: list, header: str = "") -> Path:
    content = (header + "".join("\t".join(row) + "\n" for row in rows)).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def links(output: Path) -> list[list[str]]:
    with open(output / download.LINKS, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("column", [0, 1])
def test_both_orders(tmp_path, name, header, column):
    rows = list(zip(*((URLS, CAPTIONS) if column == 0 else (CAPTIONS, URLS)), strict=True))
    names = "url\tcaption\n" if column == 0 else "caption\turl\n"
    tsv = write(tmp_path / name, rows, names if header else "")
    assert download.url_column(tsv) == column
    path, rejects = download.write_links(tsv, tmp_path / "out")
    assert path == tmp_path / "out" / "links.csv"
    assert rejects == []
    assert links(tmp_path / "out") == [
        ["url", "caption"],
        *map(list, zip(URLS, CAPTIONS, strict=True)),
    ]


def test_rows_that_are_left_out(tmp_path):
    good = list(zip(CAPTIONS, URLS, strict=True))
    bad = [
        (["one"], "found 1 columns"),
        (["a", "b", "http://x.org"], "found 3 columns"),
        (["swapped caption http", "no url"], "found 'no url' in column 2, expected a URL"),
        (["http://x.org/1", "a red house"], "found 'a red house' in column 2"),
        ([" \u3000", "http://x.org/2"], "empty caption"),
        (["a", "http://x.org/2 3"], "expected a URL"),
    ]
    tsv = write(tmp_path / "a.tsv", [*good, *(row for row, _ in bad), *good])
    tsv.write_bytes(tsv.read_bytes() + b"caf\xe9\thttp://x.org/4\n")
    _, rejects = download.write_links(tsv, tmp_path)
    assert len(links(tmp_path)) == 1 + 2 * len(good)
    assert [reject.key for reject in rejects] == [f"a.tsv:{n}" for n in (5, 6, 7, 8, 9, 10, 15)]
    for reject, (_, message) in zip(rejects, [*bad, (None, "valid Unicode")], strict=True):
        assert message in reject.reason
        (reject.key + reject.reason).encode()


def test_files_that_are_no_such_tsv(tmp_path):
    few = [["a", "b"]] * 9 + [["c", "http://d"]] * 9
    for rows in ([], [["a", "b"]] * 9, few, [["http://a", "http://b"]] * 9, [["http://a"]] * 9):
        tsv = write(tmp_path / "a.tsv", rows)
        with pytest.raises(ValueError, match="expected two columns, caption and URL"):
            download.write_links(tsv, tmp_path / "out")
    with pytest.raises(ValueError, match="b.tsv: found no such file"):
        download.url_column(tmp_path / "b.tsv")
    tsv.write_bytes(b"x" * (download.LONGEST + 1))
    with pytest.raises(ValueError, match="line 1: found more than 1048576 bytes"):
        download.url_column(tsv)
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(b"a\thttp://b\n" * 99)[:-9])
    with pytest.raises(ValueError, match="a.tsv.gz: "):
        download.write_links(tmp_path / "a.tsv.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_run(tmp_path, tool):
    rows = [*zip(CAPTIONS, URLS, strict=True), ("missing", "http://x.org/gone.jpg"), ("one",)]
    output = tmp_path / "out"
    rejects = download.run(write(tmp_path / "a.tsv", rows), output, processes=3, timeout=7)
    assert rejects == [Reject("a.tsv:6", "found 1 columns, expected two: caption and URL")]
    expected = {
        "url_list": str(output / "links.csv"),
        "input_format": "csv",
        "url_col": "url",
        "caption_col": "caption",
        "output_format": "webdataset",
        "output_folder": str(output),
        "image_size": "256",
        "resize_mode": "keep_ratio",
        "resize_only_if_bigger": "True",
        "number_sample_per_shard": "10000",
        "processes_count": "3",
        "timeout": "7",
        "incremental_mode": "incremental",
    }
    seen = json.loads(tool.read_text())
    assert {name: seen[name] for name in expected} == expected
    *good, bad = open_source(output)  # the parquet and json files beside the tar are not samples
    assert [item.captions for item in good] == [[caption] for caption in CAPTIONS]
    assert good[0].info["url"] == URLS[0]
    assert bad.key == "000000004"
    assert bad.reason == (
        "json: found status 'failed_to_download' (HTTP Error 404), expected 'success'"
    )


def test_what_did_not_come_through_is_counted(tmp_path, tool):
    output = tmp_path / "out"
    rows = [*zip(CAPTIONS, URLS, strict=True), ("one",), ("two",)]
    download.run(write(tmp_path / "a.tsv", rows), output)
    assert (output / "rejects.tsv").read_text().splitlines() == [
        f"a.tsv:{n}\tfound 1 columns, expected two: caption and URL" for n in (5, 6)
    ]
    for n, failed in enumerate(({"HTTP Error 404": 3, "success": 9}, {"HTTP Error 404": 2}, [])):
        (output / f"0000{n}_stats.json").write_text(json.dumps({"status_dict": failed}))
    (output / "00009_stats.json").write_text("{")  # half written
    assert download.failures(output) == {"HTTP Error 404": 5}


def test_a_tsv_is_not_replaced(tmp_path):
    tsv = write(tmp_path / "links.csv", list(zip(CAPTIONS, URLS, strict=True)))
    before = tsv.read_bytes()
    with pytest.raises(ValueError, match="links.csv: found the TSV in the place of the output"):
        download.write_links(tsv, tmp_path)
    assert tsv.read_bytes() == before


def test_failures(tmp_path, tool, monkeypatch):
    tsv = write(tmp_path / "a.tsv", list(zip(CAPTIONS, URLS, strict=True)))
    monkeypatch.setenv("STATUS", "3")
    with pytest.raises(RuntimeError, match="img2dataset: ended with status 3"):
        download.run(tsv, tmp_path / "out")
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(ImportError, match="pipx install img2dataset.*uv tool install"):
        download.run(tsv, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_real_cc3m(tmp_path, real_data):
    tsv = real_data("captions/cc3m_validation.tsv.gz")
    texts = list(captions([tsv]))
    assert len(texts) == 15_833
    assert texts[1] == "an angler fishes river on a snowy day ."
    assert download.url_column(tsv) == 1
    _, rejects = download.write_links(tsv, tmp_path)
    rows = links(tmp_path)
    assert len(rows) - 1 + len(rejects) == 15833
    assert len(rejects) < 20
    swapped = [("\t".join(row) + "\n").encode() for row in rows[1:]]
    (tmp_path / "cc12m.tsv").write_bytes(b"".join(swapped))
    assert download.url_column(tmp_path / "cc12m.tsv") == 0
    assert download.write_links(tmp_path / "cc12m.tsv", tmp_path / "other")[1] == []
    assert links(tmp_path / "other") == rows
