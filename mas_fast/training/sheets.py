"""What a GPT makes of a few captions, as a picture."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mas_fast.bundle import load_bpe, load_vq
from mas_fast.files import replace_file
from mas_fast.generation import generate_tokens
from mas_fast.gpt import GPT
from mas_fast.scene import layout_named
from mas_fast.streams import Streams
from mas_fast.training.tokens import Sequences, spread

SHOWN = 4  # captions on a sheet
SIDE = 192  # pixels of a picture on it
GAP, LINE = 6, 16
TOP_K = 256


class Sheets:
    """Each row: a sample's own scene and picture, then those that the GPT draws for its caption.

    bundle: the tokenizers that made the tokens. ValueError where one is missing or has another
    number of codes than the tokens.
    """

    def __init__(self, bundle: str | os.PathLike, data: Sequences, device: torch.device) -> None:
        self.decoders = {
            name: load_vq(bundle, f"vq_{name}", device, torch.float32) for name in ("seg", "img")
        }
        self.bpe = load_bpe(bundle)
        streams = data.tokens.streams
        for name, decoder in self.decoders.items():
            if decoder.config.codes != streams[name].vocab:
                found = f"found {decoder.config.codes} codes"
                expected = f"expected {streams[name].vocab}, as the tokens of {data.tokens.path}"
                raise ValueError(f"{bundle}: vq_{name}: {found}, {expected}")
        samples = [data[0, int(i)] for i in spread(len(data), SHOWN)]
        self.tokens = data.collate(samples)["tokens"]

    @torch.no_grad()
    def draw(self, model: GPT, file: Path) -> None:
        text = self.tokens[:, model.streams.slice("text")]
        drawn = generate_tokens(model, text, top_k=TOP_K, seed=0)
        columns = [*self._pictures(model.streams, self.tokens)]
        columns += self._pictures(model.streams, drawn)
        image = sheet(list(zip(*columns, strict=True)), self.bpe.decode(text))
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, lambda temporary: image.save(temporary, "PNG"))

    def _pictures(self, streams: Streams, tokens: Tensor) -> list[list[np.ndarray]]:
        """The scenes and the pictures, uint8 [H, W, 3] each."""
        columns = []
        for name, decoder in self.decoders.items():
            codes = tokens[:, streams.slice(name)].view(-1, *streams[name].grid)
            out = decoder.decode(codes.to(decoder.device))
            if name == "img":
                pixels = ((out.float().clamp(-1, 1) + 1) * 127.5).round().byte()
                columns.append(list(pixels.permute(0, 2, 3, 1).cpu().numpy()))
            else:
                labels = out[:, : decoder.config.channels - decoder.config.has_edges].argmax(1)
                colors = layout_named(decoder.config.layout).colors[labels.cpu().numpy()]
                columns.append(list(colors))
        return columns


def sheet(rows: list[tuple[np.ndarray, ...]], captions: list[str]) -> Image.Image:
    """Rows of pictures uint8 [H, W, 3], each above its caption."""
    count = len(rows[0])
    height = SIDE + LINE + GAP
    canvas = Image.new("RGB", (count * (SIDE + GAP) + GAP, len(rows) * height + GAP), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for n, (pictures, caption) in enumerate(zip(rows, captions, strict=True)):
        top = GAP + n * height
        for i, pixels in enumerate(pictures):
            shown = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.NEAREST)
            canvas.paste(shown, (GAP + i * (SIDE + GAP), top))
        pen.text((GAP, top + SIDE + 1), caption[:110], "black", font)
    return canvas
