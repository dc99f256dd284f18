"""Pictures that a bundle's own GPT draws, as codes: what its decoder in int8 is calibrated with and
measured by."""

from __future__ import annotations

import os
import random

import numpy as np

from mas_fast.bundle import WORDS_FILE, Bundle, models_of, read_words
from mas_fast.onnx.quantize import Pictures
from mas_fast.pipelines.torch_pipeline import Model, load

CALIBRATION = HELD_OUT = 16  # pictures; of 8, others pass the ranges and lose 2 dB
WORDS = 6  # of a caption


def draw_pictures(path: str | os.PathLike) -> Pictures:
    """Draw pictures of captions that are made of the bundle's words.

    The captions and the seeds are always the same.

    Args:
        path: the bundle, with a GPT and its words.

    Returns:
        Their codes; those held out are of other captions and another seed.

    Raises:
        ValueError: if the GPT or the words are missing.
    """
    bundle = Bundle(path)
    need = "int8 is calibrated with pictures that the bundle draws"
    if "gpt" not in (found := models_of(bundle)):
        raise ValueError(f"{bundle}: found the models {list(found)}, expected gpt too: {need}")
    if (words := read_words(bundle)) is None:
        problem = "found no such file, expected the words of the captions that the GPT learned from"
        raise ValueError(f"{bundle.path / WORDS_FILE}: {problem}: {need}")
    model = load(bundle, device="cpu")
    return Pictures(
        _draw(model, sorted(words), CALIBRATION, seed=0),
        _draw(model, sorted(words), HELD_OUT, seed=1),
    )


def _draw(model: Model, words: list[str], count: int, seed: int) -> np.ndarray:
    generator = random.Random(seed)
    captions = [" ".join(generator.choices(words, k=WORDS)) for _ in range(count)]
    tokens = model.generate(captions, seed=seed).tokens
    grid = model.streams["img"].grid
    assert grid is not None  # pictures have one
    return tokens[:, model.streams.slice("img")].reshape(count, *grid)
