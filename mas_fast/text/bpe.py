"""The caption tokenizer. No torch.

    bpe = BPE.train(["captions.txt", "Train_GCC-training.tsv", "captions_train2017.json.gz"])
    bpe.save("tokenizer.json")
    ids, truncated = BPE.load("tokenizer.json").encode(["a red house", "빨간 집 🏠"])
    bpe.decode(ids)  # ["a red house", "빨간 집 🏠"]

A trained tokenizer works on bytes, so every text comes back as its NFC in lower case (a capital
sigma as σ in any position). Text is encoded with one space before it, which decoding takes away, so
a word has the same token at the start of a caption and inside it. Every caption is plain text: a
"[PAD]" in it is five characters and never the padding.

Training holds one chunk of a file and the counts of distinct words: its memory does not grow with
the number of captions. The result depends on the captions alone, not on their order or on the
number of threads.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from mas_fast.streams import MOST_LENGTH, MOST_VOCAB
from mas_fast.text.bpe_dropout import LONGEST, Merges
from mas_fast.text.bpe_files import PAD, read_mindalle, read_tokenizer, unknown_id
from mas_fast.text.captions import Rejects, captions, check_paths, check_text
from mas_fast.utils.progress import progress_bar
from mas_fast.utils.rust import no_panics
from mas_fast.utils.validate import check_int

TOKENIZER_FILE = "tokenizer.json"
LENGTH = 64
PADS = (PAD, "<pad>")  # tried for a foreign file that does not name its padding
MIN_FREQUENCY = 2  # a pair that occurs once is no pattern
MAYBE_LONG = re.compile(rf"\S{{{LONGEST // 4}}}|\s{{{LONGEST // 4}}}")
PROBE = "A photo of a house, 2 dogs."


class Encoding(NamedTuple):
    """Encoded captions.

    Attributes:
        ids: int32 [B, length], filled up with the pad id.
        truncated: bool [B], whether a caption had more tokens than fit.
    """

    ids: np.ndarray
    truncated: np.ndarray


class BPE:
    """A tokenizer that gives each caption `length` ids in 0..vocab_size-1.

    It can be shared between threads, and pickled.

    Args:
        tokenizer: the library's tokenizer; it becomes this object's own.
        pad: the pad token.
        length: ids per caption.
        name: name of the tokenizer in messages.

    Attributes:
        length: ids per caption.
        vocab_size: number of ids.
        pad_id: the id that fills up short captions.
        unknown_id: in some foreign tokenizers, the id that stands for text without an entry, else
            None. A warning tells the first text in which it occurs.

    Raises:
        ValueError: if `length` is unfit, or if the tokenizer lacks the pad token.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        pad: str = PAD,
        length: int = LENGTH,
        name: str = "tokenizer",
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
        self._tokenizer, self._name = tokenizer, name
        self._merges: Merges | None = None
        self.unknown_id, self._warned = self._unknown(), False

    def __reduce__(self) -> tuple[Callable[..., BPE], tuple[str, str, int, str]]:
        return _unpickle, (self._tokenizer.to_str(), self._pad, self.length, self._name)

    def _unknown(self) -> int | None:
        """Return the unknown id, None if every text has it: it may be padding and end as well."""
        number = unknown_id(self._tokenizer)
        with self._library():
            usual = self._tokenizer.encode("").ids
        return None if number in usual else number

    @contextmanager
    def _library(self) -> Iterator[None]:
        """Turn every error of the library into a ValueError."""
        try:
            with no_panics():
                yield
        except (MemoryError, KeyboardInterrupt):
            raise
        except Exception as error:  # it raises nothing narrower
            raise ValueError(f"{self._name}: {error!s:.500}") from error

    @classmethod
    def train(
        cls,
        files: Iterable[str | os.PathLike],
        *,
        vocab_size: int = 16384,
        length: int = LENGTH,
        progress: bool = True,
    ) -> BPE:
        """Learn a vocabulary from captions: [PAD] is 0, the bytes are 1..256, merges follow.

        Rows without a caption are left out, and words of more than LONGEST bytes are learned from
        in parts. A warning tells how many.

        Args:
            files: caption files (see `captions`).
            vocab_size: number of entries.
            length: ids per caption.
            progress: whether to show a progress bar.

        Returns:
            The tokenizer.

        Raises:
            ValueError: if a file cannot be read, if there are no captions, or if they have too few
                pairs that occur twice: a smaller vocabulary would not fit the GPT's config.
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
        size, count, long_words = sum(path.stat().st_size for path in paths), 0, 0
        rejects = Rejects()
        with progress_bar(total=size, unit="B", unit_scale=True, show=progress) as bar:

            def stream() -> Iterator[str]:
                nonlocal count, long_words
                bar.set_description("reading captions")
                for caption in captions(paths, bar.update, rejects):
                    count += 1
                    if MAYBE_LONG.search(caption):
                        pieces = words.pre_tokenize_str(normal.normalize_str(caption))
                        long_words += sum(len(piece) > LONGEST for piece, _ in pieces)
                    yield caption
                bar.set_description("learning merges")

            with no_panics():
                tokenizer.train_from_iterator(stream(), trainer)
        tokenizer.pre_tokenizer = words
        source = ", ".join(map(str, paths[:3])) + (", ..." if len(paths) > 3 else "")
        if not count:
            problem = f"found no captions in {len(paths)} files"
            problem += f": {rejects}" if rejects else ""
            raise ValueError(f"{source}: {problem}; expected some")
        if rejects:
            warnings.warn(f"{rejects}; learned from {count} captions", stacklevel=2)
        if long_words:
            summary = f"{long_words} words of more than {LONGEST} bytes"
            message = f"{source}: learned from in parts of that length: {summary}"
            warnings.warn(message, stacklevel=2)
        entries = tokenizer.get_vocab_size()
        if entries < vocab_size:
            raise ValueError(
                f"{source}: found pairs for {entries} entries in {count} captions, expected "
                f"vocab_size={vocab_size}: train on more captions or with vocab_size <= {entries} "
                f"(--vocab-size {entries})"
            )
        return cls(tokenizer, length=length)

    @classmethod
    def load(cls, path: str | os.PathLike, *, length: int | None = None) -> BPE:
        """Read a tokenizer.json: ours, or any with a pad token.

        The pad token is that of the file's padding, else [PAD] or <pad>.

        Args:
            path: the file, or the directory of a bundle.
            length: ids per caption; by default that of the file, or 64 if it has none.

        Returns:
            The tokenizer.

        Raises:
            ValueError: names the file and what is wrong with it.
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
            problem = f"found id {padding['pad_id']} for {pad!r} in its padding"
            raise ValueError(f"{file}: {problem}, expected {tokenizer.token_to_id(pad)}")
        length = length or padding.get("length") or LENGTH
        try:
            bpe = cls(tokenizer, pad=pad, length=length, name=str(file))
            bpe.decode(bpe._encode([PROBE]).ids)  # the library checks a file only when it is used
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
        """Read the tokenizer of minDALL-E.

        It computes the same as the library's CharBPETokenizer(unk_token="[UNK]", lowercase=True).

        Args:
            vocab_json: its bpe-16k-vocab.json.
            merges_txt: its bpe-16k-merges.txt.
            length: ids per caption.

        Returns:
            The tokenizer.

        Raises:
            ValueError: names the file, the line and what is wrong with it.
        """
        tokenizer = read_mindalle(Path(vocab_json), Path(merges_txt))
        return cls(tokenizer, length=length, name=str(vocab_json))

    def save(self, path: str | os.PathLike) -> None:
        """Write tokenizer.json, but not in one step: for a bundle in use, call `bundle.save_bpe`.

        Args:
            path: the file, or a directory.
        """
        _file(path).write_bytes(self._tokenizer.to_str(pretty=True).encode())

    def encode(
        self,
        texts: Iterable[str],
        *,
        dropout: float = 0.0,
        generator: np.random.Generator | None = None,
    ) -> Encoding:
        """Encode texts, cut to `length` and filled up with `pad_id`.

        Args:
            texts: B texts.
            dropout: for training, the chance that a merge is left out each time that it is possible
                (BPE-dropout, https://arxiv.org/abs/1910.13267).
            generator: draws the dropout; needed if `dropout` is not 0.

        Returns:
            The ids, and whether each text was cut.

        Raises:
            TypeError: if a text is no str, or if `dropout` or `generator` has another type.
            ValueError: names the text that cannot be encoded, or an unfit dropout.
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
                kind = type(generator).__name__
                raise TypeError(f"generator: found {kind}, expected a numpy.random.Generator")
            if self._merges is None:
                self._merges = Merges(self._tokenizer)
            with self._library():
                most = self.length + 1  # ids behind these are cut off
                rows = [self._merges.ids(text, dropout, generator, most) for text in texts]
            ids = np.full((len(rows), self.length), self.pad_id, np.int32)
            for target, row in zip(ids, rows, strict=True):
                target[: len(row)] = row[: self.length]
            return Encoding(ids, np.array([len(row) > self.length for row in rows], bool))
        encoding = self._encode(texts)
        if self._warned or self.unknown_id is None:
            return encoding
        unknown = (encoding.ids == self.unknown_id).any(1)
        if unknown.any():
            example = texts[int(np.argmax(unknown))]
            token = self._tokenizer.id_to_token(self.unknown_id)
            warnings.warn(
                f"{self._name}: in {sum(unknown)} of {len(texts)} texts something has no entry and "
                f"is read as {token!r}, as in {example[:80]!r}; not told again",
                stacklevel=2,
            )
            self._warned = True
        return encoding

    def _encode(self, texts: list[str]) -> Encoding:
        with self._library():
            rows = self._tokenizer.encode_batch_fast(texts)
            ids = np.array([row.ids for row in rows], np.int64).reshape(-1, self.length)
            truncated = np.array([bool(row.overflowing) for row in rows], bool)
        if ids.size and ids.max() >= self.vocab_size:
            problem = f"found the id {ids.max()} in an encoded text"
            raise ValueError(f"{self._name}: {problem}, expected 0 to {self.vocab_size - 1}")
        return Encoding(ids.astype(np.int32), truncated)

    def decode(self, ids: Iterable) -> list[str]:
        """Decode ids. Padding and special tokens are left out.

        Args:
            ids: integers [B, n], a tensor, an array or a list of lists.

        Returns:
            The texts. Bytes that are not UTF-8, such as half of a character, become U+FFFD.

        Raises:
            ValueError: for ids out of range.
        """
        rows = []
        for b, values in enumerate(ids.cpu() if hasattr(ids, "cpu") else ids):
            row = np.asarray(values)
            if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
                problem = f"found shape {list(row.shape)} and dtype {row.dtype}"
                raise ValueError(f"ids[{b}]: {problem}, expected a row of integers")
            bad = row[(row < 0) | (row >= self.vocab_size)]
            if bad.size:
                allowed = f"0 to {self.vocab_size - 1}"
                raise ValueError(f"ids[{b}]: found id {bad[0]}, expected {allowed}")
            rows.append(row[row != self.pad_id].tolist())
        with self._library():
            return self._tokenizer.decode_batch(rows, skip_special_tokens=True)


def _unpickle(text: str, pad: str, length: int, name: str) -> BPE:
    return BPE(Tokenizer.from_str(text), pad=pad, length=length, name=name)


def _file(path: str | os.PathLike) -> Path:
    path = Path(path)
    return path / TOKENIZER_FILE if path.is_dir() else path
