"""Token shards as batches for a GPT: a pure function of (seed, epoch, index)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.utils.data import Dataset

from mas_fast.data.token_shards import TokenShards
from mas_fast.text.bpe import BPE

# Key, ids int64 [S], a uniform number in [0, 1), bool [S]: hidden.
Item: TypeAlias = tuple[str, np.ndarray, float, np.ndarray]


class Sequences(Dataset):
    """Samples of token shards as sequences: one of a sample's captions, its scene, its picture.

    The caption, what dropout leaves out of its merges, "draw" and "masked" below come from (seed,
    epoch, index).

    Args:
        tokens: the token shards.
        seed: seed of all that is random.
        bpe: the captions' tokenizer, to tokenize them again with BPE-dropout; None for their
            stored tokens.
        dropout: share of the merges that BPE-dropout leaves out.
        masked_share: share of samples that hide tokens of their scene and picture: half of these
            samples hide all, the others a share of their own, uniform in 0..1.
        samples: use the first samples of the data only; None for all.

    Raises:
        ValueError: the tokenizer has another length or vocabulary.
    """

    def __init__(
        self,
        tokens: TokenShards,
        seed: int,
        bpe: BPE | None = None,
        dropout: float = 0.0,
        masked_share: float = 0.0,
        samples: int | None = None,
    ) -> None:
        text = tokens.streams["text"]
        if dropout and bpe is None:
            raise ValueError(f"bpe_dropout: found {dropout}, expected a bundle with its tokenizer")
        if bpe is not None and (bpe.length, bpe.vocab_size, bpe.pad_id) != (
            *(text.length, text.vocab),
            text.pad,
        ):
            raise ValueError(
                f"tokenizer: found {bpe.length} tokens of {bpe.vocab_size}, padding {bpe.pad_id}; "
                f"{tokens.path} has {text.length} of {text.vocab}, padding {text.pad}"
            )
        self.tokens, self.seed, self.bpe = tokens, seed, bpe
        self.dropout, self.masked_share = dropout, masked_share
        self.size = len(tokens) if samples is None else min(samples, len(tokens))

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, position: tuple[int, int]) -> Item:
        """The sample at (epoch, index)."""
        epoch, index = position
        generator = np.random.default_rng((self.seed, epoch, index))
        draw = generator.random()
        row = self.tokens[index]
        number = int(generator.integers(len(row.text)))
        text = row.text[number]
        if self.bpe is not None and self.dropout and (captions := self.tokens.captions(index)):
            text = self.bpe.encode(
                [captions[number]], dropout=self.dropout, generator=generator
            ).ids[0]
        ids = np.concatenate([text, row.seg, row.img]).astype(np.int64)
        masked = np.zeros(len(ids), bool)
        if generator.random() < self.masked_share:
            share = min(1.0, 2 * generator.random())
            masked[len(text) :] = generator.random(len(ids) - len(text)) < share
        return self.tokens.key(index), ids, draw, masked

    def collate(self, items: Sequence[Item]) -> dict[str, Any]:
        """Make a batch.

        Returns:
            "keys", "rejects" (none), "tokens" int64 [B, S], "draw" float64 [B] and, where some
            tokens are hidden, "masked" bool [B, S].
        """
        keys, ids, draws, masked = zip(*items, strict=True)
        hidden = {"masked": torch.from_numpy(np.stack(masked))} if self.masked_share else {}
        return hidden | {
            "keys": list(keys),
            "rejects": [],
            "tokens": torch.from_numpy(np.stack(ids)),
            "draw": torch.tensor(draws, dtype=torch.float64),
        }


def spread(size: int, count: int) -> np.ndarray:
    """At most `count` different indices below `size`, evenly spread."""
    return np.linspace(0, size - 1, min(size, count)).round().astype(int)
