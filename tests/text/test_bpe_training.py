"""bpe.py: trained on real captions, of any length, with progress, in little memory."""

import gzip
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from tokenizers import pre_tokenizers

from bpe_lines import LINES, lower_nfc
from mas_fast.text.bpe import BPE
from mas_fast.text.captions import captions

ROOT = Path(__file__).resolve().parents[2]


# ---------------------------------------------------------------------- training


def test_real_captions_give_the_whole_vocabulary(coco_captions, real_data):
    files = sorted(real_data("captions/multi30k").glob("*.en.gz"))
    files += [real_data("captions/cc3m_validation.tsv.gz"), coco_captions]
    bpe = BPE.train(files, progress=False)  # 4 s
    assert bpe.vocab_size == 16384
    assert bpe.pad_id == 0
    texts = list(captions(files))
    assert len(texts) == 5 * 29_000 + 15_833 + 25_014
    sample = texts[::97]
    ids, truncated = bpe.encode(sample)
    assert ids.max() < 16384
    assert truncated.mean() < 1e-3
    whole = [i for i in range(len(sample)) if not truncated[i]]
    assert [bpe.decode(ids[i : i + 1])[0] for i in whole] == [lower_nfc(sample[i]) for i in whole]
    assert (ids > 0).sum() / len(sample) < 14  # words and punctuation marks: 13.1 tokens each
    assert (bpe.encode(["elephant"]).ids > 0).sum() == 1
    almost = bpe.encode(sample[:300], dropout=1e-12, generator=np.random.default_rng(0))
    assert (almost.ids == ids[:300]).all()  # our own merging, where it leaves nothing out


TRAIN = """
import sys
from mas_fast.text.bpe import BPE
BPE.train(sys.argv[2:], vocab_size=4000, progress=False).save(sys.argv[1])
"""


def test_training_depends_on_nothing_but_the_captions(tmp_path, coco_captions):
    def train(name: str, threads: int, files: list[Path]) -> str:
        file = tmp_path / name
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAYON_NUM_THREADS": str(threads)}
        command = [sys.executable, "-c", TRAIN, file, *files]
        subprocess.run(command, env=environment, check=True)
        return file.read_text(encoding="utf-8")

    texts = list(captions([coco_captions]))
    files = [tmp_path / "more.txt", tmp_path / "less.txt"]
    for file, part in zip(files, (texts[:15_000], texts[15_000:]), strict=True):
        file.write_text("\n".join(text.replace("\n", " ") for text in part), encoding="utf-8")
    first = train("first.json", 1, files)
    assert first == train("second.json", 4, files)
    assert first == train("third.json", 2, files[::-1])


def test_pad_is_first_and_bytes_follow(bpe):
    vocab = sorted(bpe._tokenizer.get_vocab().items(), key=lambda item: item[1])
    assert vocab[0] == ("[PAD]", 0)
    assert {token for token, _ in vocab[1:257]} == set(pre_tokenizers.ByteLevel.alphabet())
    assert [i for _, i in vocab] == list(range(300))


def test_progress_counts_the_bytes_of_the_files(text_file, tmp_path, capsys, terminal):
    BPE.train([text_file], vocab_size=260)
    shown = capsys.readouterr().err
    assert "learning merges: 100%" in shown
    BPE.train([text_file], vocab_size=260, progress=False)
    assert capsys.readouterr().err == ""
    zipped = tmp_path / "captions.txt.gz"
    zipped.write_bytes(gzip.compress(text_file.read_bytes() * 50))
    for file in (text_file, zipped):
        read = []
        assert sum(1 for _ in captions([file], read.append)) >= len(LINES)
        assert sum(read) == file.stat().st_size


def test_too_small_a_corpus_is_named(tmp_path, text_file):
    with pytest.raises(ValueError, match=r"captions\.txt: found pairs for 3\d\d entries in 1728 "):
        BPE.train([text_file], progress=False)
    file = tmp_path / "blank.txt"
    for text in ("", "\n\n", " \t \r\n\u3000\n"):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"blank\.txt: found no captions in 1 files"):
            BPE.train([file], progress=False)
    for size in (256, "16384", True, 1 << 40):  # of the last, the library would end the process
        with pytest.raises(ValueError, match=f"vocab_size: found {size!r}, expected an integer"):
            BPE.train([text_file], vocab_size=size)
    with pytest.raises(ValueError, match=r"length: found 0, expected an integer in 1\.\.1048576"):
        BPE.train([text_file], vocab_size=300, length=0)


