"""The draw of a decode step, whose settings lie in memory, so that a captured graph can be replayed
with others. `sample` in functional.py takes them as numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from mas_fast.ops.dispatch import chosen_sampler
from mas_fast.ops.reference import step_sampling as reference


@torch.no_grad()
def sample_step(
    logits: Tensor,
    uncond: Tensor | None,
    first: Tensor,
    forced: Tensor,
    guidance: Tensor,
    temperature: Tensor,
    top_k: Tensor,
    top_p: Tensor,
    seed: Tensor,
    sample: Tensor,
    drawn: Tensor,
    *,
    window: int,
    end: int,
    impl: str | None = None,
) -> None:
    """Draws the tokens that the rows of a decode step predict, as `ops.sample` does.

    B sequences have `window` rows each. Row r is of sequence b = r // window and predicts the token
    at position p = first[b] + 1 + r % window. It draws

    * -1 where p is not in 0..end - 1: it idles;
    * else forced[b, p] where that is not negative, whatever the logits;
    * else -2 - i where token i is the first whose logit is NaN after guidance and temperature;
    * else the token of `ops.sample` at that position. guidance[b, p] == 1 takes the logits without
      `uncond`, to the bit.

    No implementation waits for a GPU, except "reference"; "cuda" allocates nothing and can be
    captured in a CUDA graph. Settings out of the ranges below are an error on a CPU, and give
    tokens that mean nothing with "cuda". `reference.step_sampling` defines it.

    Args:
        logits: fp32 [B * window, V].
        uncond: fp32 [B * window, V], the unconditional logits; None: no guidance, whatever
            `guidance` holds.
        first: int32 [B], the position of the last token that is known.
        forced: int32 [B, S], the token of each position that has one, else negative.
        guidance: fp32 [B, S], the scale at each position.
        temperature: fp32 [B], >= 0; 0 takes the largest logit.
        top_k: int32 [B]; 0 keeps all.
        top_p: fp64 [B], up to 1; 0 skips the step.
        seed: int64 [B], its 64 bits.
        sample: int64 [B], 0 to 2^32 - 1.
        drawn: int32 [B, window], written.
        window: rows of a sequence.
        end: what positions end before, at most S.
        impl: None, "cpp", "cuda" or "reference".

    Raises:
        TypeError: an argument has a wrong type or dtype.
        ValueError: an argument has a wrong shape, device or layout (all are contiguous), or window
            or end is out of range.
        ImportError: `impl` is not built; names the command that fixes it.
    """
    arguments = (
        logits, uncond, first, forced, guidance, temperature, top_k, top_p, seed, sample, drawn,
    )  # fmt: skip
    reference.check_sample_step(*arguments, window, end)
    if chosen_sampler("sample_step", impl, logits) == "reference":
        reference.sample_step(*arguments, window=window, end=end)
    else:
        torch.ops.mas_fast.sample_step(*arguments, window, end)
