"""Captions to pictures, whatever computes them: what all runtimes of a bundle share. No torch."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np

from mas_fast.bundle import (
    SAMPLING_FILE,
    Bundle,
    load_bpe,
    read_config,
    read_sampling,
    read_words,
)
from mas_fast.bundle.hub import title
from mas_fast.generation.engine import Engine
from mas_fast.generation.request import Guidance, request
from mas_fast.generation.scoring import score_tokens
from mas_fast.models.codec import Codec
from mas_fast.pipelines.drawing import draw
from mas_fast.pipelines.edit import Region, erase
from mas_fast.pipelines.given import forced_tokens, tell_given
from mas_fast.pipelines.options import (
    ImageLike,
    Options,
    SceneLike,
    check_names,
    negatives_of,
    sampling_of,
)
from mas_fast.pipelines.output import Generation
from mas_fast.pipelines.preview import Previews
from mas_fast.pipelines.source import read_source
from mas_fast.pipelines.stream import Event, watch
from mas_fast.text.captions import listed, words
from mas_fast.text.hints import knows_hints
from mas_fast.utils.validate import check_int

if TYPE_CHECKING:
    from typing_extensions import Unpack

SAMPLING = {"guidance": 3.0, "temperature": 1.0, "top_k": 256, "top_p": None}
C = TypeVar("C", bound=Codec)
KINDS = (("text", "seg", "img"), ("text", "img"))
# Rows of tokens between two events: looking at them adds a third to the time of the model that
# ships, whose pictures are drawn in 0.15 s; with 4 it would be doubled.
EVERY = 8


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
    def name(self) -> str:
        """What the bundle is called: its folder, or owner/name of the hub."""
        return title(self.path)

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
        image: ImageLike | Sequence[ImageLike] | None = None,
        image_rows: int | None = None,
        seed: int = 0,
        guidance: Guidance | Mapping[str, Guidance] | None = None,
        temperature: float | Mapping[str, float] | None = None,
        top_k: int | Mapping[str, int | None] | None = None,
        top_p: float | Mapping[str, float | None] | None = None,
        speculate: int | Literal["auto"] = "auto",
        candidates: int = 1,
        best_of: int = 1,
        every: int = EVERY,
        callback: Callable[[Event], object] | None = None,
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
            scene: a Scene, a file that open_scene reads, or words and boxes in pixels of the
                picture, "lake: 0,60,128,128; elephant: 30,40,70,100" (a str with a colon that does
                not end in .png); for all captions, or a list of one for each. Its middle square is
                brought to the model's size, and VQ-SEG's codes of it become the seg tokens. Only
                cells of nothing but void (255) are drawn.
            scene_labels: the label space of files that do not say theirs, as open_scene's labels.
            image: a picture that is given in part: a file, or Pillow's, for all captions, or a list
                of one for each. Its middle square is brought to the model's size, and VQ-IMG's
                codes of it become the img tokens, but for cells that are transparent anywhere. A
                model with scenes draws the scene without seeing it, so give the scene too.
            image_rows: how many of the picture's upper rows are given, in pixels at the model's
                size; None: all.
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
            candidates: where tokens are given after others that are drawn, as in a part of a scene:
                what is drawn first knows nothing of them. So many rows, 1 to 16, are drawn of each
                picture, and the one goes on whose given tokens are likeliest.
            best_of: pictures that are drawn for each one, of which the one with the highest `score`
                is kept. That is a GPT's own opinion; of a model without scenes, such as minDALL-E,
                CLIP is a better judge.
            every: rows of a grid of tokens between two events.
            callback: is called with the events of `stream`; an exception ends the generation.
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
            image=image,
            image_rows=image_rows,
            seed=seed,
            guidance=guidance,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            speculate=speculate,
            candidates=candidates,
            best_of=best_of,
            every=every,
            callback=callback,
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
            ValueError: at the call, names what was found and what is allowed.
            TypeError: the same, for an unknown option.
        """
        out, events = self._start(*self._given(captions, options), options)
        return self._finished(out, events)

    def stream(self, captions: str | Sequence[str], **options: Unpack[Options]) -> Iterator[Event]:
        """Draw pictures as `generate` does, and watch them appear.

        for event in model.stream("a red house"):
            if event.image:
                event.image.save("house.png")

        There is an event of each picture after each `every` rows of the scene's and the picture's
        tokens, when the scene is whole, and when the picture is; with `best_of` only the last. At
        most `engine.rows` are drawn at once, so of many pictures those come first. Until one of
        several candidates is chosen, an event shows the one that leads.

        Closing the iterator, or dropping it, ends the drawing: nothing is left of it.

        Args:
            captions: as in `generate`.
            options: those of `generate`.

        Returns:
            An iterator over the events, which draws while it is asked for the next.

        Raises:
            ValueError: at the call, names what was found and what is allowed.
            TypeError: the same, for an unknown option.
        """
        return self._start(*self._given(captions, options), options, watched=True)[1]

    def edit(
        self,
        source: Generation | str | os.PathLike | bytes,
        *,
        region: Region,
        caption: str | None = None,
        what: Literal["both", "scene", "picture"] = "both",
        index: int = 0,
        **options: Unpack[Options],
    ) -> Generation:
        """Draw a region of a picture anew, and keep all tokens outside of it.

        Args:
            source: a Generation; a PNG that it saved, which has its tokens in it; or any other
                picture, which is encoded, and so is its scene: `scene`, or FILE.scene.png beside
                it. A file may also be given by its content.
            region: what is drawn anew, up to the cells that it touches: a box (left, top, right,
                bottom) in pixels of the picture; or a mask that is not 0 there, of the size of the
                picture or of the scene: bool or uint8 [H, W], Pillow's, or a file.
            caption: of the new picture; None: that of the source.
            what: draw this in the region: the "scene", the "picture", or "both". With "scene" the
                picture is kept, so edit it next.
            index: which picture of a Generation.
            options: those of `generate`; `scene` and `scene_labels` only where the source has no
                tokens. The seed is 1 where it is left out: with its own, and its own caption, a
                picture becomes what it was.

        Returns:
            The new pictures and scenes. Outside of the region their tokens are the source's.

        Raises:
            ValueError: names what was found and what is allowed.
            TypeError: an option is unknown.
        """
        captions, forced = self._erased(source, region, caption, what, index, options)
        *_, out = self._finished(*self._start(captions, forced, options))
        return out

    def stream_edit(
        self,
        source: Generation | str | os.PathLike | bytes,
        *,
        region: Region,
        caption: str | None = None,
        what: Literal["both", "scene", "picture"] = "both",
        index: int = 0,
        **options: Unpack[Options],
    ) -> Iterator[Event]:
        """Draw a region anew as `edit` does, and watch it appear as `stream` does.

        Args:
            source: as in `edit`.
            region: as in `edit`.
            caption: as in `edit`.
            what: as in `edit`.
            index: as in `edit`.
            options: as in `edit`.

        Returns:
            An iterator over the events, as `stream`'s.

        Raises:
            ValueError: at the call, names what was found and what is allowed.
            TypeError: the same, for an unknown option.
        """
        captions, forced = self._erased(source, region, caption, what, index, options)
        return self._start(captions, forced, options, watched=True)[1]

    def _erased(
        self,
        source: Generation | str | os.PathLike | bytes,
        region: Region,
        caption: str | None,
        what: Literal["both", "scene", "picture"],
        index: int,
        options: Options,
    ) -> tuple[list[str], np.ndarray]:
        """The caption of an edit, and the tokens that it keeps: int64 [1, S], -1 elsewhere."""
        check_names(options)
        options.setdefault("seed", 1)
        known = read_source(source, index, options, self.streams, self.seg, self.img, self._encoder)
        captions = listed([known.caption if caption is None else caption])
        codecs = {"seg": self.seg, "img": self.img}
        sides = {name: codec.config.resolution for name, codec in codecs.items() if codec}
        forced = erase(known.tokens, self.streams, region, what, sides)
        forced[self.streams.slice("text")] = -1
        return captions, forced[None]

    def _given(
        self, captions: str | Sequence[str], options: Options
    ) -> tuple[list[str], np.ndarray]:
        """The captions, and the tokens that are given with them: int64 [B, S], -1 elsewhere."""
        check_names(options)
        captions = listed(captions)
        return captions, forced_tokens(
            options, len(captions), self.streams, self.seg, self.img, self._encoder
        )

    def _start(
        self, captions: list[str], given: np.ndarray, options: Options, watched: bool = False
    ) -> tuple[Generation, Iterator[Event]]:
        """A generation without pictures, and the events that bring them, whose last ones are all
        that there are of a picture that nobody watches."""
        num_images, seed = options.get("num_images", 1), options.get("seed", 0)
        every, callback = options.get("every", EVERY), options.get("callback")
        check_int("num_images", num_images, 1)
        check_int("every", every, 1)
        negatives = negatives_of(options.get("negative"), len(captions))
        told = captions
        if self.seg is not None and knows_hints(self.words):
            told = tell_given(captions, given[:, self.streams.slice("seg")], self.seg, self.bpe)
        ids, cut = self.bpe.encode(told + negatives)
        text, null = ids[: len(captions)], ids[len(captions) :]
        given[:, self.streams.slice("text")] = text
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
        drawing = sampling_of(self.sampling, options) | {
            "seed": seed,
            "speculate": options.get("speculate", "auto"),
        }
        if negatives and request(self.streams, text[:1], **drawing).null is None:
            raise ValueError(
                "negative: found one with guidance 1, by which no second caption is read, expected "
                "another guidance, such as 3"
            )

        def score(index: int, tokens: np.ndarray) -> np.ndarray:
            return sum(self.score(out.captions[index], tokens).values(), np.zeros(len(tokens)))

        steps = draw(
            self.engine,
            given,
            null.repeat(len(text) // len(null), 0) if negatives else None,
            num_images=num_images,
            candidates=options.get("candidates", 1),
            best_of=options.get("best_of", 1),
            score=score,
            every=every if watched or callback is not None else None,
            progress=options.get("progress", False),
            **drawing,
        )
        return out, watch(steps, Previews(self.streams, self.seg, self.img), callback)

    def _finished(self, out: Generation, events: Iterator[Event]) -> Iterator[Generation]:
        """The generation, after each picture that is whole."""
        for event in events:
            if event.final:
                assert event.image is not None  # nothing of it is unknown
                out.tokens = np.concatenate([out.tokens, event.tokens[None]])
                out.scenes += [event.scene] if event.scene else []
                out.images.append(event.image)
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
        captions = listed(captions)
        return score_tokens(self.engine, self.bpe.encode(captions).ids, tokens)

    def _encoder(self) -> Codec:
        """The tokenizer of pictures, with its encoder."""
        return self.img

    def _fitting(self, name: str) -> C:
        """The tokenizer of a stream."""
        codec = self._codec(f"vq_{name}")
        codec.fit(self.streams[name])
        return codec
