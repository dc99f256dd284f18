"""bpe.py: round trips over all of Unicode, files, errors."""

import json
import os
import pickle
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from bpe_lines import LINES, lower_nfc
from mas_fast.text.bpe import BPE


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
        with pytest.raises(ValueError, match=r"tokenizer\.json: found no tokenizer in it: "):
            BPE.load(file)
