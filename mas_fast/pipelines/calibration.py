"""What a bundle's own GPT draws, as codes: its decoders in int8 are calibrated with some of it, and
measured by the rest."""

from __future__ import annotations

import os
import random

import numpy as np

from mas_fast.bundle import WORDS_FILE, Bundle, models_of, read_words
from mas_fast.onnx.quantize import Drawn
from mas_fast.pipelines.torch_pipeline import Model, load

CALIBRATION = HELD_OUT = 16  # pictures; of 8, others pass the ranges and lose 2 dB
WORDS = 6  # of a caption


def draw(path: str | os.PathLike) -> dict[str, Drawn]:
    """Draw scenes and pictures of captions that are made of the bundle's words.

    The captions and the seeds are always the same.

    Args:
        path: the bundle, with a GPT and its words.

    Returns:
        Their codes, by the name of the tokenizer; those held out are of other captions and another
        seed.

    Raises:
        ValueError: if the GPT or the words are missing.
    """
    bundle = Bundle(path)
    need = "int8 is calibrated with what the bundle draws"
    if "gpt" not in (found := models_of(bundle)):
        raise ValueError(f"{bundle}: found the models {list(found)}, expected gpt too: {need}")
    if (words := read_words(bundle)) is None:
        problem = "found no such file, expected the words of the captions that the GPT learned from"
        raise ValueError(f"{bundle.path / WORDS_FILE}: {problem}: {need}")
    model = load(bundle, device="cpu")
    tokens = Drawn(
        _tokens(model, sorted(words), CALIBRATION, seed=0),
        _tokens(model, sorted(words), HELD_OUT, seed=1),
    )
    return {
        f"vq_{stream.name}": Drawn(
            *(
                part[:, model.streams.slice(stream.name)].reshape(-1, *stream.grid)
                for part in tokens
            )
        )
        for stream in model.streams
        if stream.grid is not None
    }


def _tokens(model: Model, words: list[str], count: int, seed: int) -> np.ndarray:
    generator = random.Random(seed)
    captions = [" ".join(generator.choices(words, k=WORDS)) for _ in range(count)]
    return model.generate(captions, seed=seed).tokens
