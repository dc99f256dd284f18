"""mas-fast data prepare, tokenize and report, end to end over the real COCO set."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("pyarrow", reason="token shards need pyarrow")
pytest.importorskip("torch")

from mas_fast import cli  # noqa: E402
from mas_fast.bpe import BPE  # noqa: E402
from mas_fast.bundle import load_bpe, save_bpe, save_vq  # noqa: E402
from mas_fast.data.shards import TokenShards  # noqa: E402
from mas_fast.data.sources import open_source  # noqa: E402
from mas_fast.vqvae import VQVAE, preset  # noqa: E402

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CAPTIONS = DATA / "captions" / "coco_captions_val2017.json.gz"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no {DATA}")


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli.app, ["data", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@needs_data
def test_from_photos_to_tokens(tmp_path):
    scenes, tokens, bundle = (tmp_path / name for name in ("scenes", "tokens", "bundle"))
    shown = run("prepare", DATA / "coco", "-o", scenes, "--captions", CAPTIONS, "--workers", 1)
    assert "103 samples in 1 shards" in shown

    (tmp_path / "captions.txt").write_text(
        "\n".join(text for item in open_source(scenes) for text in item.captions)
    )
    save_bpe(bundle, BPE.train([tmp_path / "captions.txt"], vocab_size=400, progress=False))
    save_vq(bundle, "vq_seg", VQVAE.create(preset("tiny-seg")))
    save_vq(bundle, "vq_img", VQVAE.create(preset("tiny-img")))
    shown = run("tokenize", scenes, "--bundle", bundle, "-o", tokens, "--workers", 1)
    assert "103 samples in 1 shards" in shown
    found = TokenShards(tokens)
    found.verify()
    assert len(found) == 103
    bpe, with_captions = load_bpe(bundle), 0
    for n in range(103):
        captions = found.captions(n)
        with_captions += bool(captions)
        assert len(found[n].text) == max(len(captions), 1)
        for text, back in zip(captions, bpe.decode(found[n].text), strict=False):
            whole = not bpe.encode([text]).truncated[0]
            assert back == text.lower() if whole else text.lower().startswith(back)
    assert with_captions == 38
    assert len({found[n].img.tobytes() for n in range(103)}) > 90
    assert len(np.unique(np.concatenate([found[n].seg for n in range(103)]))) > 8

    shown = run("report", scenes)
    for text in ("sky-other-merged", "void pixels", "median", str(scenes / "report.html")):
        assert text in shown.replace("\n", "")
    assert (scenes / "report.html").read_text("utf-8").count("<figure>") == 24

    # Everything is there: the same commands do nothing, and other options are refused.
    before = {file: file.stat().st_mtime_ns for file in tokens.glob("0*")}
    run("tokenize", scenes, "--bundle", bundle, "-o", tokens, "--workers", 1)
    assert {file: file.stat().st_mtime_ns for file in tokens.glob("0*")} == before
    with pytest.raises(ValueError, match="size = 256, now it is 128"):
        run("prepare", DATA / "coco", "-o", scenes, "--captions", CAPTIONS, "--size", 128)


@needs_data
def test_a_webdataset_tar(tmp_path):
    (tar,) = (DATA / "webdataset").glob("*.tar")
    run("prepare", tar, "-o", tmp_path / "scenes", "--workers", 1, "--layout", "mas159")
    options = json.loads((tmp_path / "scenes" / "manifest.json").read_text())["options"]
    assert options["tars"] == [[tar.name, tar.stat().st_size]]
    source = list(open_source(tar))
    stored = list(open_source(tmp_path / "scenes"))
    assert [item.info["source"]["key"] for item in stored] == [item.key for item in source]
    assert all(item.scene.layout.name == "mas159" for item in stored)
    assert [item.captions for item in stored] == [item.captions for item in source]


def test_options_reach_the_functions(tmp_path, monkeypatch):
    from mas_fast.data import encode, prepare

    calls = []

    def record(*arguments, **options):
        calls.append((arguments, options))
        return {"shards": [{"samples": 3}, {"samples": 4}]}

    monkeypatch.setattr(prepare, "prepare", record)
    monkeypatch.setattr(encode, "tokenize", record)
    shown = run(
        *("prepare", "a", "-o", "b", "--captions", "c", "--size", 64, "--segmenter", "truth"),
        *("--segmenter", "face device=cuda", "--layout", "mas159", "--min-person-px", 9),
        *("--restrict-to-person", "--per-shard", 7, "--workers", 3, "--ray-address", "local"),
    )
    assert shown == "b: 7 samples in 2 shards\n"
    (arguments, options) = calls.pop()
    assert arguments == (Path("a"), Path("b"))
    assert options == {
        "captions": Path("c"),
        "rules": prepare.Rules(64, "mas159", 9, True),
        "segmenters": ["truth", "face device=cuda"],
        "per_shard": 7,
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


def test_a_tsv_is_downloaded_first(tmp_path, monkeypatch):
    from mas_fast.data import download, prepare
    from mas_fast.data.samples import Reject

    calls = []

    def fake_run(tsv, folder, size):
        calls.append((tsv, folder, size))
        if tsv.name == "fails.tsv":
            raise RuntimeError("img2dataset: ended with status 3")
        return [Reject(f"a.tsv:{n}", "found an empty caption") for n in range(12)]

    monkeypatch.setattr(download, "run", fake_run)
    monkeypatch.setattr(
        prepare, "prepare", lambda *_, **__: calls.append("prepare") or {"shards": []}
    )
    shown = run("prepare", "tars", "-o", "out", "--tsv", "a.tsv", "--size", 64)
    assert calls == [(Path("a.tsv"), Path("tars"), 64), "prepare"]
    assert "left out: a.tsv:9: found an empty caption" in shown
    assert "left out: 2 more rows" in shown and "a.tsv:10" not in shown
    with pytest.raises(ValueError, match="img2dataset: ended with status 3"):
        run("prepare", "tars", "-o", "out", "--tsv", "fails.tsv")
    assert calls[-1] != "prepare"
