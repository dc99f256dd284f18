"""Captions to pictures, whatever computes them: what all runtimes of a bundle share. No torch."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

import numpy as np
from PIL import Image

from mas_fast.bundle import (
    SAMPLING_FILE,
    Bundle,
    load_bpe,
    read_config,
    read_sampling,
    read_words,
)
from mas_fast.generation.engine import Engine, as_array
from mas_fast.generation.request import Guidance, request
from mas_fast.generation.scoring import score_tokens
from mas_fast.models.codec import Codec
from mas_fast.pipelines.given import scene_codes
from mas_fast.pipelines.options import Options, SceneLike, check_names, negatives_of, sampling_of
from mas_fast.pipelines.output import Generation
from mas_fast.scene import Scene
from mas_fast.text.captions import check_captions, words
from mas_fast.utils.progress import progress_bar
from mas_fast.utils.validate import check_int

if TYPE_CHECKING:
    from typing_extensions import Unpack

SAMPLING = {"guidance": 3.0, "temperature": 1.0, "top_k": 256, "top_p": None}
C = TypeVar("C", bound=Codec)
KINDS = (("text", "seg", "img"), ("text", "img"))
# Pictures that are drawn at once: with guidance, the 32 rows of one pass over the weights.
ROWS = 16


class Painter(ABC, Generic[C]):
    """A bundle made ready.

    A runtime says what draws tokens (`engine`) and which tokenizers it has (`_codec`). The parts
    may be used alone.

    Attributes:
        engine: draws tokens.
        bundle: the bundle, and `path` its folder.
        streams: of the GPT.
        bpe: the tokenizer of captions.
        seg: the Codec of scenes; None where the GPT has no scenes.
        img: the Codec of pictures.
        words: those of the captions that the GPT learned from; None where the bundle has no list.
        sampling: what `generate` takes where it is not told otherwise.
    """

    engine: Engine

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.path = bundle, bundle.path
        self.streams = read_config(bundle).streams
        if self.streams.names not in KINDS:
            problem = f"found a GPT of the streams {list(self.streams.names)}"
            expected = " or ".join(str(list(names)) for names in KINDS)
            raise ValueError(f"{bundle}: {problem}, expected {expected}")
        self.bpe = load_bpe(bundle)
        text = self.streams["text"]
        shape = (self.bpe.length, self.bpe.vocab_size, self.bpe.pad_id)
        if shape != (text.length, text.vocab, text.pad):
            raise ValueError(
                f"{bundle}: found captions of (length, vocabulary, pad id) {shape}, "
                f"expected {(text.length, text.vocab, text.pad)}, as the GPT has"
            )
        self.seg = self._fitting("seg") if "seg" in self.streams.names else None
        self.img = self._fitting("img")
        self.words = read_words(bundle)
        given, drawn = read_sampling(bundle), self.streams.names[1:]
        self.sampling: dict[str, Any] = {
            name: dict.fromkeys(drawn, value) for name, value in SAMPLING.items()
        }
        try:
            self.sampling = sampling_of(self.sampling, given)
            request(self.streams, [0], **self.sampling)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.path / SAMPLING_FILE}: {error}") from error

    @abstractmethod
    def _codec(self, name: str) -> C:
        """The tokenizer `name`, vq_seg or vq_img, of the bundle. ValueError where it is unfit."""

    @property
    def size(self) -> int:
        """Pixels of a side of a scene; of a picture where the model has no scenes."""
        return (self.seg or self.img).config.resolution

    def generate(
        self,
        captions: str | Sequence[str],
        *,
        num_images: int = 1,
        negative: str | Sequence[str] | None = None,
        scene: SceneLike | Sequence[SceneLike] | None = None,
        scene_labels: str | os.PathLike | None = None,
        seed: int = 0,
        guidance: Guidance | Mapping[str, Guidance] | None = None,
        temperature: float | Mapping[str, float] | None = None,
        top_k: int | Mapping[str, int | None] | None = None,
        top_p: float | Mapping[str, float | None] | None = None,
        speculate: int | Literal["auto"] = "auto",
        progress: bool = False,
    ) -> Generation:
        """Draw `num_images` pictures, each with its scene, for each caption.

        Each of guidance, temperature, top_k and top_p is one value for all streams, or a mapping
        such as {"seg": ..., "img": ...}, in which a stream that is missing keeps the model's own
        and None turns top_k or top_p off. None is the model's own `sampling`, which the bundle may
        set.

        Args:
            captions: one, or a list of them.
            num_images: pictures of each caption.
            negative: what to stay away from: a caption for all captions, or a list of one for each.
                Guidance leads away from it to the caption, where it otherwise leads away from no
                caption at all.
            scene: a Scene, or a file that open_scene reads, for all captions, or a list of one for
                each. Its middle square is brought to the model's size, VQ-SEG's codes of it become
                the seg tokens, and image tokens alone are drawn.
            scene_labels: the label space of files that do not say theirs, as open_scene's labels.
            seed: 0 .. 2^64 - 1.
            guidance: how closely the caption is followed; 3.0 where the bundle says nothing. A
                list of numbers is a schedule, from a stream's first token to its last, as Sampling
                says: {"img": [5.0, 2.0]}.
            temperature: 1.0 where the bundle says nothing.
            top_k: draw from so many of the likeliest tokens; 256 where the bundle says nothing.
            top_p: draw from the likeliest tokens that sum to it; none where the bundle says
                nothing.
            speculate: positions that a pass over the weights draws, as in request.request: 1 to 32,
                or "auto", as many as are fastest (in the eager engine 1). The tokens are the same.
            progress: show a bar on stderr.

        Returns:
            The pictures, and the scenes as VQ-SEG decodes them, also those that were given.

        Raises:
            ValueError: names what was found and what is allowed.
        """
        *_, out = self.paint(
            captions,
            num_images=num_images,
            negative=negative,
            scene=scene,
            scene_labels=scene_labels,
            seed=seed,
            guidance=guidance,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            speculate=speculate,
            progress=progress,
        )
        return out

    def paint(
        self, captions: str | Sequence[str], **options: Unpack[Options]
    ) -> Iterator[Generation]:
        """Draw pictures as `generate` does, one after the other.

        So those that are finished can be kept where the others come to nothing.

        Args:
            captions: as in `generate`.
            options: those of `generate`.

        Yields:
            The Generation after each picture, with those that are finished.

        Raises:
            ValueError: names what was found and what is allowed.
            TypeError: an option is unknown.
        """
        check_names(options)
        captions = [captions] if isinstance(captions, str) else list(captions)
        check_captions(captions)
        num_images, seed = options.get("num_images", 1), options.get("seed", 0)
        check_int("num_images", num_images, 1)
        negatives = negatives_of(options.get("negative"), len(captions))
        ids, cut = self.bpe.encode(captions + negatives)
        text, null = ids[: len(captions)], ids[len(captions) :]
        asked = dict.fromkeys(word for caption in captions + negatives for word in words(caption))
        out = Generation(
            images=[],
            scenes=[],
            captions=[caption for caption in captions for _ in range(num_images)],
            tokens=np.empty((0, self.streams.length), np.int64),
            seed=seed,
            num_images=num_images,
            unknown_words=[] if self.words is None else [w for w in asked if w not in self.words],
            truncated=self.bpe.decode(ids[cut]),
        )
        forced = self._forced(len(captions), options)
        drawing = sampling_of(self.sampling, options) | {
            "seed": seed,
            "speculate": options.get("speculate", "auto"),
        }
        if negatives and request(self.streams, text[:1], **drawing).null is None:
            raise ValueError(
                "negative: found one with guidance 1, by which no second caption is read, expected "
                "another guidance, such as 3"
            )
        nulls = null.repeat(len(text) // len(null), 0) if negatives else None
        show = options.get("progress", False)
        for tokens in self._draw(text, forced, nulls, num_images, show, **drawing):
            out.tokens = np.concatenate([out.tokens, tokens])
            for row in tokens:
                if self.seg:
                    out.scenes += cast(list[Scene], self.seg.decode(self._grid(row, "seg")))
                pictures = cast(list[np.ndarray], self.img.decode(self._grid(row, "img")))
                out.images += map(Image.fromarray, pictures)
                yield out

    def score(self, captions: str | Sequence[str], tokens: np.ndarray) -> dict[str, np.ndarray]:
        """Measure how well pictures show captions, by the model itself, to rank them.

        Args:
            captions: one for all pictures, or a list of one for each.
            tokens: integers [N, S] of all streams, as `Generation.tokens`; those of the captions
                that they were drawn for are not looked at.

        Returns:
            For each stream that is drawn, float64 [N], in nats: the log-likelihood of its tokens
            with the caption, minus that without. See `generation.scoring`.

        Raises:
            ValueError: names what was found and what is allowed.
        """
        captions = [captions] if isinstance(captions, str) else list(captions)
        check_captions(captions)
        return score_tokens(self.engine, self.bpe.encode(captions).ids, tokens)

    def _fitting(self, name: str) -> C:
        """The tokenizer of a stream."""
        codec = self._codec(f"vq_{name}")
        codec.fit(self.streams[name])
        return codec

    def _forced(self, count: int, options: Options) -> np.ndarray:
        """int64 [count, S]: the tokens that are given with the captions; -1 elsewhere."""
        forced = np.full((count, self.streams.length), -1, np.int64)
        scene, labels = options.get("scene"), options.get("scene_labels")
        if scene is None:
            if labels is not None:
                raise ValueError(f"scene_labels: found {labels}, expected a scene with it")
            return forced
        if self.seg is None:
            raise ValueError(
                f"scene: found one, expected None: {self.path} has no scenes, it draws pictures "
                "from captions alone"
            )
        forced[:, self.streams.slice("seg")] = scene_codes(self.seg, scene, labels, count)
        return forced

    def _draw(
        self,
        text: np.ndarray,
        forced: np.ndarray,
        nulls: np.ndarray | None,
        count: int,
        progress: bool,
        **options: Any,
    ) -> Iterator[np.ndarray]:
        """int64 [N, S], N <= ROWS: the rows of one block after the other, in order."""
        batch = max(1, ROWS // count)
        blocks = [(b, n) for b in range(0, len(text), batch) for n in range(0, count, ROWS)]
        length = self.streams.length
        first = int((forced[0, self.streams[0].length :] < 0).argmax()) + self.streams[0].length
        steps = length - first
        with progress_bar(total=len(blocks) * steps, unit="token", show=progress) as bar:
            for done, (b, n) in enumerate(blocks):

                def report(position: int, _: int, before: int = done * steps) -> None:
                    bar.update(before + max(position - first, 0) - bar.n)  # not for the caption

                asked = request(
                    self.streams,
                    text[b : b + batch],
                    forced=forced[b : b + batch],
                    null=None if nulls is None else nulls[b : b + batch],
                    num_samples=min(ROWS, count - n),
                    first_sample=n,
                    **options,
                )
                run = self.engine.start(asked)
                run.advance(progress=report)
                yield as_array(run.tokens)

    def _grid(self, row: np.ndarray, name: str) -> np.ndarray:
        """int64 [1, h, w]: a stream's part of the row."""
        grid = self.streams[name].grid
        assert grid is not None  # seg and img have one: Codec.fit compared it
        return row[self.streams.slice(name)].reshape(1, *grid)
