"""bpe_dropout.py: merges left out by a generator that is given."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from bpe_lines import LINES
from mas_fast.text.bpe_dropout import LONGEST, Merges


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


class Draws:
    """In place of a generator: the numbers that are given, in turn."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = list(numbers)

    def random(self, count: int) -> np.ndarray:
        taken, self.numbers = self.numbers[:count], self.numbers[count:]
        assert len(taken) == count
        return np.array(taken)


def merges(vocab: list[str], pairs: list[tuple[str, str]], **options) -> Merges:
    model = models.BPE({token: i for i, token in enumerate(vocab)}, pairs, **options)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Merges(tokenizer)


@pytest.fixture(scope="module")
def abc() -> Merges:
    return merges(["a", "b", "c", "ab", "abc"], [("a", "b"), ("ab", "c")])


def test_each_merge_that_is_possible_is_drawn_each_time(abc) -> None:
    """A draw below the dropout leaves a merge out; it has another chance in the next round."""
    a, b, _, ab, whole = range(5)
    assert abc.ids("abc", 0.5, Draws(0.5, 0.5), 9) == [whole]
    assert abc.ids("abc", 0.5, Draws(0.5, 0.4), 9) == [ab, 2]
    assert abc.ids("abc", 0.5, Draws(0.4), 9) == [a, b, 2]
    assert abc.ids("abab", 0.5, Draws(0.1, 0.9, 0.1), 9) == [a, b, ab]
    assert abc.ids("abab", 0.5, Draws(0.1, 0.9, 0.9), 9) == [ab, ab]


def test_the_best_merge_is_made_first() -> None:
    found = merges(["a", "b", "c", "bc", "ab"], [("b", "c"), ("a", "b")])
    assert found.ids("abc", 0.0, Draws(0, 0), 9) == [0, 3]
    assert found.ids("abc", 0.5, Draws(0.9, 0.1), 9) == [4, 2]  # of what is left: in their order


def test_enough_is_enough(abc) -> None:
    generator = np.random.default_rng(0)
    assert abc.ids("abc ab abc", 0.0, generator, 2) == [4, 3]
    assert abc.ids("abc ab abc", 0.0, generator, 9) == [4, 3, 4]
    assert abc.ids("  ", 0.0, generator, 9) == []


def test_what_is_not_in_the_vocabulary(abc) -> None:
    generator = np.random.default_rng(0)
    assert abc.ids("axb", 0.0, generator, 9) == [3]  # dropped, so that its neighbours meet
    known = merges(["?", "a", "b", "ab"], [("a", "b")], unk_token="?")
    assert known.ids("axb", 0.0, generator, 9) == [1, 0, 2]


def test_the_end_of_a_word_has_its_suffix() -> None:
    found = merges(["a", "b", "b_", "ab", "ab_"], [("a", "b"), ("a", "b_")], end_of_word_suffix="_")
    generator = np.random.default_rng(0)
    assert found.ids("ab", 0.0, generator, 9) == [4]
    assert found.ids("ab", 1.0, generator, 9) == [0, 2]
    assert found.ids("abab", 0.0, generator, 9) == [3, 4]
    for length in (LONGEST, LONGEST + 1):  # a part that is no end has none
        assert found.ids("a" * (length - 1) + "b", 0.0, generator, 999)[-1] == (
            4 if length == LONGEST else 2
        )
    assert found.ids("ab" * LONGEST, 0.0, generator, 999) == [3] * (LONGEST - 1) + [4]


def test_long_words_are_merged_in_parts(abc) -> None:
    generator = np.random.default_rng(0)
    for blanks in (LONGEST - 1, LONGEST):
        text = "c" * blanks + "ab"
        expected = [2] * blanks + ([0, 1] if blanks == LONGEST - 1 else [3])
        assert abc.ids(text, 0.0, generator, 999) == expected


def test_other_models_have_no_dropout() -> None:
    message = "dropout: found a WordLevel model, expected plain BPE, or a dropout of 0"
    with pytest.raises(ValueError) as error:
        Merges(Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?")))
    assert str(error.value) == message
