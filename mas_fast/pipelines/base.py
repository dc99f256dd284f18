"""Captions to pictures, whatever computes them: what all runtimes of a bundle share. No torch."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar, cast

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
from mas_fast.generation.engine import Progress
from mas_fast.generation.request import request
from mas_fast.models.codec import Codec
from mas_fast.pipelines.output import Generation
from mas_fast.scene import Scene, open_scene, square
from mas_fast.text.captions import check_captions, words
from mas_fast.utils.progress import progress_bar
from mas_fast.utils.validate import check_int

SAMPLING = {"guidance": 3.0, "temperature": 1.0, "top_k": 256, "top_p": None}
C = TypeVar("C", bound=Codec)
KINDS = (("text", "seg", "img"), ("text", "img"))
# Pictures that are drawn at once: with guidance, the 32 rows of one pass over the weights.
ROWS = 16


class Painter(ABC, Generic[C]):
    """A bundle made ready.

    A runtime says how tokens are drawn (`_tokens`) and which tokenizers it has (`_codec`). The
    parts may be used alone.

    Attributes:
        bundle: the bundle, and `path` its folder.
        streams: of the GPT.
        bpe: the tokenizer of captions.
        seg: the Codec of scenes; None where the GPT has no scenes.
        img: the Codec of pictures.
        words: those of the captions that the GPT learned from; None where the bundle has no list.
        sampling: what `generate` takes where it is not told otherwise.
    """

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
            self.sampling = self._options(given)
            request(self.streams, [0], **self.sampling)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.path / SAMPLING_FILE}: {error}") from error

    @abstractmethod
    def _codec(self, name: str) -> C:
        """The tokenizer `name`, vq_seg or vq_img, of the bundle. ValueError where it is unfit."""

    @abstractmethod
    def _tokens(self, text: np.ndarray, progress: Progress, **options: Any) -> np.ndarray:
        """Draw what request.request of these options asks for.

        Args:
            text: int64 [B, length of the text].
            progress: is called with (position, stop) after each pass.
            options: those of request.request.

        Returns:
            int64 [B * num_samples, S].
        """

    @property
    def size(self) -> int:
        """Pixels of a side of a scene; of a picture where the model has no scenes."""
        return (self.seg or self.img).config.resolution

    def generate(
        self,
        captions: str | Sequence[str],
        *,
        num_images: int = 1,
        scene: Scene | str | os.PathLike | Sequence[Scene | str | os.PathLike] | None = None,
        scene_labels: str | os.PathLike | None = None,
        seed: int = 0,
        guidance: float | Mapping[str, float] | None = None,
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
            scene: a Scene, or a file that open_scene reads, for all captions, or a list of one for
                each. Its middle square is brought to the model's size, VQ-SEG's codes of it become
                the seg tokens, and image tokens alone are drawn.
            scene_labels: the label space of files that do not say theirs, as open_scene's labels.
            seed: 0 .. 2^64 - 1.
            guidance: how closely the caption is followed; 3.0 where the bundle says nothing.
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
        self,
        captions: str | Sequence[str],
        *,
        num_images: int = 1,
        scene: Scene | str | os.PathLike | Sequence[Scene | str | os.PathLike] | None = None,
        scene_labels: str | os.PathLike | None = None,
        seed: int = 0,
        guidance: float | Mapping[str, float] | None = None,
        temperature: float | Mapping[str, float] | None = None,
        top_k: int | Mapping[str, int | None] | None = None,
        top_p: float | Mapping[str, float | None] | None = None,
        speculate: int | Literal["auto"] = "auto",
        progress: bool = False,
    ) -> Iterator[Generation]:
        """Draw pictures as `generate` does, one after the other.

        So those that are finished can be kept where the others come to nothing.

        Args:
            captions: as in `generate`, like all that follow.
            num_images: pictures of each caption.
            scene: of all captions, or one for each.
            scene_labels: the label space of files.
            seed: 0 .. 2^64 - 1.
            guidance: how closely the caption is followed.
            temperature: of the sampling.
            top_k: draw from so many of the likeliest tokens.
            top_p: draw from the likeliest tokens that sum to it.
            speculate: positions that a pass draws.
            progress: show a bar on stderr.

        Yields:
            The Generation after each picture, with those that are finished.

        Raises:
            ValueError: names what was found and what is allowed.
        """
        captions = [captions] if isinstance(captions, str) else list(captions)
        check_captions(captions)
        check_int("num_images", num_images, 1)
        text, cut = self.bpe.encode(captions)
        given = dict(guidance=guidance, temperature=temperature, top_k=top_k, top_p=top_p)
        options = self._options(given)
        forced = np.full((len(captions), self.streams.length), -1, np.int64)
        if scene is None and scene_labels is not None:
            raise ValueError(f"scene_labels: found {scene_labels}, expected a scene with it")
        if scene is not None:
            codes = self._codes(scene, scene_labels, len(captions))
            forced[:, self.streams.slice("seg")] = codes
        asked = dict.fromkeys(word for caption in captions for word in words(caption))
        out = Generation(
            images=[],
            scenes=[],
            captions=[caption for caption in captions for _ in range(num_images)],
            tokens=np.empty((0, self.streams.length), np.int64),
            seed=seed,
            num_images=num_images,
            unknown_words=[] if self.words is None else [w for w in asked if w not in self.words],
            truncated=self.bpe.decode(text[cut]),
        )
        options |= {"seed": seed, "speculate": speculate}
        for tokens in self._draw(text, forced, num_images, progress, **options):
            out.tokens = np.concatenate([out.tokens, tokens])
            for row in tokens:
                if self.seg:
                    out.scenes += cast(list[Scene], self.seg.decode(self._grid(row, "seg")))
                pictures = cast(list[np.ndarray], self.img.decode(self._grid(row, "img")))
                out.images += map(Image.fromarray, pictures)
                yield out

    def _fitting(self, name: str) -> C:
        """The tokenizer of a stream."""
        codec = self._codec(f"vq_{name}")
        codec.fit(self.streams[name])
        return codec

    def _options(self, given: Mapping[str, object]) -> dict[str, Any]:
        """`sampling`, for each stream that is drawn, with what is given for all or some of them."""
        options = {}
        for name, defaults in self.sampling.items():
            value = given.get(name)
            if isinstance(value, Mapping):
                options[name] = defaults | dict(value)
            else:
                options[name] = defaults if value is None else dict.fromkeys(defaults, value)
        return options

    def _codes(self, scene: Any, labels: str | os.PathLike | None, count: int) -> np.ndarray:
        """int64 [1 or count, length of seg]: the seg tokens of one scene or of one a caption."""
        if self.seg is None:
            raise ValueError(
                f"scene: found one, expected None: {self.path} has no scenes, it draws pictures "
                "from captions alone"
            )
        several = isinstance(scene, list | tuple)
        scenes = list(scene) if several else [scene]
        if several and len(scenes) != count:
            raise ValueError(f"scene: found {len(scenes)}, expected one, or {count} as captions")
        for n, item in enumerate(scenes):
            if isinstance(item, Scene):
                scenes[n] = square(item, self.size)
            elif isinstance(item, str | os.PathLike):
                scenes[n] = open_scene(item, labels=labels, size=self.size)
            else:
                name = type(item).__name__
                raise ValueError(f"scene: found {name}, expected a Scene or the path of one")
        return self.seg.encode(scenes).reshape(len(scenes), -1)

    def _draw(
        self, text: np.ndarray, forced: np.ndarray, count: int, progress: bool, **options: Any
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

                yield self._tokens(
                    text[b : b + batch],
                    report,
                    forced=forced[b : b + batch],
                    num_samples=min(ROWS, count - n),
                    first_sample=n,
                    **options,
                )

    def _grid(self, row: np.ndarray, name: str) -> np.ndarray:
        """int64 [1, h, w]: a stream's part of the row."""
        grid = self.streams[name].grid
        assert grid is not None  # seg and img have one: Codec.fit compared it
        return row[self.streams.slice(name)].reshape(1, *grid)
