"""bpe.py: trained on real captions, round trips over all of Unicode, files, errors, memory."""

import gzip
import json
import os
import pickle
import subprocess
import sys
import time
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from mas_fast.text.bpe import BPE
from mas_fast.text.captions import captions

ROOT = Path(__file__).resolve().parents[2]

WORDS = [
    "a",
    "red",
    "house",
    "beside",
    "lake",
    "Elephant",
    "walks",
    "빨간",
    "집",
    "🏠",
    "Ça",
    "слон",
]
LINES = [f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS]


@pytest.fixture(scope="session")
def text_file(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("bpe") / "captions.txt"
    file.write_text("\n".join(LINES), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def bpe(text_file) -> BPE:
    return BPE.train([text_file], vocab_size=300, progress=False)


def to_json(bpe: BPE, path: Path) -> str:
    bpe.save(path / "tokenizer.json")
    return (path / "tokenizer.json").read_text(encoding="utf-8")


# ---------------------------------------------------------------------- encode and decode


def test_ids_are_padded_cut_and_counted(bpe):
    ids, truncated = bpe.encode(["", "a red house", "elephant " * 100])
    assert ids.dtype == np.int32
    assert ids.shape == (3, 64)
    assert bpe.length == 64
    assert truncated.tolist() == [False, False, True]
    assert bpe.pad_id == 0
    assert bpe.vocab_size == 300
    assert (ids[0] == 0).all()
    assert (ids[2] > 0).all()
    assert bpe.decode(ids[:2]) == ["", "a red house"]
    cut = bpe.decode(ids)[2]
    assert ("elephant " * 100).startswith(cut)
    assert len(cut) > 64
    exactly = ids[2].tolist()
    assert bpe.encode([bpe.decode([exactly])[0]]).truncated.tolist() == [False]
    empty = bpe.encode([])
    assert empty.ids.shape == (0, 64)
    assert empty.truncated.shape == (0,)
    assert bpe.decode(empty.ids) == []


def test_a_word_has_one_token_wherever_it_stands(bpe):
    alone, first, last = (row[row > 0].tolist() for row in bpe.encode(["a", "a red", "red a"]).ids)
    assert len(alone) == 1
    assert first[0] == last[-1] == alone[0]


def test_names_of_special_tokens_are_text(bpe):
    for twin in (bpe, pickle.loads(pickle.dumps(bpe))):
        for dropout in (0.0, 1.0):
            generator = np.random.default_rng(0)
            ids = twin.encode(["a [PAD] house"], dropout=dropout, generator=generator).ids
            assert twin.decode(ids) == ["a [pad] house"]


def test_ids_of_any_kind_decode(bpe):
    torch = pytest.importorskip("torch")
    ids = bpe.encode(["a red house", "слон"]).ids
    for form in (ids, ids.tolist(), torch.from_numpy(ids).long(), [ids[0][:9], ids[1]]):
        assert bpe.decode(form) == ["a red house", "слон"]
    assert bpe.decode([[], [0]]) == ["", ""]


def lower_nfc(text: str) -> str:
    """Character by character: Python's lower() of a word writes a last sigma in another way."""
    return "".join(map(str.lower, unicodedata.normalize("NFC", text)))


def round_trip(bpe: BPE, text: str) -> str:
    whole = BPE(Tokenizer.from_str(bpe._tokenizer.to_str()), length=4096)
    ids, truncated = whole.encode([text])
    assert not truncated.any()
    return whole.decode(ids)[0]


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("[PAD]")
@example(" \t\n leading and trailing \r\n ")
@example("\0")
@example("👩‍👩‍👧‍👦 한국어 ภาษาไทย हिन्दी العربية ΣΊΣΥΦΟΣ İSTANBUL ǅ ﬁ")
@settings(max_examples=300, deadline=None)
def test_all_of_unicode_comes_back(bpe, text):
    steps = [normalizers.NFC(), normalizers.Lowercase()]
    assert round_trip(bpe, text) == normalizers.Sequence(steps).normalize_str(text)


# The library and Python know different versions of Unicode; what is older than both must agree.
OLD = [chr(c) for c in range(0x110000) if unicodedata.ucd_3_2_0.category(chr(c)) not in "CnCsCo"]


@given(st.text(st.sampled_from(OLD)))
@settings(max_examples=300, deadline=None)
def test_what_comes_back_is_nfc_in_lower_case(bpe, text):
    assert round_trip(bpe, text) == lower_nfc(text)


def test_every_old_character_comes_back(bpe):
    texts = ["".join(OLD[i : i + 4]) for i in range(0, len(OLD), 4)]
    assert bpe.decode(bpe.encode(texts).ids) == [lower_nfc(text) for text in texts]


def test_dropout_changes_tokens_but_not_text(bpe):
    texts = ["a red house beside lake"] * 50
    plain = bpe.encode(texts).ids
    counts = []
    for dropout in (0.0, 0.1, 0.5, 1):
        ids, _ = bpe.encode(texts, dropout=dropout, generator=np.random.default_rng(1))
        assert bpe.decode(ids) == texts
        counts.append((ids > 0).sum() / len(texts))
    assert counts == sorted(counts)
    assert counts[-1] == len(" " + texts[0])  # at 1 only bytes
    first, again, other = (
        bpe.encode(texts, dropout=0.5, generator=np.random.default_rng(seed)).ids
        for seed in (0, 0, 1)
    )
    assert (first == again).all()
    assert (first != other).any()
    assert len(np.unique(first, axis=0)) > 10
    assert (bpe.encode(texts).ids == plain).all()


def test_dropout_is_that_of_the_library(bpe):
    """As many tokens at each rate as the library, which cannot be seeded, makes of a caption; and
    without dropout, or as good as, the very same ones."""
    text = "a red house beside lake 빨간 집"
    generator = np.random.default_rng(0)
    texts = [text, "", *LINES, "".join(reversed(text)), "edis eb esuoh a"]
    almost = bpe.encode(texts, dropout=1e-12, generator=generator).ids
    assert (almost == bpe.encode(texts).ids).all()
    tokenizer = Tokenizer.from_str(bpe._tokenizer.to_str())
    for dropout in (0.1, 0.4):
        tokenizer.model.dropout = dropout
        theirs = [sum(t != "[PAD]" for t in tokenizer.encode(text).tokens) for _ in range(1000)]
        ours = (bpe.encode([text] * 1000, dropout=dropout, generator=generator).ids > 0).sum(1)
        spread = (np.var(theirs) / 1000 + np.var(ours) / 1000) ** 0.5
        assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=4.5 * spread)


@pytest.mark.parametrize("dropout", [-0.1, 1.5, float("nan")])
def test_a_wrong_dropout_is_named(bpe, dropout):
    with pytest.raises(ValueError, match=rf"dropout: found {dropout}, expected 0 to 1"):
        bpe.encode(["a"], dropout=dropout)
    with pytest.raises(TypeError, match="dropout: found str, expected a number"):
        bpe.encode(["a"], dropout="0.1")
    with pytest.raises(TypeError, match="generator: found NoneType, expected a numpy.random.Gen"):
        bpe.encode(["a"], dropout=0.1)


def test_what_is_no_text_is_named(bpe):
    with pytest.raises(TypeError, match="texts: found a str"):
        bpe.encode("a red house")
    with pytest.raises(TypeError, match=r"texts\[1\]: found tuple, expected a str"):
        bpe.encode(["a", ("b", "c")])
    with pytest.raises(ValueError, match=r"texts\[1\]: found the lone surrogate '\\ud83c' at 2"):
        bpe.encode(["a", "b \ud83c"])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[1], [300]], r"ids\[1\]: found id 300, expected 0 to 299"),
        ([[1, -1]], r"ids\[0\]: found id -1, expected 0 to 299"),
        ([1, 2], r"ids\[0\]: found shape \[\] and dtype int64, expected a row of integers"),
        ([[0.5]], r"ids\[0\]: found shape \[1\] and dtype float64"),
    ],
)
def test_wrong_ids_are_named(bpe, ids, message):
    with pytest.raises(ValueError, match=message):
        bpe.decode(ids)


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


