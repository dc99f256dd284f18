"""The tokens of a picture, in the PNG of the picture: a text entry of JSON, 1 KB for 320 tokens. No
torch.

So an edit keeps what is outside of its region token for token, which encoding could not: a decoded
picture encodes to other tokens here and there. What is read is checked against the picture itself:
tokens of another model, or of pixels that were changed since, do not decode to it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mas_fast.scene.png import png_text
from mas_fast.utils.documents import parse_json, short
from mas_fast.utils.validate import check_int, exact_keys

KEY = "mas_fast.tokens"  # not scene.TEXT_KEY: a picture is no scene
FORMAT = 1
LARGEST = 2**31 - 1  # ids are int32 in the engines
# Of 255, the root mean square over a cell. Decoders differ by 1, that in int8 by up to 5 (36
# pictures); of two pictures of one caption some cell differs by 80 or more.
NEAR = 8.0


@dataclass(frozen=True)
class Painted:
    """What a PNG says of how its picture came about.

    Attributes:
        caption: its caption.
        tokens: int64 [S], all streams.
    """

    caption: str
    tokens: np.ndarray

    def text(self) -> PngInfo:
        """The text entry of a PNG."""
        values = {"format": FORMAT, "caption": self.caption, "tokens": self.tokens.tolist()}
        text = PngInfo()
        text.add_text(KEY, json.dumps(values, separators=(",", ":")), zip=True)
        return text

    @classmethod
    def of(cls, image: Image.Image, name: str) -> Painted | None:
        """Read the text entry of a picture.

        Args:
            image: opened by scene.png.open_image, which bounds what an entry may hold.
            name: what errors call it.

        Returns:
            What it says; None where it has no entry.

        Raises:
            ValueError: the entry is none of ours.
        """
        entry = png_text(image).get(KEY) if image.format == "PNG" else None
        if entry is None:
            return None
        name = f"{name}: {KEY}"
        values = exact_keys(name, parse_json(entry, name), ("format", "caption", "tokens"))
        caption, tokens = values["caption"], values["tokens"]
        if values["format"] != FORMAT or not isinstance(caption, str):
            found = short([values["format"], caption])
            raise ValueError(f"{name}: found {found}, expected the format {FORMAT} and a caption")
        if not isinstance(tokens, list):
            raise ValueError(f"{name}: found {short(tokens)}, expected a list of tokens")
        for token in tokens:
            check_int(f"{name}: tokens", token, 0, LARGEST)
        return cls(caption, np.array(tokens, np.int64))


def alike(a: np.ndarray, b: np.ndarray, grid: tuple[int, int]) -> bool:
    """Tell whether two pictures are decoded from the same tokens.

    Args:
        a: uint8 [H, W, 3].
        b: uint8, of any shape.
        grid: (h, w) of their tokens, which divide H and W.

    Returns:
        Whether they are near each other in every cell.
    """
    if a.shape != b.shape:
        return False
    height, width = (side // count for side, count in zip(a.shape, grid, strict=False))
    squares = (a.astype(np.float64) - b) ** 2
    squares = squares.reshape(grid[0], height, grid[1], width, -1).mean((1, 3, 4))
    return bool(np.sqrt(squares.max()) < NEAR)
