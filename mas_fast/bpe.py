"""The caption tokenizer. No torch.

    bpe = BPE.train(["captions.txt", "Train_GCC-training.tsv", "captions_train2017.json.gz"])
    bpe.save("tokenizer.json")
    ids, truncated = BPE.load("tokenizer.json").encode(["a red house", "빨간 집 🏠"])
    bpe.decode(ids)  # ["a red house", "빨간 집 🏠"]

A trained tokenizer works on bytes, so that every text comes back as its NFC in lower case (a
capital sigma as σ wherever it stands). Text is read with one space before it, which decoding takes
away: thus a word has the same token at the start of a caption as inside it. Every caption is read
as text: a "[PAD]" in it is five characters and never the padding.

Training holds one chunk of a file and the counts of distinct words: its memory does not grow with
the number of captions. The result depends only on
the captions, not on their order or on the number of threads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from mas_fast.captions import captions, check_paths, check_text, read_lines
from mas_fast.streams import check_int

TOKENIZER_FILE = "tokenizer.json"
LENGTH = 64
PAD, UNKNOWN = "[PAD]", "[UNK]"
PADS = (PAD, "<pad>")  # looked for in a foreign file that does not say how it pads
MIN_FREQUENCY = 2  # a pair that was seen once is no pattern


class Encoding(NamedTuple):
    """ids: int32 [B, length], filled up with the pad id. truncated: bool [B], which captions had
    more tokens than fit."""

    ids: np.ndarray
    truncated: np.ndarray


class BPE:
    """A tokenizer that gives each caption `length` ids in 0..vocab_size-1. Safe to share between
    threads, and picklable.

    pad_id fills up short captions. The tokenizer given becomes this object's own.
    """

    def __init__(self, tokenizer: Tokenizer, *, pad: str = PAD, length: int = LENGTH) -> None:
        special = tokenizer.num_special_tokens_to_add(False)  # such as [CLS] and [SEP]
        check_int("length", length, 1 + special)
        vocab = tokenizer.get_vocab(with_added_tokens=True)
        if pad not in vocab:
            raise ValueError(f"pad token: found no {pad!r} among {len(vocab)} entries")
        self.pad_id: int = vocab[pad]
        self.vocab_size: int = max(vocab.values()) + 1
        self.length = length
        self._pad = pad
        tokenizer.enable_padding(length=length, pad_id=self.pad_id, pad_token=pad)
        tokenizer.enable_truncation(length)
        tokenizer.encode_special_tokens = True  # read their names as text; to_str leaves this out
        if isinstance(tokenizer.model, models.BPE):
            tokenizer.model.dropout = None
        self._tokenizer = tokenizer
        self._merges: _Merges | None = None

    def __reduce__(self):
        return _unpickle, (self._tokenizer.to_str(), self._pad, self.length)

    @classmethod
    def train(
        cls,
        files: Iterable[str | os.PathLike],
        *,
        vocab_size: int = 16384,
        length: int = LENGTH,
        progress: bool = True,
    ) -> BPE:
        """Learn `vocab_size` entries from the captions of `files` (see captions): [PAD] is 0, the
        bytes are 1..256, merges follow.

        ValueError where captions cannot be read, there are none, or they have too few pairs that
        occur twice: a smaller vocabulary than asked for would not fit the GPT's config.
        """
        from tqdm import tqdm

        alphabet = pre_tokenizers.ByteLevel.alphabet()
        check_int("vocab_size", vocab_size, 1 + len(alphabet))
        check_int("length", length, 1)
        paths = check_paths(files)
        tokenizer = Tokenizer(models.BPE())
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Lowercase(), normalizers.Prepend(" ")]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.Sequence(
            [decoders.ByteLevel(), decoders.Strip(" ", left=1, right=0)]
        )
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=MIN_FREQUENCY,
            special_tokens=[PAD],
            initial_alphabet=alphabet,
            show_progress=False,  # it cannot know how much there is to read
        )
        size, count = sum(path.stat().st_size for path in paths), 0
        with tqdm(total=size, unit="B", unit_scale=True, disable=not progress) as bar:

            def stream() -> Iterator[str]:
                nonlocal count
                bar.set_description("reading captions")
                for caption in captions(paths, bar.update):
                    count += 1
                    yield caption
                bar.set_description("learning merges")

            tokenizer.train_from_iterator(stream(), trainer)
        where = ", ".join(map(str, paths[:3])) + (", ..." if len(paths) > 3 else "")
        if not count:
            raise ValueError(f"{where}: found no captions in {len(paths)} files, expected some")
        found = tokenizer.get_vocab_size()
        if found < vocab_size:
            raise ValueError(
                f"{where}: found pairs for {found} entries in {count} captions, expected "
                f"vocab_size={vocab_size}: train on more captions or with vocab_size <= {found}"
            )
        return cls(tokenizer, length=length)

    @classmethod
    def load(cls, path: str | os.PathLike, *, length: int | None = None) -> BPE:
        """Read the tokenizer.json at `path`, a file or a bundle's directory: ours, or any that has
        a pad token (that of its padding, else [PAD] or <pad>).

        length: by default that of the file, or 64 where it does not fix one. ValueError names the
        file and what is wrong with it.
        """
        file = _file(path)
        if not file.is_file():
            raise ValueError(f"{file}: found no such file, expected a {TOKENIZER_FILE}")
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(f"{file}: not a {TOKENIZER_FILE}: {error}") from error
        padding = tokenizer.padding or {}
        pads = [padding["pad_token"]] if padding else PADS
        pad = next((pad for pad in pads if tokenizer.token_to_id(pad) is not None), None)
        if pad is None:
            raise ValueError(f"{file}: found no pad token, expected one of {list(pads)}")
        if padding and padding["pad_id"] != tokenizer.token_to_id(pad):
            found = f"found id {padding['pad_id']} for {pad!r} in its padding"
            raise ValueError(f"{file}: {found}, expected {tokenizer.token_to_id(pad)}")
        try:
            return cls(tokenizer, pad=pad, length=length or padding.get("length") or LENGTH)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error

    @classmethod
    def load_mindalle(
        cls,
        vocab_json: str | os.PathLike,
        merges_txt: str | os.PathLike,
        *,
        length: int = LENGTH,
    ) -> BPE:
        """The tokenizer of minDALL-E, from its bpe-16k-vocab.json and bpe-16k-merges.txt: what the
        library's CharBPETokenizer(unk_token="[UNK]", lowercase=True) computes. ValueError names
        the file, the line and what is wrong with it."""
        vocab = _read_vocab(Path(vocab_json))
        merges = _read_merges(Path(merges_txt), vocab)
        suffix = "</w>"
        tokenizer = Tokenizer(
            models.BPE(vocab, merges, unk_token=UNKNOWN, end_of_word_suffix=suffix)
        )
        tokenizer.add_special_tokens([UNKNOWN, PAD])
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.BertNormalizer(lowercase=False), normalizers.Lowercase()]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.BPEDecoder(suffix=suffix)
        return cls(tokenizer, length=length)

    def save(self, path: str | os.PathLike) -> None:
        """Write tokenizer.json: the file `path`, or in the directory `path`. Not in one step: for a
        bundle that is in use, call bundle.save_bpe."""
        _file(path).write_bytes(self._tokenizer.to_str(pretty=True).encode())

    def encode(
        self,
        texts: Iterable[str],
        *,
        dropout: float = 0.0,
        generator: np.random.Generator | None = None,
    ) -> Encoding:
        """The ids of each text, cut to `length` and filled up with pad_id.

        dropout: the chance that a merge is left out, each time that it could be made (BPE-dropout,
        https://arxiv.org/abs/1910.13267); for training. It is drawn from `generator`. ValueError or
        TypeError names the text that cannot be encoded, and what dropout lacks.
        """
        if isinstance(texts, str):
            raise TypeError("texts: found a str, expected an iterable of them")
        texts = list(texts)
        for i, text in enumerate(texts):
            check_text(f"texts[{i}]", text)
        if isinstance(dropout, bool) or not isinstance(dropout, int | float):
            raise TypeError(f"dropout: found {type(dropout).__name__}, expected a number")
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout: found {dropout}, expected 0 to 1")
        if dropout:
            if not isinstance(generator, np.random.Generator):
                found = type(generator).__name__
                raise TypeError(f"generator: found {found}, expected a numpy.random.Generator")
            if self._merges is None:
                self._merges = _Merges(self._tokenizer)
            rows = [self._merges.ids(text, dropout, generator) for text in texts]
            ids = np.full((len(rows), self.length), self.pad_id, np.int32)
            for row, found in zip(ids, rows, strict=True):
                row[: len(found)] = found[: self.length]
            return Encoding(ids, np.array([len(row) > self.length for row in rows], bool))
        rows = self._tokenizer.encode_batch_fast(texts)
        ids = np.array([row.ids for row in rows], np.int32).reshape(-1, self.length)
        return Encoding(ids, np.array([bool(row.overflowing) for row in rows], bool))

    def decode(self, ids) -> list[str]:
        """The texts of ids [B, n], a tensor, an array or a list of lists; padding and special
        tokens are left out. Bytes that are not UTF-8, as of a character cut in two, come as U+FFFD.
        ValueError for ids out of range."""
        rows = []
        for b, row in enumerate(ids.cpu() if hasattr(ids, "cpu") else ids):
            row = np.asarray(row)
            if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
                found = f"found shape {list(row.shape)} and dtype {row.dtype}"
                raise ValueError(f"ids[{b}]: {found}, expected a row of integers")
            bad = row[(row < 0) | (row >= self.vocab_size)]
            if bad.size:
                allowed = f"0 to {self.vocab_size - 1}"
                raise ValueError(f"ids[{b}]: found id {bad[0]}, expected {allowed}")
            rows.append(row[row != self.pad_id].tolist())
        return self._tokenizer.decode_batch(rows, skip_special_tokens=True)


class _Merges:
    """BPE-dropout, whose own form in the library draws from a generator that cannot be seeded."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        values = json.loads(tokenizer.to_str())
        model = values["model"]
        if model["type"] != "BPE" or tokenizer.num_special_tokens_to_add(False):
            found = f"a {model['type']} model"
            raise ValueError(f"dropout: found {found}, expected plain BPE, or a dropout of 0")
        self.normalizer, self.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
        self.vocab: dict[str, int] = model["vocab"]
        self.ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        self.suffix, self.unknown = model["end_of_word_suffix"] or "", model["unk_token"]

    def ids(self, text: str, dropout: float, generator: np.random.Generator) -> list[int]:
        if self.normalizer is not None:
            text = self.normalizer.normalize_str(text)
        words = [(text, None)]
        if self.pre_tokenizer is not None:
            words = self.pre_tokenizer.pre_tokenize_str(text)
        return [i for word, _ in words for i in self._word(word, dropout, generator)]

    def _word(self, word: str, dropout: float, generator: np.random.Generator) -> Iterator[int]:
        """The best of the merges that are not left out, again and again, until none is."""
        parts = [*word[:-1], word[-1:] + self.suffix]
        parts = [part if part in self.vocab else self.unknown for part in parts]
        parts = [part for part in parts if part is not None]
        while len(parts) > 1:
            pairs = zip(parts[:-1], parts[1:], strict=True)
            found = [(self.ranks[pair], i) for i, pair in enumerate(pairs) if pair in self.ranks]
            kept = generator.random(len(found)) >= dropout
            merges = [merge for merge, keep in zip(found, kept, strict=True) if keep]
            if not merges:
                break
            _, i = min(merges)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        return (self.vocab[part] for part in parts)


def _unpickle(text: str, pad: str, length: int) -> BPE:
    return BPE(Tokenizer.from_str(text), pad=pad, length=length)


def _file(path: str | os.PathLike) -> Path:
    path = Path(path)
    return path / TOKENIZER_FILE if path.is_dir() else path


def _read_vocab(file: Path) -> dict[str, int]:
    try:
        vocab = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: {error}") from error
    ids = list(vocab.values()) if isinstance(vocab, dict) else []
    if not ids or any(type(i) is not int for i in ids) or sorted(ids) != list(range(len(ids))):
        raise ValueError(f"{file}: found no mapping of tokens to the ids 0, 1, 2 ...")
    for token in (PAD, UNKNOWN):
        if token not in vocab:
            raise ValueError(f"{file}: found no {token} among {len(vocab)} entries")
    return vocab


def _read_merges(file: Path, vocab: dict[str, int]) -> list[tuple[str, str]]:
    merges = []
    for number, line in read_lines(file):
        if line.startswith("#version"):
            continue
        pair = tuple(line.split(" "))
        unknown = [token for token in (*pair, "".join(pair)) if token not in vocab]
        if len(pair) != 2 or unknown:
            found = f"found {line[:80]!r}, expected two entries of the vocabulary that join to one"
            raise ValueError(f"{file}: line {number}: {found}")
        merges.append(pair)
    return merges
