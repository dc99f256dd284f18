"""A GPT over three streams that learns a made-up rule in seconds, on a CPU.

    python examples/train_tiny.py

The "caption" is two numbers, the "scene" repeats the first and the "picture" is their sum. That is
the loop that `mas-fast train gpt` runs, without data, checkpoints and averages.
"""

from dataclasses import replace

import torch

from mas_fast.generation import generate_tokens
from mas_fast.models.gpt import GPT, preset
from mas_fast.streams import Stream, Streams

N, STEPS = 8, 200
streams = Streams(
    [Stream("text", 2, N), Stream("seg", 4, N, grid=(2, 2)), Stream("img", 4, 2 * N, grid=(2, 2))]
)


def sequences(pairs: torch.Tensor) -> torch.Tensor:
    """int64 [B, 10]: each pair of numbers with its scene and picture."""
    first, total = pairs[:, :1], pairs.sum(1, keepdim=True)
    return torch.cat([pairs, first.expand(-1, 4), total.expand(-1, 4)], 1)


config = replace(preset("tiny"), streams=streams, dim=64, heads=2, mlp=128)
model = GPT.create(config, seed=0)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
generator = torch.Generator().manual_seed(0)
for step in range(STEPS):
    pairs = torch.randint(N, (64, 2), generator=generator)
    loss, by_stream = model.loss(sequences(pairs))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0 or step == STEPS - 1:
        parts = "  ".join(f"{name} {value:.2f}" for name, value in by_stream.items())
        print(f"step {step}: {parts} nats")

# Temperature 0 takes the best token. Both engines, PyTorch and C++, draw the same ones.
pairs = torch.cartesian_prod(torch.arange(N), torch.arange(N))
for engine in ("eager", "cpp"):
    dtype = {"dtype": "fp32"} if engine == "cpp" else {}
    drawn = generate_tokens(model.eval(), pairs, engine=engine, temperature=0, **dtype)
    right = (drawn == sequences(pairs)).all(1).float().mean()
    print(f"{engine}: {right:.0%} of all {len(pairs)} captions are right")
    assert right > 0.9
