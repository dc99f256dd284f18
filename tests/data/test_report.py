"""data/report.py: tables of sidecars, and a page with pictures."""

import base64
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from mas_fast.data.prepare import Rules, prepare
from mas_fast.data.report import PICTURES, Report
from mas_fast.data.sources.open import open_source
from mas_fast.scene import clean

KEYS = ("a", "b", "c", "d", "e")


@pytest.fixture
def scenes(tmp_path) -> Path:
    """Five samples and two rejects in three shards. Half of a picture is person, void or sky."""
    source = tmp_path / "source"
    source.mkdir()
    for n, key in enumerate(KEYS):
        Image.fromarray(np.full((8, 8, 3), 40 * n, np.uint8)).save(source / f"{key}.png")
        labels = np.full((8, 8), 119, np.uint8)
        labels[:4] = (0, 255, 119)[n % 3]
        human = np.zeros((8, 8), np.uint8)
        human[0, :4] = 2
        seg, edge = clean(labels, human=human).to_pngs()
        (source / f"{key}.seg.png").write_bytes(seg)
        (source / f"{key}.edge.png").write_bytes(edge)
        (source / f"{key}.txt").write_text("one two\n<b> & three\n" if n == 0 else "")
    (source / "f.jpg").write_bytes(b"x")
    (source / "g.jpg").write_bytes(b"y" * 100)
    prepare(source, tmp_path / "scenes", rules=Rules(8), per_shard=3, progress=False)
    return tmp_path / "scenes"


def rows(report: Report, title: str) -> dict[str, list[str]]:
    (table,) = [content for content in report.contents() if content.title == title]
    return {row[0]: row[1:] for row in table.rows}


def test_tables(scenes):
    report = Report.read(scenes)
    overview = rows(report, str(scenes))
    assert {name: row[0] for name, row in overview.items()} == {
        "shards": "3",
        "samples": "5",
        "rejects": "2 (28.6%)",
        "captions": "2 (0.40 a sample)",
        "samples without a caption": "4 (80.0%)",
        "samples with a person (the gate is open)": "2 (40.0%)",
        "samples that lost human or face parts at the gate": "0 (0.0%)",
        "void pixels": "20.00%",
    }
    assert rows(report, "layers") == {
        "panoptic": ["77.50%", "2 of 133"],
        "human": ["2.50%", "1 of 19"],
        "face": ["0.00%", "0 of 5"],
        "void": ["20.00%", "1 of 1"],
    }
    assert rows(report, "panoptic classes") == {
        "sky-other-merged": ["60.00%", "5 (100.0%)"],
        "person": ["17.50%", "2 (40.0%)"],
    }
    assert rows(report, "human classes") == {"hair": ["2.50%", "2 (40.0%)"]}
    assert rows(report, "captions")["words"] == ["2", "2", "2", "3", "3", "2.5"]
    assert list(rows(report, "rejects").values()) == [["2"]]


def test_the_terminal(scenes):
    console = Console(file=io.StringIO(), width=120)
    Report.read(scenes).show(console)
    shown = console.file.getvalue()
    for text in ("sky-other-merged", "60.00%", "samples without a caption", "rejects", "median"):
        assert text in shown


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures, self.text, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "img":
            self.pictures.append(values["src"])
        self.links += [values[name] for name in ("href", "src") if name in values]

    def handle_data(self, data):
        self.text.append(data)


def test_the_page(scenes, tmp_path):
    Report.read(scenes).write_html(tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert all(link.startswith("data:image/") for link in page.links)  # nothing is fetched
    assert "<b> & three" in page.text
    assert "(no caption)" in page.text
    images = [
        Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2])))
        for source in page.pictures
    ]
    samples = list(open_source(scenes))
    assert len(images) == 2 * len(samples)
    for sample, photo, scene in zip(samples, images[::2], images[1::2], strict=True):
        assert np.array_equal(np.asarray(photo), np.asarray(sample.image))
        assert np.array_equal(np.asarray(scene), np.asarray(sample.scene.render(1)))


def test_the_tables_need_no_pixels(scenes):
    before = Report.read(scenes).contents()
    for tar in scenes.glob("*.tar"):
        tar.unlink()
    assert Report.read(scenes).contents() == before


@pytest.mark.parametrize(("change", "found"), [("unlink", "no such file"), ("swap", "0 samples")])
def test_a_shard_that_is_not_there(scenes, tmp_path, change, found):
    first, *_, last = sorted(scenes.glob("*.tar"))  # the last one has but rejects
    first.unlink() if change == "unlink" else first.write_bytes(last.read_bytes())
    message = f"00000.tar: found {found}, expected a shard of [23] samples"
    with pytest.raises(ValueError, match=message):
        Report.read(scenes).write_html(tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_run_that_is_going_on(scenes):
    manifest = json.loads((scenes / "manifest.json").read_text())
    (scenes / "manifest.json").write_text(json.dumps({**manifest, "shards": None}))
    (scenes / "00001.json").unlink()
    (scenes / "00001.tar").unlink()
    report = Report.read(scenes)
    assert rows(report, str(scenes))["shards"] == ["2 so far"]
    assert rows(report, str(scenes))["samples"] == ["3"]
    for file in scenes.glob("0*"):
        file.unlink()
    with pytest.raises(ValueError, match="found no shard yet"):
        Report.read(scenes)
    with pytest.raises(ValueError, match="found no manifest.json"):
        Report.read(scenes.parent)


def test_reasons_are_grouped(scenes):
    car = json.loads((scenes / "00002.json").read_text())
    car["rejects"] = [
        ["a", "/data/a b/1.jpg: found no such file"],
        ["b", "/data/2.jpg: found no such file"],
        ["c", "found 17 x 9000 pixels"],
        ["d", "found 3 x 1.5 pixels"],
        ["e", "found 'a/b', expected \"c\""],
        ["f", "found '', expected \"dd\""],
    ]
    (scenes / "00002.json").write_text(json.dumps(car))
    found = Report.read(scenes).rejects
    assert found["found N x N pixels"] == 2
    assert found["found '...', expected '...'"] == 2
    assert found["no such file"] == 2


def test_pictures_are_few_and_spread(scenes, tmp_path, monkeypatch):
    report = Report.read(scenes)
    assert len(list(report.pictures())) == 5 <= PICTURES == 24
    for count, expected in ((3, ["a", "c", "e"]), (2, ["a", "e"]), (1, ["a"])):
        monkeypatch.setattr("mas_fast.data.report.PICTURES", count)
        assert [sample.info["source"]["key"] for sample in report.pictures()] == expected
        report.write_html(tmp_path / "few.html")
        assert (tmp_path / "few.html").read_text("utf-8").count("<figure>") == count


def test_the_page_replaces_nothing_but_pages(scenes, monkeypatch) -> None:
    from mas_fast import cli

    before = {file.name: file.read_bytes() for file in scenes.iterdir()}
    for name in ("manifest.json", "00000.tar", "rejects.tsv"):
        words = ["mas-fast", "data", "report", str(scenes), "--html", str(scenes / name)]
        monkeypatch.setattr("sys.argv", words)
        with pytest.raises(SystemExit, match=f"--html: .*{name}: found an input of this command"):
            cli.main()
    assert {file.name: file.read_bytes() for file in scenes.iterdir()} == before
    for _ in range(2):  # its own earlier one is replaced
        monkeypatch.setattr("sys.argv", words[:4])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code
    assert (scenes / "report.html").is_file()