# ---------------------------------------------------------------------- files


def test_save_and_load(bpe, tmp_path):
    text = to_json(bpe, tmp_path)
    for path in (tmp_path, tmp_path / "tokenizer.json", str(tmp_path)):
        loaded = BPE.load(path)
        assert (loaded.pad_id, loaded.vocab_size, loaded.length) == (0, 300, 64)
        assert (loaded.encode(LINES).ids == bpe.encode(LINES).ids).all()
        assert to_json(loaded, tmp_path) == text
    short = BPE.load(tmp_path, length=8)
    assert (short.encode(LINES).ids == bpe.encode(LINES).ids[:, :8]).all()
    short.save(tmp_path)
    assert BPE.load(tmp_path).length == 8
    assert os.listdir(tmp_path) == ["tokenizer.json"]


def test_the_library_reads_our_file_alike(bpe, tmp_path):
    to_json(bpe, tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    ids = [row.ids for row in tokenizer.encode_batch(LINES)]
    assert (bpe.encode(LINES).ids == ids).all()
    assert tokenizer.decode_batch(ids) == [lower_nfc(line) for line in LINES]


def foreign(tmp_path, pad: str, padding: dict | None = None, template: bool = False) -> Path:
    vocab = {"[UNK]": 0, pad: 1, "[CLS]": 2, "a": 3, "house": 9}  # with holes
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["[UNK]", "[CLS]"])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if template:
        tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A", None, [("[CLS]", 2)])
    if padding is not None:
        tokenizer.enable_padding(**padding)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.mark.parametrize("pad", ["[PAD]", "<pad>"])
