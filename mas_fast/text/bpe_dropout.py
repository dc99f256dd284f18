"""BPE-dropout (https://arxiv.org/abs/1910.13267) with a generator that is given. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from tokenizers import Tokenizer

# The longest word, in bytes, whose merges are learned as a whole: the work grows with its square.
# No language without blanks comes near (170 Chinese characters between two marks), but pasted data
# do.
LONGEST = 512


class Merges:
    """BPE-dropout. The library's own form draws from a generator that cannot be seeded.

    Args:
        tokenizer: the library's tokenizer.

    Raises:
        ValueError: if the tokenizer is no plain BPE.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        values = json.loads(tokenizer.to_str())
        model = values["model"]
        if model["type"] != "BPE" or tokenizer.num_special_tokens_to_add(False):
            problem = f"a {model['type']} model"
            raise ValueError(f"dropout: found {problem}, expected plain BPE, or a dropout of 0")
        self.normalizer, self.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
        self.vocab: dict[str, int] = model["vocab"]
        self.ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        self.suffix, self.unknown = model["end_of_word_suffix"] or "", model["unk_token"]

    def ids(
        self, text: str, dropout: float, generator: np.random.Generator, most: int
    ) -> list[int]:
        """Encode a text. Words of more than LONGEST characters are merged in parts.

        Args:
            text: the text.
            dropout: the chance that a merge is left out each time that it is possible.
            generator: draws the dropout.
            most: number of ids that are enough.

        Returns:
            The ids of the text, or of its beginning: at least `most` if it has so many.
        """
        if self.normalizer is not None:
            text = self.normalizer.normalize_str(text)
        words = [text]
        if self.pre_tokenizer is not None:
            words = [word for word, _ in self.pre_tokenizer.pre_tokenize_str(text)]
        ids: list[int] = []
        for word in words:
            for start in range(0, len(word), LONGEST):
                part = word[start : start + LONGEST]
                suffix = self.suffix if start + LONGEST >= len(word) else ""
                ids += self._word(part, suffix, dropout, generator)
                if len(ids) >= most:
                    return ids
        return ids

    def _word(
        self, word: str, suffix: str, dropout: float, generator: np.random.Generator
    ) -> Iterator[int]:
        """Make the best merge that is not left out, over and over, and return the ids."""
        parts = [*word[:-1], word[-1:] + suffix]
        parts = [part if part in self.vocab else self.unknown for part in parts]
        parts = [part for part in parts if part is not None]
        while len(parts) > 1:
            pairs = zip(parts[:-1], parts[1:], strict=True)
            candidates = [
                (self.ranks[pair], i) for i, pair in enumerate(pairs) if pair in self.ranks
            ]
            draws = generator.random(len(candidates)) >= dropout
            merges = [merge for merge, keep in zip(candidates, draws, strict=True) if keep]
            if not merges:
                break
            _, i = min(merges)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        return (self.vocab[part] for part in parts)
