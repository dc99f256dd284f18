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
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from mas_fast.streams import MOST_LENGTH, MOST_VOCAB
from mas_fast.text.bpe_files import PAD, read_mindalle, read_tokenizer, unknown_id
from mas_fast.text.captions import Rejects, captions, check_paths, check_text
from mas_fast.utils.progress import progress_bar
from mas_fast.utils.rust import no_panics
from mas_fast.utils.validate import check_int

TOKENIZER_FILE = "tokenizer.json"
LENGTH = 64
PADS = (PAD, "<pad>")  # looked for in a foreign file that does not say how it pads
MIN_FREQUENCY = 2  # a pair that was seen once is no pattern
# The longest word, in bytes, whose merges are learned in one: the work is its square. No language
# without blanks comes near (170 Chinese characters between two marks), but pasted data do.
LONGEST = 512
MAYBE_LONG = re.compile(rf"\S{{{LONGEST // 4}}}|\s{{{LONGEST // 4}}}")
PROBE = "A photo of a house, 2 dogs."


class Encoding(NamedTuple):
    """ids: int32 [B, length], filled up with the pad id. truncated: bool [B], which captions had
    more tokens than fit."""

    ids: np.ndarray
    truncated: np.ndarray


class BPE:
    """A tokenizer that gives each caption `length` ids in 0..vocab_size-1. Safe to share between
    threads, and picklable.

    pad_id fills up short captions. unknown_id, in some foreign ones, stands for what has no entry;
    the first text in which it does is told by a warning. The tokenizer given becomes this object's
    own; `what` is how messages call it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        pad: str = PAD,
        length: int = LENGTH,
        what: str = "tokenizer",
    ) -> None:
        special = tokenizer.num_special_tokens_to_add(False)  # such as [CLS] and [SEP]
        check_int("length", length, 1 + special)
        check_int("length", length, 1, MOST_LENGTH)
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
        self._tokenizer, self._what = tokenizer, what
        self._merges: _Merges | None = None
        self.unknown_id, self._told = self._unknown(), False

    def __reduce__(self):
        return _unpickle, (self._tokenizer.to_str(), self._pad, self.length, self._what)

    def _unknown(self) -> int | None:
        """None too where every text has it, as where one token is unknown, padding and end."""
        found = unknown_id(self._tokenizer)
        with self._library():
            usual = self._tokenizer.encode("").ids
        return None if found in usual else found

    @contextmanager
    def _library(self) -> Iterator[None]:
        """Makes whatever the library raises a ValueError."""
        try:
            with no_panics():
                yield
        except (MemoryError, KeyboardInterrupt):
            raise
        except Exception as error:  # it raises nothing narrower
            raise ValueError(f"{self._what}: {error!s:.500}") from error

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

        Rows that hold no caption are left out, and words of more than LONGEST bytes are learned
        from in parts; both are told by a warning, with their numbers. ValueError where a file
        cannot be read, there are no captions, or they have too few pairs that occur twice: a
        smaller vocabulary than asked for would not fit the GPT's config.
        """
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        check_int("vocab_size", vocab_size, 1 + len(alphabet), MOST_VOCAB)
        check_int("length", length, 1, MOST_LENGTH)
        paths = check_paths(files)
        tokenizer = Tokenizer(models.BPE())
        normal = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Lowercase(), normalizers.Prepend(" ")]
        )
        tokenizer.normalizer = normal
        words = pre_tokenizers.ByteLevel(add_prefix_space=False)
        cut = pre_tokenizers.Split(Regex(f".{{1,{LONGEST}}}"), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, cut])
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
        size, count, long = sum(path.stat().st_size for path in paths), 0, 0
        rejects = Rejects()
        with progress_bar(total=size, unit="B", unit_scale=True, show=progress) as bar:

            def stream() -> Iterator[str]:
                nonlocal count, long
                bar.set_description("reading captions")
                for caption in captions(paths, bar.update, rejects):
                    count += 1
                    if MAYBE_LONG.search(caption):
                        pieces = words.pre_tokenize_str(normal.normalize_str(caption))
                        long += sum(len(piece) > LONGEST for piece, _ in pieces)
                    yield caption
                bar.set_description("learning merges")

            with no_panics():
                tokenizer.train_from_iterator(stream(), trainer)
        tokenizer.pre_tokenizer = words
        where = ", ".join(map(str, paths[:3])) + (", ..." if len(paths) > 3 else "")
        if not count:
            found = f"found no captions in {len(paths)} files" + (f": {rejects}" if rejects else "")
            raise ValueError(f"{where}: {found}; expected some")
        if rejects:
            warnings.warn(f"{rejects}; learned from {count} captions", stacklevel=2)
        if long:
            cut = f"learned from in parts of that length: {long} words of more than {LONGEST} bytes"
            warnings.warn(f"{where}: {cut}", stacklevel=2)
        found = tokenizer.get_vocab_size()
        if found < vocab_size:
            raise ValueError(
                f"{where}: found pairs for {found} entries in {count} captions, expected "
                f"vocab_size={vocab_size}: train on more captions or with vocab_size <= {found} "
                f"(--vocab-size {found})"
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
        tokenizer = read_tokenizer(file)
        padding = tokenizer.padding or {}
        pads = [padding["pad_token"]] if padding else PADS
        pad = next((pad for pad in pads if tokenizer.token_to_id(pad) is not None), None)
        if pad is None:
            raise ValueError(f"{file}: found no pad token, expected one of {list(pads)}")
        if padding and padding["pad_id"] != tokenizer.token_to_id(pad):
            found = f"found id {padding['pad_id']} for {pad!r} in its padding"
            raise ValueError(f"{file}: {found}, expected {tokenizer.token_to_id(pad)}")
        length = length or padding.get("length") or LENGTH
        try:
            bpe = cls(tokenizer, pad=pad, length=length, what=str(file))
            bpe.decode(bpe._encode([PROBE]).ids)  # what a file says is not looked at before
        except ValueError as error:
            raise ValueError(f"{file}: {str(error).removeprefix(f'{file}: ')}") from error
        return bpe

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
        tokenizer = read_mindalle(Path(vocab_json), Path(merges_txt))
        return cls(tokenizer, length=length, what=str(vocab_json))

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
            with self._library():
                most = self.length + 1  # what lies behind is cut off
                rows = [self._merges.ids(text, dropout, generator, most) for text in texts]
            ids = np.full((len(rows), self.length), self.pad_id, np.int32)
            for row, found in zip(ids, rows, strict=True):
                row[: len(found)] = found[: self.length]
            return Encoding(ids, np.array([len(row) > self.length for row in rows], bool))
        found = self._encode(texts)
        if self._told or self.unknown_id is None:
            return found
        unknown = (found.ids == self.unknown_id).any(1)
        if unknown.any():
            example = texts[int(np.argmax(unknown))]
            token = self._tokenizer.id_to_token(self.unknown_id)
            warnings.warn(
                f"{self._what}: in {sum(unknown)} of {len(texts)} texts something has no entry and "
                f"is read as {token!r}, as in {example[:80]!r}; not told again",
                stacklevel=2,
            )
            self._told = True
        return found

    def _encode(self, texts: list[str]) -> Encoding:
        with self._library():
            rows = self._tokenizer.encode_batch_fast(texts)
            ids = np.array([row.ids for row in rows], np.int64).reshape(-1, self.length)
            truncated = np.array([bool(row.overflowing) for row in rows], bool)
        if ids.size and ids.max() >= self.vocab_size:
            found = f"found the id {ids.max()} in an encoded text"
            raise ValueError(f"{self._what}: {found}, expected 0 to {self.vocab_size - 1}")
        return Encoding(ids.astype(np.int32), truncated)

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
        with self._library():
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

    def ids(
        self, text: str, dropout: float, generator: np.random.Generator, most: int
    ) -> list[int]:
        """Of a text, or of its beginning: at least `most` where it has them. Words of more than
        LONGEST characters are merged in parts."""
        if self.normalizer is not None:
            text = self.normalizer.normalize_str(text)
        words = [(text, None)]
        if self.pre_tokenizer is not None:
            words = self.pre_tokenizer.pre_tokenize_str(text)
        ids: list[int] = []
        for word, _ in words:
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
        """The best of the merges that are not left out, again and again, until none is."""
        parts = [*word[:-1], word[-1:] + suffix]
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


def _unpickle(text: str, pad: str, length: int, what: str) -> BPE:
    return BPE(Tokenizer.from_str(text), pad=pad, length=length, what=what)


def _file(path: str | os.PathLike) -> Path:
    path = Path(path)
    return path / TOKENIZER_FILE if path.is_dir() else path
