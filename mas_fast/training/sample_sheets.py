"""What a GPT makes of a few captions, as a picture."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mas_fast.bundle.extras import load_bpe
from mas_fast.bundle.torch_io import load_vq
from mas_fast.generation.tokens import generate_tokens
from mas_fast.models.gpt import GPT
from mas_fast.models.torch_codec import decode_pictures, decode_scenes
from mas_fast.streams import Streams
from mas_fast.training.dataset import Sequences, spread
from mas_fast.utils.contact_sheet import sheet
from mas_fast.utils.files import replace_file

SHOWN = 4  # captions on a sheet
TOP_K = 256


class Sheets:
    """Each row: a sample's own scene and picture, then those that the GPT draws for its caption.

    Args:
        bundle: has the tokenizers that made the tokens.
        data: the samples.
        device: of the tokenizers.

    Raises:
        ValueError: a tokenizer is missing or has another number of codes than the tokens.
    """

    def __init__(self, bundle: str | os.PathLike, data: Sequences, device: torch.device) -> None:
        self.decoders = {
            name: load_vq(bundle, f"vq_{name}", device, torch.float32) for name in ("seg", "img")
        }
        self.bpe = load_bpe(bundle)
        streams = data.tokens.streams
        for name, decoder in self.decoders.items():
            if decoder.config.codes != streams[name].vocab:
                codes_found = f"found {decoder.config.codes} codes"
                expected = f"expected {streams[name].vocab}, as the tokens of {data.tokens.path}"
                raise ValueError(f"{bundle}: vq_{name}: {codes_found}, {expected}")
        samples = [data[0, int(i)] for i in spread(len(data), SHOWN)]
        self.tokens = data.collate(samples)["tokens"]

    @torch.no_grad()
    def draw(self, model: GPT, file: Path) -> None:
        """Draw the sheet into a PNG file."""
        text = self.tokens[:, model.streams.slice("text")]
        drawn = generate_tokens(model, text, top_k=TOP_K, seed=0)
        columns = [*self._pictures(model.streams, self.tokens)]
        columns += self._pictures(model.streams, drawn)
        image = sheet(list(zip(*columns, strict=True)), self.bpe.decode(text))
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, lambda temporary: image.save(temporary, "PNG"))

    def _pictures(self, streams: Streams, tokens: Tensor) -> list[list[np.ndarray]]:
        """The scenes and the pictures, uint8 [H, W, 3] each."""
        seg, img = (
            tokens[:, streams.slice(name)].unflatten(1, streams[name].grid or (-1,))
            for name in self.decoders
        )
        scenes = decode_scenes(self.decoders["seg"], seg)
        return [[s.colors() for s in scenes], decode_pictures(self.decoders["img"], img)]
