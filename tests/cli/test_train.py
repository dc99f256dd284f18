"""cli/train.py: `mas-fast train bpe`."""

from typer.testing import CliRunner

from mas_fast.bundle import load_bpe
from mas_fast.cli import app
from vq_runs import stopped


def test_bpe_of_real_captions(tmp_path, coco_captions) -> None:
    more = tmp_path / "more.txt"
    more.write_text("qzxqzx\n" * 500)
    words = ["train", "bpe", coco_captions, more, "-o", tmp_path / "bundle", "--vocab-size", 4096]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    bpe = load_bpe(tmp_path / "bundle")
    assert (bpe.vocab_size, bpe.pad_id, bpe.length) == (4096, 0, 64)
    assert (bpe.encode(["qzxqzx"]).ids != bpe.pad_id).sum() == 1  # a word of the second file
    texts = ["빨간 집 🏠", "a red house"]
    ids, truncated = bpe.encode([*texts, "never ends " * 99])
    assert bpe.decode(ids[:2]) == texts
    assert truncated.tolist() == [False, False, True]


def test_bpe_stops_with_one_line(tmp_path, monkeypatch) -> None:
    (tmp_path / "few.txt").write_text("a house\na house\n")
    (tmp_path / "none.txt").write_text("\n\n")
    for name, message in (
        ("absent.txt", "absent.txt: found no such file, expected captions"),
        ("few.txt", "263 entries in 2 captions, expected --vocab-size 16384: train on more"),
        ("none.txt", "found no captions in 1 files"),
    ):
        arguments = "bpe", tmp_path / name, "-o", tmp_path / "bundle"
        assert message in stopped(monkeypatch, *arguments)
    assert not (tmp_path / "bundle").exists()


def test_bpe(tmp_path) -> None:
    captions = tmp_path / "captions.txt"
    captions.write_text("a red house beside a lake\na red boat on a lake\n" * 3)
    words = ["train", "bpe", str(captions), "-o", str(tmp_path / "bundle"), "--vocab-size", "270"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert load_bpe(tmp_path / "bundle").vocab_size == 270