def test_bad_rows_are_left_out_and_told(tmp_path, text_file):
    rows = "".join(f"a photo of thing {i}\thttp://x/{i}\n" for i in range(500)).encode()
    bad = b"a\tb\thttp://x\nhttp://x\tb\ncaf\xe9\thttp://x\ngone\t\n"
    file = tmp_path / "bad.tsv"
    file.write_bytes(rows + bad + rows)
    told = (
        r"left out 4 rows: 1 not of two columns \(.*bad\.tsv: line 501: found 3 columns.*"
        r"2 without a URL in its column \(.*bad\.tsv: line 502: found 'b' in column 2.*"
        r"1 not in UTF-8 \(.*bad\.tsv: line 503: .*; learned from 1000 captions"
    )
    with pytest.warns(UserWarning, match=told):
        bpe = BPE.train([file], vocab_size=290, progress=False)
    good = tmp_path / "good.tsv"
    good.write_bytes(rows + rows)
    same = BPE.train([good], vocab_size=290, progress=False)
    assert bpe._tokenizer.to_str() == same._tokenizer.to_str()
    file.write_bytes(bad.replace(b"http://x\tb\n", b""))
    with pytest.raises(ValueError, match=r"found no captions in 1 files: left out 3 rows: .*exp"):
        BPE.train([file], vocab_size=290, progress=False)
    file.write_bytes(b"")  # a damaged file is an error all the same
    cut = tmp_path / "cut.txt.gz"
    cut.write_bytes(gzip.compress(text_file.read_bytes())[:-20])
    with pytest.raises(ValueError, match=r"cut\.txt\.gz: "):
        BPE.train([text_file, cut], vocab_size=290, progress=False)


LONG = {
    "one letter": "z" * 300_000,
    "blanks": "a" + " " * 300_000 + "b",
    "just under a chunk": "z" * ((1 << 20) - 1),
    "letters": "".join(chr(97 + (i * i // 7 + i // 3) % 26) for i in range(200_000)),
    "many": "\n".join("xyz"[i % 3] * (9000 + i) for i in range(50)),
    "chinese": "红色的房子在湖边" * 20_000,
    "emoji": "🏠🐘🚣" * 40_000,
}


@pytest.mark.parametrize("name", LONG)
def test_training_is_linear_in_the_length_of_a_word(tmp_path, name):
    """Longer ones took minutes: their square."""
    file = tmp_path / "captions.txt"
    file.write_text("\n".join([*LINES, LONG[name]]), encoding="utf-8")
    start = time.process_time()
    with pytest.warns(UserWarning, match=r"parts of that length: \d+ words of more than 512 bytes"):
        bpe = BPE.train([file], vocab_size=300, progress=False)
    assert time.process_time() - start < 10
    assert bpe.decode(bpe.encode(["a red house", LONG[name][:30]]).ids)[0] == "a red house"
    start = time.process_time()
    texts = [LONG[name]] * 2
    for dropout in (0.0, 0.1):
        found = bpe.encode(texts, dropout=dropout, generator=np.random.default_rng(0))
        assert found.truncated.all()
    assert time.process_time() - start < 10


def test_long_captions_without_blanks_are_learned_whole(tmp_path):
    """As Chinese ones are: nothing is cut at their length, and nothing is told."""
    captions = ["红色的房子在湖边" * 20 + str(i) for i in range(300)]
    file = tmp_path / "captions.txt"
    file.write_text("\n".join(captions), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bpe = BPE.train([file], vocab_size=300, progress=False, length=512)
    assert (bpe.encode(["红色的房子在湖边" * 20]).ids > 0).sum() < 30
    assert bpe.decode(bpe.encode(captions[:3]).ids) == captions[:3]


# ---------------------------------------------------------------------- memory

MEASURE = """
import resource, sys
from mas_fast.text.bpe import BPE
small, *large = sys.argv[1:]
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
def train(file):
    BPE.train([file], vocab_size=300, progress=False)
train(small)
before = peak()
for file in large:
    train(file)
print(peak() - before)
"""


def test_training_holds_neither_captions_nor_files(text_file, tmp_path):
    pytest.importorskip("resource", reason="peak memory is read through resource, POSIX only")
    small = tmp_path / "small.txt"
    small.write_bytes(text_file.read_bytes() * 30 + b"\n")  # more than one chunk
    large = tmp_path / "large.txt"
    large.write_bytes((text_file.read_bytes() + b"\n") * 250)  # 10 MB
    as_json = tmp_path / "large.json"
    rows = ", ".join(json.dumps({"id": 1, "caption": line}) for line in LINES)
    with open(as_json, "w") as file:  # 18 MB, half of it to be skipped
        file.write('{"images": [' + ", ".join([rows] * 60) + '], "annotations": [')
        file.write(", ".join([rows] * 60) + "]}")
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, small, large, as_json],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    grown = int(run.stdout) * (1024 if sys.platform == "linux" else 1)
    assert grown < 8e6
