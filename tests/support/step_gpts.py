"""GPTs that are small enough for Triton's interpreter, and what is asked of them."""

import numpy as np
import torch

from mas_fast.models.gpt import GPT
from mas_fast.models.gpt_config import GPTConfig
from mas_fast.streams import Stream, Streams

STREAMS = Streams(
    [Stream("text", 3, 11, pad=0), Stream("seg", 4, 7, (2, 2)), Stream("img", 6, 13, (3, 2))]
)
LENGTH = STREAMS.length
PROMPT = np.array([[5, 9, 0], [7, 1, 2]])
GUIDED = {"guidance": {"seg": 2.0, "img": 3.0}, "top_k": 5, "top_p": 0.9}
# Part of a scene, other tokens in each row, and one of the picture.
PARTS = np.full((2, LENGTH), -1)
PARTS[0, 4:6], PARTS[1, 3], PARTS[:, 9] = 3, 4, 12


def small(dtype=torch.float32, seed: int = 1, **changes) -> GPT:
    """A random model whose logits have a spread of about 2, so that what it is told matters."""
    sizes = {"dim": 16, "layers": 1, "heads": 2, "mlp": 24} | changes
    model = GPT.create(GPTConfig(STREAMS, **sizes), dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            spread = 0.5 if parameter.ndim > 1 else 0.1
            noise = torch.empty_like(parameter).normal_(0, spread, generator=generator)
            parameter.add_(noise)
    return model.to(dtype)