def test_any_tokenizer_with_a_pad_token(tmp_path, pad):
    bpe = BPE.load(foreign(tmp_path, pad, template=True))
    assert (bpe.pad_id, bpe.vocab_size, bpe.length) == (1, 10, 64)
    ids, truncated = bpe.encode(["a house", "house " * 63, "house " * 64])
    assert ids[0].tolist() == [2, 3, 9] + [1] * 61
    assert truncated.tolist() == [False, False, True]
    assert bpe.decode(ids)[0] == "a house"
    with pytest.raises(ValueError, match="dropout: found a WordLevel model, expected plain BPE"):
        bpe.encode(["a"], dropout=0.1, generator=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"tokenizer\.json: length: found 1, expected .* >= 2"):
        BPE.load(tmp_path, length=1)


def test_a_pad_token_of_its_own(tmp_path):
    padding = {"pad_token": "!", "pad_id": 1, "length": 77, "direction": "left"}
    bpe = BPE.load(foreign(tmp_path, "!", padding))
    assert bpe.pad_id == 1
    assert bpe.length == 77
    assert bpe.encode(["a"]).ids.tolist() == [[3] + [1] * 76]
    assert BPE.load(tmp_path, length=5).encode(["a"]).ids.tolist() == [[3] + [1] * 4]


@pytest.mark.parametrize(
    ("pad", "padding", "message"),
    [
        ("!", None, r"found no pad token, expected one of \['\[PAD\]', '<pad>'\]"),
        ("!", {"pad_token": "?"}, r"found no pad token, expected one of \['\?'\]"),
        ("!", {"pad_token": "!", "pad_id": 0}, "found id 0 for '!' in its padding, expected 1"),
    ],
)
def test_a_missing_pad_token_is_named(tmp_path, pad, padding, message):
    with pytest.raises(ValueError, match=rf"tokenizer\.json: {message}"):
        BPE.load(foreign(tmp_path, pad, padding))


def test_a_dropout_in_the_file_is_for_training_alone(bpe, tmp_path):
    values = json.loads(to_json(bpe, tmp_path))
    values["model"]["dropout"] = 0.9
    (tmp_path / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    assert (BPE.load(tmp_path).encode(LINES).ids == bpe.encode(LINES).ids).all()


def test_what_is_no_tokenizer_is_named(tmp_path):
    file = tmp_path / "tokenizer.json"
    for path in (tmp_path, file, tmp_path / "absent"):
        with pytest.raises(ValueError, match="found no such file, expected a tokenizer.json"):
            BPE.load(path)
    for content in (b"", b"{", b'{"version": "1.0"}', b"\xff\xfe"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"tokenizer\.json: not a tokenizer.json: "):
            BPE.load(file)


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
