"""Captions in, pictures and scenes out.

    out = generate("an elephant walks in the park", seed=7)         # the model that comes with us
    out.images[0].save("elephant.png")
    model = load("my-bundle", device="cuda", dtype="bf16")
    out = model.generate(["a red house", "a lake at dusk"], num_images=4, guidance=4.0)
    out = model.generate("the same, at night", scene=out.scenes[0])  # only the picture is drawn

A picture is a function of (bundle, caption, seed, its number among those of its caption), of the
scene where one is given, and of the arithmetic: neither of the other captions nor of num_images.
With the eager engine that holds up to near ties of the last bit.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from mas_fast import native
from mas_fast.bundle import (
    SAMPLING_FILE,
    load_bpe,
    load_gpt,
    load_vq,
    read_config,
    read_sampling,
    read_words,
    shipped,
)
from mas_fast.captions import check_captions, words
from mas_fast.codes import decode_pictures, decode_scenes, encode_scenes
from mas_fast.devices import find_device
from mas_fast.generated import Generation
from mas_fast.generation import CppEngine, EagerEngine, Engine, generate_tokens
from mas_fast.request import request
from mas_fast.scene import Scene, open_scene, square
from mas_fast.streams import check_int

SAMPLING = {"guidance": 3.0, "temperature": 1.0, "top_k": 256, "top_p": None}
KINDS = (("text", "seg", "img"), ("text", "img"))
DTYPES = {"float32": "fp32", "bfloat16": "bf16"}
ROWS = 16  # pictures drawn at once: with guidance, the 32 rows of one pass over the weights


class Model:
    """A bundle made ready; `load` makes it. sampling: what `generate` takes where it is not told
    otherwise. Its parts may be used alone: bpe, engine, seg and img (the tokenizers; seg is None
    where the GPT has no scenes)."""

    def __init__(self, path: str | os.PathLike, engine: Engine, device: torch.device) -> None:
        self.path, self.engine, self.streams = Path(path), engine, engine.streams
        if self.streams.names not in KINDS:
            found = f"found a GPT of the streams {list(self.streams.names)}"
            raise ValueError(f"{path}: {found}, expected {' or '.join(map(str, map(list, KINDS)))}")
        self.bpe = load_bpe(path)
        text = self.streams["text"]
        found = (self.bpe.length, self.bpe.vocab_size, self.bpe.pad_id)
        if found != (text.length, text.vocab, text.pad):
            raise ValueError(
                f"{path}: found captions of (length, vocabulary, pad id) {found}, "
                f"expected {(text.length, text.vocab, text.pad)}, as the GPT has"
            )
        self.seg, self.img = (self._tokenizer(name, device) for name in ("seg", "img"))
        self.img.encoder = None  # nothing here needs it
        self.words = read_words(path)
        given, drawn = read_sampling(path), self.streams.names[1:]
        self.sampling = {name: dict.fromkeys(drawn, value) for name, value in SAMPLING.items()}
        try:
            self.sampling = self._options(given)
            request(self.streams, [0], **self.sampling)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.path / SAMPLING_FILE}: {error}") from error

    @property
    def size(self) -> int:
        """Pixels of a side of a scene; of a picture where the model has no scenes."""
        return (self.seg or self.img).config.resolution

    def generate(
        self,
        captions: str | Sequence[str],
        *,
        num_images: int = 1,
        scene: Scene | str | os.PathLike | list[Scene | str | os.PathLike] | None = None,
        seed: int = 0,
        guidance: float | Mapping[str, float] | None = None,
        temperature: float | Mapping[str, float] | None = None,
        top_k: int | Mapping[str, int | None] | None = None,
        top_p: float | Mapping[str, float | None] | None = None,
        progress: bool = False,
    ) -> Generation:
        """Draw `num_images` pictures, each with its scene, for each caption.

        scene: a Scene, or a file that open_scene reads, for all captions, or a list of one for
        each. Its middle square is brought to the model's size; VQ-SEG's codes of it are the seg
        tokens, and image tokens alone are drawn. The result's scenes are what VQ-SEG makes of them.
        guidance, temperature, top_k, top_p: see request.Sampling. None: the model's own `sampling`,
        which the bundle may set (else 3.0, 1.0, 256, none). {"seg": ..., "img": ...} sets streams
        apart; one that is left out keeps the model's own, and None in it turns top_k or top_p off.
        progress: a bar on stderr.

        ValueError names what was found and what is allowed.
        """
        captions = [captions] if isinstance(captions, str) else list(captions)
        check_captions(captions)
        check_int("num_images", num_images, 1)
        text, cut = self.bpe.encode(captions)
        given = dict(guidance=guidance, temperature=temperature, top_k=top_k, top_p=top_p)
        options = self._options(given)
        forced = np.full((len(captions), self.streams.length), -1, np.int64)
        if scene is not None:
            codes = self._codes(scene, len(captions))
            forced[:, self.streams.slice("seg")] = codes
        tokens = self._draw(text, forced, num_images, progress, seed=seed, **options)
        asked = dict.fromkeys(word for caption in captions for word in words(caption))
        unknown = [] if self.words is None else [w for w in asked if w not in self.words]
        pixels = decode_pictures(self.img, self._grids(tokens, "img"))
        scenes = decode_scenes(self.seg, self._grids(tokens, "seg")) if self.seg else []
        return Generation(
            images=[Image.fromarray(array) for array in pixels],
            scenes=scenes,
            captions=[caption for caption in captions for _ in range(num_images)],
            tokens=tokens.numpy(),
            seed=seed,
            num_images=num_images,
            unknown_words=unknown,
            truncated=self.bpe.decode(text[cut]),
        )

    def _tokenizer(self, name: str, device: torch.device):
        """The tokenizer of a stream, in fp32; None where the GPT has no such stream."""
        if name not in self.streams.names:
            return None
        model = load_vq(self.path, f"vq_{name}", device, torch.float32)
        config, stream = model.config, self.streams[name]
        side = config.resolution // config.f
        if (config.codes, (side, side)) != (stream.vocab, stream.grid):
            found = f"found {config.codes} codes in a grid of {side} x {side}"
            expected = f"expected {stream.vocab} in {stream.grid}, as the GPT has"
            raise ValueError(f"{self.path}: vq_{name}: {found}, {expected}")
        if name == "seg" and config.layout is None:
            found = "found no layout of scenes"
            raise ValueError(f"{self.path}: vq_seg: {found}, expected mini158 or mas159")
        return model

    def _options(self, given: Mapping[str, object]) -> dict[str, dict]:
        """`sampling`, for each stream that is drawn, with what is given for all or some of them."""
        options = {}
        for name, own in self.sampling.items():
            value = given.get(name)
            if isinstance(value, Mapping):
                options[name] = own | dict(value)
            else:
                options[name] = own if value is None else dict.fromkeys(own, value)
        return options

    def _codes(self, scene, count: int) -> np.ndarray:
        """int64 [1 or count, length of seg]: the seg tokens of one scene or of one a caption."""
        if self.seg is None:
            raise ValueError(f"scene: found one, expected None: {self.path} has no scenes")
        several = isinstance(scene, list | tuple)
        scenes = list(scene) if several else [scene]
        if several and len(scenes) != count:
            raise ValueError(f"scene: found {len(scenes)}, expected one, or {count} as captions")
        for n, item in enumerate(scenes):
            if isinstance(item, Scene):
                scenes[n] = square(item, self.size)
            elif isinstance(item, str | os.PathLike):
                scenes[n] = open_scene(item, size=self.size)
            else:
                name = type(item).__name__
                raise ValueError(f"scene: found {name}, expected a Scene or the path of one")
        return encode_scenes(self.seg, scenes).flatten(1).cpu().numpy()

    def _draw(
        self, text: np.ndarray, forced: np.ndarray, count: int, progress: bool, **options
    ) -> Tensor:
        """int64 [B * count, S] on the CPU, from at most ROWS rows at a time."""
        some = max(1, ROWS // count)
        blocks = [(b, n) for b in range(0, len(text), some) for n in range(0, count, ROWS)]
        length = self.streams.length
        tokens = torch.empty(len(text), count, length, dtype=torch.int64)
        first = int((forced[0, self.streams[0].length :] < 0).argmax()) + self.streams[0].length
        steps = length - first
        with tqdm(total=len(blocks) * steps, unit="token", disable=not progress) as bar:
            for done, (b, n) in enumerate(blocks):

                def report(position: int, _: int, before: int = done * steps) -> None:
                    bar.update(before + max(position - first, 0) - bar.n)  # not for the caption

                part = np.s_[b : b + some, n : n + ROWS]
                shape = tokens[part].shape
                found = generate_tokens(
                    self.engine,
                    text[b : b + some],
                    forced=forced[b : b + some],
                    num_samples=shape[1],
                    first_sample=n,
                    progress=report,
                    **options,
                )
                tokens[part] = found.cpu().view(shape)
        return tokens.view(-1, length)

    def _grids(self, tokens: Tensor, name: str) -> Tensor:
        return tokens[:, self.streams.slice(name)].unflatten(1, self.streams[name].grid)


def load(
    path: str | os.PathLike | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    engine: str | None = None,
    threads: int = 0,
) -> Model:
    """The model of the bundle at `path`; None: the one that comes with mas_fast.

    device: None is a GPU where there is one. engine: "cpp" (on a CPU), "eager" (PyTorch); None is
    the former where it can be used. dtype: in which the GPT computes: "fp32", the default, "bf16",
    and with "cpp" also "int8". Tokenizers compute in fp32. threads: of the engine "cpp"; 0: all
    cores. ValueError names what was found and what is allowed; ImportError where "cpp" is not
    built.
    """
    path = shipped() if path is None else Path(path)
    read_config(path)
    place = find_device(device)
    if engine is None:
        cpp = place.type == "cpu" and native.problem("_engine") is None
        engine = "cpp" if cpp else "eager"
    if engine not in ("cpp", "eager"):
        raise ValueError(f"engine: found {engine!r}, expected 'cpp' or 'eager'")
    if engine == "cpp" and place.type != "cpu":
        raise ValueError(f"device: found {str(place)!r}, expected 'cpu' for the engine 'cpp'")
    number = DTYPES.get(dtype, dtype or "fp32")
    allowed = {"cpp": ("fp32", "bf16", "int8"), "eager": ("fp32", "bf16")}[engine]
    if number not in allowed:
        names = f"one of {list(allowed)}"
        raise ValueError(f"dtype: found {dtype!r}, expected {names} for the engine {engine!r}")
    if engine == "cpp":
        check_int("threads", threads, 0)
        cache = "fp32" if number == "fp32" else "bf16"
        ready = CppEngine(path, dtype=number, kv_dtype=cache, threads=threads)
    else:
        kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[number]
        ready = EagerEngine(load_gpt(path, place, kind))
    return Model(path, ready, place)


def generate(
    captions: str | Sequence[str],
    *,
    model: Model | str | os.PathLike | None = None,
    **options,
) -> Generation:
    """Model.generate with its options, by a model, the bundle at a path, or the one that comes with
    mas_fast. The last bundle stays loaded."""
    if not isinstance(model, Model):
        model = _loaded(None if model is None else os.path.abspath(model))
    return model.generate(captions, **options)


_loaded = functools.lru_cache(maxsize=1)(load)
