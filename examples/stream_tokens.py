"""A picture as it appears, token by token: first the scene, then the picture, row by row.

    python examples/stream_tokens.py

Writes stream_tokens.gif. A token is one code of the image tokenizer, some pixels a side, in raster
order; -1 stands where none is drawn yet.
"""

import numpy as np
from PIL import Image

import mas_fast
from mas_fast.generation import stream_tokens

model = mas_fast.load(device="cpu", engine="cpp")
streams = model.streams


def picture(tokens: np.ndarray, name: str) -> np.ndarray:
    """uint8 [H, W, 3]: what is drawn of the stream `name`, and grey below."""
    codes = tokens[streams.slice(name)].reshape(streams[name].grid)
    drawn = int((codes >= 0).all(1).sum())  # whole rows of codes
    decoded = getattr(model, name).decode(codes.clip(0)[None])[0]
    pixels = np.array(decoded.colors() if name == "seg" else decoded)
    pixels[len(pixels) * drawn // len(codes) :] = 128
    return pixels


text, _ = model.bpe.encode(["a red house beside a lake at dusk"])
frames = []
row = streams["img"].grid[1]
for tokens in stream_tokens(model.engine, text, seed=7, every=row, **model.sampling):
    scene, image = (picture(tokens[0].numpy(), name) for name in ("seg", "img"))
    side = len(image)
    small = Image.fromarray(scene).resize((side, side), Image.Resampling.NEAREST)
    frames.append(Image.fromarray(np.hstack([np.asarray(small), image])))
frames[0].save("stream_tokens.gif", save_all=True, append_images=frames[1:], duration=120, loop=0)
print(f"stream_tokens.gif: {len(frames)} frames")
