"""bpe_dropout.py: merges left out by a generator that is given."""

import numpy as np
import pytest
from tokenizers import Tokenizer

from bpe_lines import LINES


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
