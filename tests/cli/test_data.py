"""mas-fast data prepare, tokenize and report, end to end over the real COCO set."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("pyarrow", reason="token shards need pyarrow")
pytest.importorskip("torch")

from mas_fast import cli  # noqa: E402
from mas_fast.bundle import load_bpe, save_bpe, save_vq  # noqa: E402
from mas_fast.data.sources.open import open_source  # noqa: E402
from mas_fast.data.token_shards import TokenShards  # noqa: E402
from mas_fast.models.vqvae import VQVAE, preset  # noqa: E402
from mas_fast.scene import clean  # noqa: E402
from mas_fast.text.bpe import BPE  # noqa: E402


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli.app, ["data", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_from_photos_to_tokens(tmp_path, coco, coco_captions):
    scenes, tokens, bundle = (tmp_path / name for name in ("scenes", "tokens", "bundle"))
    shown = run("prepare", coco, "-o", scenes, "--captions", coco_captions, "--workers", 1)
    assert "20 samples in 1 shards" in shown

    (tmp_path / "captions.txt").write_text(
        "\n".join(text for item in open_source(scenes) for text in item.captions)
    )
    save_bpe(bundle, BPE.train([tmp_path / "captions.txt"], vocab_size=400, progress=False))
    save_vq(bundle, "vq_seg", VQVAE.create(preset("tiny-seg")))
    save_vq(bundle, "vq_img", VQVAE.create(preset("tiny-img")))
    shown = run("tokenize", scenes, "--bundle", bundle, "-o", tokens, "--workers", 1)
    assert "20 samples in 1 shards" in shown
    found = TokenShards(tokens)
    found.verify()
    assert len(found) == 20
    bpe, with_captions = load_bpe(bundle), 0
    for n in range(20):
        captions = found.captions(n)
        with_captions += bool(captions)
        assert len(found[n].text) == max(len(captions), 1)
        for text, back in zip(captions, bpe.decode(found[n].text), strict=False):
            whole = not bpe.encode([text]).truncated[0]
            assert back == text.lower() if whole else text.lower().startswith(back)
    assert with_captions == 15
    assert len({found[n].img.tobytes() for n in range(20)}) > 18
    assert len(np.unique(np.concatenate([found[n].seg for n in range(20)]))) > 8

    shown = run("report", scenes)
    for text in ("sky-other-merged", "void pixels", "median", str(scenes / "report.html")):
        assert text in shown.replace("\n", "")
    assert (scenes / "report.html").read_text("utf-8").count("<figure>") == 20

    # Everything is there: the same commands do nothing, and other options are refused.
    before = {file: file.stat().st_mtime_ns for file in tokens.glob("0*")}
    run("tokenize", scenes, "--bundle", bundle, "-o", tokens, "--workers", 1)
    assert {file: file.stat().st_mtime_ns for file in tokens.glob("0*")} == before
    with pytest.raises(ValueError, match="size = 256, now it is 128"):
        run("prepare", coco, "-o", scenes, "--captions", coco_captions, "--size", 128)


def test_a_webdataset_tar(tmp_path, coco_tar):
    tar = coco_tar
    run("prepare", tar, "-o", tmp_path / "scenes", "--workers", 1, "--layout", "mas159")
    options = json.loads((tmp_path / "scenes" / "manifest.json").read_text())["options"]
    assert options["tars"] == [[tar.name, tar.stat().st_size]]
    source = list(open_source(tar))
    stored = list(open_source(tmp_path / "scenes"))
    assert [item.info["source"]["key"] for item in stored] == [item.key for item in source]
    assert all(item.scene.layout.name == "mas159" for item in stored)
    assert [item.captions for item in stored] == [item.captions for item in source]


def test_options_reach_the_functions(tmp_path, monkeypatch):
    from mas_fast.data import prepare, tokenize

    calls = []

    def record(*arguments, **options):
        calls.append((arguments, options))
        return {"shards": [{"samples": 3}, {"samples": 4}]}

    monkeypatch.setattr(prepare, "prepare", record)
    monkeypatch.setattr(tokenize, "tokenize", record)
    shown = run(
        *("prepare", "a", "-o", "b", "--captions", "c", "--size", 64, "--annotator", "truth"),
        *("--annotator", "face device=cuda", "--layout", "mas159", "--min-person-px", 9),
        *("--labels", "voc", "--landmarks", "d.xml"),
        *("--restrict-to-person", "--per-shard", 7, "--workers", 3, "--ray-address", "local"),
        "--verify",
    )
    assert shown == "b: 7 samples in 2 shards\n"
    (arguments, options) = calls.pop()
    assert arguments == (Path("a"), Path("b"))
    assert options == {
        "captions": Path("c"),
        "labels": "voc",
        "landmarks": Path("d.xml"),
        "rules": prepare.Rules(64, "mas159", 9, True),
        "annotators": ["truth", "face device=cuda"],
        "per_shard": 7,
        "verify": True,
        "workers": 3,
        "ray": "local",
    }
    run(
        "tokenize",
        "a",
        "-b",
        "b",
        "-o",
        "c",
        "--format",
        "parquet",
        "--batch",
        2,
        "--device",
        "cuda",
        "--workers",
        4,
        "--ray-address",
        "x:1",
    )
    (arguments, options) = calls.pop()
    assert arguments == (Path("a"), Path("b"), Path("c"))
    assert options == {
        "format": "parquet",
        "batch": 2,
        "device": "cuda",
        "workers": 4,
        "ray": "x:1",
    }


@pytest.mark.parametrize("command", [["prepare"], ["tokenize", "--bundle", "bundle"]])
def test_no_workers_are_no_default(tmp_path, monkeypatch, command):
    found = []
    for name in ("prepare.prepare", "tokenize.tokenize"):
        monkeypatch.setattr(
            f"mas_fast.data.{name}",
            lambda *_, **options: found.append(options) or {"shards": [{"samples": 1}]},
        )
    for words, workers in ((["--workers", "0"], 0), ([], len(os.sched_getaffinity(0)))):
        run(*command, "in", "-o", str(tmp_path), *words)
        assert found.pop()["workers"] == workers


def photos(folder: Path, count: int, annotated: int) -> Path:
    """Pictures, of which the first ones have a scene."""
    folder.mkdir()
    seg, edge = clean(np.full((8, 8), 1, np.uint8)).to_pngs()
    for n in range(count):
        Image.new("RGB", (8, 8)).save(folder / f"{n}.png")
        if n < annotated:
            (folder / f"{n}.seg.png").write_bytes(seg)
            (folder / f"{n}.edge.png").write_bytes(edge)
    return folder


def test_what_is_left_out_is_counted_at_the_end(tmp_path):
    source, out = photos(tmp_path / "in", 5, 2), tmp_path / "out"
    (source / "6.jpg").write_bytes(b"x")
    (source / "a.xml").write_text("<x/>")
    shown = run("prepare", source, "-o", out, "--size", 8, "--workers", 1).splitlines()
    first, last = [line for line in shown if line][-2:]
    assert first.endswith(f"{out}: 2 samples in 1 shards, 2 without a caption")  # after the bar
    assert last == (
        "5 left out: 3 no annotation, 1 no picture in the file, 1 files that are no pictures: "
        f"{out}/rejects.tsv"
    )
    assert len((out / "rejects.tsv").read_text().splitlines()) == 5
    shown = run("report", out).splitlines()
    assert shown[-1].startswith("5 left out: 3 no annotation")
    assert "rejects.tsv" in shown[-1]


def test_a_run_that_used_nothing_is_an_error(tmp_path, monkeypatch, capsys):
    """With what there was to read and where it went told before."""
    source, out = photos(tmp_path / "in", 3, 0), tmp_path / "out"
    (tmp_path / "bundle").mkdir()
    for words, message, told in (
        (["prepare", source, "-o", out], "0 samples that can be used", "3 left out: 3 no annot"),
        (["prepare", source, "-o", out], "0 samples that can be used", "3 left out: 3 no annot"),
        (["report", out], "out: found 0 samples", "3 left out: 3 no annotation"),
        (["tokenize", out, "-b", tmp_path / "bundle", "-o", tmp_path / "tokens"],
         "out: found 0 samples, expected some to tokenize: .*rejects.tsv", ""),
    ):  # fmt: skip
        monkeypatch.setattr("sys.argv", ["mas-fast", "data", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert re.search(message, str(end.value.code))  # which prints it and exits with 1
        assert told in capsys.readouterr().out
    assert not (tmp_path / "tokens").exists()


def test_outputs_never_replace_inputs(tmp_path):
    source, out = photos(tmp_path / "in", 2, 2), tmp_path / "out"
    run("prepare", source, "-o", out, "--size", 8, "--workers", 1)
    before = {file: file.read_bytes() for file in out.iterdir() if file.suffix}
    for words, message in (
        (["report", out, "--html", out / "00000.tar"], "found an input of this command"),
        (["tokenize", out, "-b", out, "-o", out], "output that is the input"),
        (["tokenize", out, "-b", out, "-o", out / "tokens"], "output that lies in the input"),
        (["prepare", out, "-o", out], "output that is the input"),
        (["prepare", out, "-o", tmp_path, "--tsv", "x.tsv"], "output that has in it the input"),
    ):
        with pytest.raises(ValueError, match=message):
            run(*words)
    assert {file: file.read_bytes() for file in out.iterdir() if file.suffix} == before


def test_a_tsv_is_downloaded_first(tmp_path, monkeypatch):
    from mas_fast.data import download, prepare
    from mas_fast.data.sources.base import Reject

    calls = []

    def fake_run(tsv, folder, size):
        calls.append((tsv, folder, size))
        if tsv.name == "fails.tsv":
            raise RuntimeError("img2dataset: ended with status 3")
        return [Reject(f"a.tsv:{n}", "found an empty caption") for n in range(12)]

    monkeypatch.setattr(download, "run", fake_run)
    monkeypatch.setattr(
        prepare,
        "prepare",
        lambda *_, **__: calls.append("prepare") or {"shards": [{"samples": 1}]},
    )
    shown = run("prepare", "tars", "-o", "out", "--tsv", "a.tsv", "--size", 64)
    assert calls == [(Path("a.tsv"), Path("tars"), 64), "prepare"]
    assert "12 left out: 12 found an empty caption: tars/rejects.tsv" in shown
    with pytest.raises(ValueError, match="img2dataset: ended with status 3"):
        run("prepare", "tars", "-o", "out", "--tsv", "fails.tsv")
    assert calls[-1] != "prepare"


def test_storybook(tmp_path):
    pytest.importorskip("skia")
    for world in (1, 2):
        book = tmp_path / str(world)
        shown = run("storybook", book, "--scenes", 2, "--size", 32, "--world", world)
        assert shown == f"{book}: 2 stories of world {world}, painted when they are read\n"
        assert open_source(book).world == world
