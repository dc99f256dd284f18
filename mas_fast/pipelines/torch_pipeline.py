"""Captions in, pictures and scenes out.

    out = generate("an elephant walks in the park", seed=7)         # the model that comes with us
    out.images[0].save("elephant.png")
    model = load("my-bundle", device="cuda", dtype="bf16")
    out = model.generate(["a red house", "a lake at dusk"], num_images=4, guidance=4.0)
    out = model.generate("the same, at night", scene=out.scenes[0])  # only the picture is drawn

A picture is a function of (bundle, caption, seed, its number among those of its caption), of the
scene where one is given, and of the arithmetic: neither of the other captions nor of num_images.
With the eager engine that holds up to near ties of the last bit, and so it does for what a GPU
decodes of the tokens, several at once (models/torch_codec.py).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import torch

from mas_fast.bundle import Bundle, find_bundle, load_vq
from mas_fast.generation.engine import Engine
from mas_fast.generation.engines import find_engine, make_engine
from mas_fast.models.torch_codec import TorchCodec
from mas_fast.pipelines.base import Painter
from mas_fast.pipelines.output import Generation
from mas_fast.utils.devices import find_device
from mas_fast.utils.validate import check_int


class Model(Painter[TorchCodec]):
    """A Painter with PyTorch; `load` makes it. Its tokenizers compute in fp32.

    Attributes:
        engine: draws its tokens.
    """

    def __init__(self, bundle: Bundle, engine: Engine, device: torch.device) -> None:
        self.engine, self._device = engine, device
        super().__init__(bundle)
        del self.img.model.encoder  # few need it
        self._whole_img: TorchCodec | None = None

    def _encoder(self) -> TorchCodec:
        if self._whole_img is None:
            self._whole_img = self._codec("vq_img")
        return self._whole_img

    def _codec(self, name: str) -> TorchCodec:
        model = load_vq(self.bundle, name, self._device, torch.float32)
        return TorchCodec(f"{self.path}: {name}", model)


def load(
    path: str | os.PathLike | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    engine: str | None = None,
    threads: int = 0,
) -> Model:
    """Load the model of a bundle.

    Args:
        path: the bundle, or, where there is no such folder, one of the Hugging Face hub, as
            "owner/name" or "owner/name@revision"; None: the one that comes with mas_fast.
        device: where it runs, as "cpu" or "cuda"; None: a GPU where there is one.
        dtype: in which the GPT computes: fp32, the default, bf16, in the engine "cpp" also int8 and
            int4, in "graph" also fp16, int8, fp8 and int4. Tokenizers compute in fp32.
        engine: one of generation.ENGINES: "cpp" (on a CPU), "graph" (on an NVIDIA GPU), "eager"
            (PyTorch). None: the first of them that runs on the device and is built.
        threads: of the engine "cpp"; 0: all cores.

    Returns:
        The model.

    Raises:
        ValueError: names what was found and what is allowed.
        ImportError: where the engine is not built.
    """
    bundle = Bundle(find_bundle(path), "gpt")
    check_int("threads", threads, 0)
    target = find_device(device)
    name = find_engine(target.type) if engine is None else engine
    ready = make_engine(name, bundle, device=target, dtype=dtype or "fp32", threads=threads)
    return Model(bundle, ready, target)


def generate(
    captions: str | Sequence[str],
    *,
    model: Model | str | os.PathLike | None = None,
    **options: Any,
) -> Generation:
    """Call `Model.generate` of a model that is loaded on the way.

    The last bundle stays loaded.

    Args:
        captions: one, or a list of them.
        model: a Model, or a bundle as `load` takes it; None: the one that comes with mas_fast.
        options: those of `Model.generate`.

    Returns:
        The pictures.
    """
    if not isinstance(model, Model):
        name = None if model is None else os.fspath(model)
        model = _loaded(os.path.abspath(name) if name and os.path.lexists(name) else name)
    return model.generate(captions, **options)


_loaded = functools.lru_cache(maxsize=1)(load)
