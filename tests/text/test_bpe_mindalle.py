"""bpe.py reads minDALL-E's files as the library's CharBPETokenizer does."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tokenizers.implementations import CharBPETokenizer

from mas_fast.text.bpe import BPE
from mas_fast.text.captions import captions

WORDS = ["a", "red", "house", "Elephant", "walks", "빨간", "집", "🏠", "Ça", "слон"]
LINES = [f"{a} {b} {c}" for a in WORDS for b in WORDS for c in WORDS]


def mindalle(path: Path, lines, vocab_size: int) -> tuple[Path, Path]:
    """Files as minDALL-E's, named alike."""
    special = ["[PAD]", "[UNK]"]
    tokenizer = CharBPETokenizer(unk_token="[UNK]", lowercase=True)
    tokenizer.train_from_iterator(
        lines, vocab_size=vocab_size, special_tokens=special, show_progress=False
    )
    tokenizer.save_model(str(path), "bpe-16k")
    return path / "bpe-16k-vocab.json", path / "bpe-16k-merges.txt"


def by_the_library(vocab: Path, merges: Path) -> CharBPETokenizer:
    """What minDALL-E does with its files."""
    tokenizer = CharBPETokenizer.from_file(
        str(vocab), str(merges), unk_token="[UNK]", lowercase=True
    )
    tokenizer.add_special_tokens(["[PAD]"])
    tokenizer.enable_padding(length=64, pad_id=tokenizer.token_to_id("[PAD]"))
    tokenizer.enable_truncation(max_length=64)
    return tokenizer


@pytest.fixture(scope="session")
def mindalle_pair(tmp_path_factory):
    files = mindalle(tmp_path_factory.mktemp("mindalle"), LINES, 120)
    return BPE.load_mindalle(*files), by_the_library(*files)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(LINES)))
@example(["É e\u0301 house\0", "漢字 a!b", "", "\ufffd", "ELEPHANT İ", "zzz qqq"])
@settings(max_examples=300, deadline=None)
def test_minDALLE_is_the_library_on_any_text(mindalle_pair, texts):
    # Names of special tokens are text to us alone.
    assume(not any(name in text for text in texts for name in ("[UNK]", "[PAD]")))
    ours, theirs = mindalle_pair
    rows = theirs.encode_batch(texts) if texts else []
    ids, truncated = ours.encode(texts)
    assert ids.tolist() == [row.ids for row in rows]
    assert truncated.tolist() == [bool(row.overflowing) for row in rows]
    assert ours.decode(ids) == [theirs.decode(row.ids) for row in rows]
    generator = np.random.default_rng(0)  # and so is dropout, where it leaves nothing out
    again = ours.encode(texts, dropout=1e-12, generator=generator)
    assert (again.ids == ids).all()
    assert (again.truncated == truncated).all()


def test_minDALLE_is_the_library_on_real_captions(tmp_path, coco_captions):
    texts = list(captions([coco_captions]))
    files = mindalle(tmp_path, texts, 4000)
    ours, theirs = BPE.load_mindalle(*files), by_the_library(*files)
    assert ours.vocab_size == 4000
    assert ours.pad_id == theirs.token_to_id("[PAD]")
    expected = [row.ids for row in theirs.encode_batch(texts)]
    assert (ours.encode(texts).ids == expected).all()
    ours.save(tmp_path)
    assert (BPE.load(tmp_path).encode(texts).ids == expected).all()


def test_minDALLE_reads_names_of_special_tokens_as_text(mindalle_pair):
    ours, theirs = mindalle_pair
    assert theirs.encode("[PAD]").ids == [ours.pad_id] * 64
    assert ours.encode(["[PAD]"]).ids[0, 0] != ours.pad_id


@pytest.mark.parametrize(
    ("which", "change", "message"),
    [
        (0, lambda text: text[:-1], r"vocab\.json: .*delimiter"),
        (0, lambda text: "[]", r"vocab\.json: found no mapping of tokens to the ids 0, 1, 2"),
        (0, lambda text: text.replace(":5,", ":6,"), "found no mapping of tokens to the ids"),
        (0, lambda text: text.replace(":5,", ':"5",'), "found no mapping of tokens to the ids"),
        (0, lambda text: text.replace("[PAD]", "[pad]"), r"found no \[PAD\] among \d+ entries"),
        (0, lambda text: text.replace("[UNK]", "<unk>"), r"found no \[UNK\] among \d+ entries"),
        (1, lambda text: text + "a b c\n", r"merges\.txt: line \d+: found 'a b c', expected two"),
        (1, lambda text: text + "a\n", r"merges\.txt: line \d+: found 'a', expected two"),
        (1, lambda text: text + "zz y\n", r"merges\.txt: line \d+: found 'zz y', expected two"),
        (1, lambda text: text + "a \udcff\n", r"merges\.txt: line \d+: 'utf-8' codec can't decode"),
    ],
)
def test_wrong_files_of_minDALLE_are_named(tmp_path, which, change, message):
    files = mindalle(tmp_path, LINES, 120)
    text = change(files[which].read_text(encoding="utf-8"))
    files[which].write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ValueError, match=message) as error:
        BPE.load_mindalle(*files)
    assert str(files[which]) in str(error.value)
    files[which].unlink()
    with pytest.raises(ValueError, match="No such file"):
        BPE.load_mindalle(*files)
