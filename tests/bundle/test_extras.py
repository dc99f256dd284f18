"""bundle/extras.py: captions' tokenizer, words and the sampler's settings."""

import os

import numpy as np
import pytest

from mas_fast.bundle import (
    load_bpe,
    read_sampling,
    read_words,
    save_bpe,
    save_words,
)
from mas_fast.text.bpe import BPE

# ---------------------------------------------------------------------- tokenizers


def test_captions_live_beside_them(tmp_path):
    text = tmp_path / "captions.txt"
    text.write_text("a red house\na lake\n")
    bpe = BPE.train([text], vocab_size=257, length=8, progress=False)
    save_bpe(tmp_path / "bundle", bpe)
    assert os.listdir(tmp_path / "bundle") == ["tokenizer.json"]
    found = load_bpe(tmp_path / "bundle").encode(["a red lake"])
    assert np.array_equal(found.ids, bpe.encode(["a red lake"]).ids)
    with pytest.raises(ValueError, match="tokenizer.json: found no such file"):
        load_bpe(tmp_path)


# ---------------------------------------------------------------------- what may be missing


def test_words_come_back(tmp_path):
    assert read_words(tmp_path) is None
    save_words(tmp_path / "b", ["Two dogs,", "two CATS; a caf\u00e9's dog\U0001f3e0"])
    assert (tmp_path / "b" / "words.txt").read_text("utf-8").split("\n") == (
        ["a", "caf\u00e9's", "cats", "dog", "dogs", "two", ""]
    )
    assert read_words(tmp_path / "b") == {"a", "caf\u00e9's", "cats", "dog", "dogs", "two"}
    save_words(tmp_path / "b", [])
    assert read_words(tmp_path / "b") == frozenset()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nDog\n", "words.txt: line 2: found 'Dog', expected one lower-case word"),
        (b"two dogs\n", "words.txt: line 1: found 'two dogs'"),
        (b"a\n\nb", "words.txt: line 2: found ''"),
        (b"\xff", "words.txt: .*expected UTF-8"),
    ],
)
def test_wrong_words_are_named(tmp_path, content, message):
    (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_words(tmp_path)


def test_sampling_is_what_the_file_says(tmp_path):
    assert read_sampling(tmp_path) == {}
    (tmp_path / "sampling.json").write_text('{"guidance": {"seg": 2}, "top_k": null}')
    assert read_sampling(tmp_path) == {"guidance": {"seg": 2}, "top_k": None}
    (tmp_path / "sampling.json").write_text('{"top_k": 3, "seed": 1}')
    with pytest.raises(ValueError, match=r"sampling.json: found \['seed'\], expected a mapping"):
        read_sampling(tmp_path)
