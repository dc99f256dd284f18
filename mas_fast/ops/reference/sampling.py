"""The definition of the sampler in plain PyTorch: any device.

It turns logits into a token as a pure function of (logits, seed, sample, position), and every
implementation returns the same token:

1. `guided_logits`, classifier-free guidance (CFG) and temperature:
   l = (u + guidance (c - u)) / temperature, each operation rounded to fp32.
2. `kept_mask`: temperature 0 keeps the largest logit alone. Otherwise top-k keeps the k largest,
   and top-p the smallest set of the largest weights rint(exp(l - max) 2^40) whose sum reaches top_p
   of the total that top-k kept. Weights are added as integers, in any order.
3. `gumbel_noise`: g = -log(-log u), u = (r + 1/2) 2^-32, where r is word `token % 4` of
   Philox4x32-10 with key = seed and counter = (token // 4, position, sample, 0).
4. The token is the argmax of l + g in fp64 over the tokens kept.

Ties always go to the lowest id. exp and log are fixed sequences of IEEE operations, because those
of libm, PyTorch and CUDA differ in the last bit. Run it eagerly: a compiler that fuses a
multiplication with an addition changes the bits.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mas_fast.ops.reference.checks import has_values, to_integer, to_real

MAX_VOCAB = 1 << 22  # so that the weights of a row add up in 63 bits
_FP32_LIMIT = float.fromhex("0x1.ffffffp127")  # what is below it rounds to a finite fp32 number
_ROUND = float.fromhex("0x1.8p52")  # x + _ROUND - _ROUND is rint(x)
_LN2_HIGH = float.fromhex("0x1.62e42feep-1")
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
_LOG2_E = float.fromhex("0x1.71547652b82fep+0")
_EXP = [4.13813679705723846039e-08, -1.65339022054652515390e-06, 6.61375632143793436117e-05]
_EXP += [-2.77777777770155933842e-03, 1.66666666666666019037e-01]
_LOG = [1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01]
_LOG += [2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01]
_LOG += [6.666666666666735130e-01]
_ONE, _SQRT_HALF = 0x3FF0000000000000, 0x3FE6A09E00000000  # bits of 1 and of sqrt(1/2), rounded


def sample(
    logits: Tensor,
    *,
    seed: int,
    sample: int | Tensor = 0,
    position: int | Tensor = 0,
    uncond: Tensor | None = None,
    guidance: float = 1.0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """Defines `ops.sample`."""
    samples, positions = check_sampling(
        logits, seed, sample, position, uncond, guidance, temperature, top_k, top_p
    )
    logit = guided_logits(logits, uncond, guidance, temperature)
    nan = logit.isnan()
    if has_values(nan) and nan.any():
        row, token = nan.nonzero()[0].tolist()
        raise nan_error(row, token)
    kept = kept_mask(logit, temperature=temperature, top_k=top_k, top_p=top_p)
    score = logit.double() + gumbel_noise(logit.shape[1], seed, samples, positions)
    best = score.masked_fill(~kept, -math.inf).amax(1, keepdim=True)
    return first_set(kept & (score == best))


def guided_logits(
    logits: Tensor, uncond: Tensor | None = None, guidance: float = 1.0, temperature: float = 1.0
) -> Tensor:
    """Mixes conditional and unconditional logits: classifier-free guidance (CFG).

    Args:
        logits: floating [B, V], c.
        uncond: floating [B, V], u; None is no guidance.
        guidance: the scale of CFG.
        temperature: 0 divides by nothing.

    Returns:
        fp32 [B, V]: (u + guidance (c - u)) / temperature.
    """
    logit = logits.float()
    if uncond is not None:
        u = uncond.float()
        logit = u + (logit - u) * _fp32(guidance)
    if _fp32(temperature) == 0:
        return logit
    return logit / torch.full_like(logit, _fp32(temperature))  # CUDA multiplies by 1 / a scalar


def kept_mask(
    logit: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """The tokens that can be drawn.

    Args:
        logit: guided logits, fp32 [B, V], without NaN.
        temperature: 0 keeps the largest logit alone.
        top_k: how many of the largest logits are kept; None keeps all.
        top_p: the share of their weight that is kept; None keeps all.

    Returns:
        bool [B, V].
    """
    vocab = logit.shape[1]
    ids = torch.arange(vocab, device=logit.device)
    top = logit.amax(1, keepdim=True)
    if _fp32(temperature) == 0:
        return ids == first_set(logit == top)[:, None]

    kept = torch.ones_like(logit, dtype=torch.bool)
    if top_k is not None and top_k < vocab:
        order = logit.argsort(dim=1, descending=True, stable=True)
        kept = torch.zeros_like(kept).scatter(1, order[:, :top_k], True)
    if top_p is not None:
        weight = (exact_exp(logit.double() - top.double()) * 2.0**40).round()
        weight = torch.where(logit == top, 2.0**40, weight).long()  # first: inf - inf is NaN
        weight = weight.masked_fill(~kept, -1)  # behind the weights of 0 that top-k kept
        weight, order = weight.sort(dim=1, descending=True, stable=True)
        prefix = weight.clamp(min=0).cumsum(1).double()
        short = prefix < top_p * prefix[:, -1:]
        before = torch.cat([torch.ones_like(short[:, :1]), short[:, :-1]], 1)
        kept = torch.zeros_like(kept).scatter(1, order, before)
    return kept


def gumbel_noise(vocab: int, seed: int, sample: Tensor, position: Tensor) -> Tensor:
    """Standard Gumbel noise.

    Args:
        vocab: V.
        seed: the key.
        sample: int64 [B], a word of the counter.
        position: int64 [B], a word of the counter.

    Returns:
        fp64 [B, V].
    """
    group = torch.arange((vocab + 3) // 4, device=sample.device).expand(len(sample), -1)
    counter = torch.stack(
        [
            group,
            position[:, None].expand_as(group),
            sample[:, None].expand_as(group),
            torch.zeros_like(group),
        ],
        -1,
    )
    random = philox4x32((seed & 0xFFFFFFFF, seed >> 32), counter).flatten(1)[:, :vocab]
    u = (random.double() + 0.5) * 2.0**-32
    return -exact_log(-exact_log(u))


def philox4x32(key: tuple[int, int], counter: Tensor) -> Tensor:
    """Philox4x32-10 (Salmon et al., SC 2011) of 32-bit words held in int64.

    Args:
        key: two words.
        counter: [..., 4].

    Returns:
        Random words, [..., 4].
    """
    c0, c1, c2, c3 = counter.unbind(-1)
    k0, k1 = key
    for _ in range(10):
        high0, low0 = _multiply(c0, 0xD2511F53)
        high1, low1 = _multiply(c2, 0xCD9E8D57)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return torch.stack([c0, c1, c2, c3], -1)


def exact_exp(x: Tensor) -> Tensor:
    """exp(x) of fp64 x <= 709 within 1 ulp, and 0 below -708: csrc/core/exact_math.h, op by op."""
    clamped = torch.where(x < -708.0, -708.0, x)
    k = (clamped * _LOG2_E + _ROUND) - _ROUND
    high = clamped - k * _LN2_HIGH
    low = k * _LN2_LOW
    r = high - low
    c = r - r * r * _polynomial(_EXP, r * r)
    y = 1.0 + (r * c / (2.0 - c) - low + high)
    scale = ((k.nan_to_num().long() + 1023) << 52).view(torch.float64)
    return y * torch.where(x < -708.0, 0.0, scale)


def exact_log(x: Tensor) -> Tensor:
    """log(x) of positive normal fp64 x within 1 ulp: csrc/core/exact_math.h, op by op."""
    bits = x.view(torch.int64) + (_ONE - _SQRT_HALF)
    k = ((bits >> 52) - 1023).double()
    f = ((bits & 0x000FFFFFFFFFFFFF) + _SQRT_HALF).view(torch.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    half_square = 0.5 * f * f
    correction = s * (half_square + z * _polynomial(_LOG, z)) + k * _LN2_LOW
    return k * _LN2_HIGH + (f - (half_square - correction))


def check_sampling(
    logits: Tensor,
    seed: int,
    sample: int | Tensor,
    position: int | Tensor,
    uncond: Tensor | None,
    guidance: float,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
) -> tuple[Tensor, Tensor]:
    """Checks the arguments of `ops.sample`.

    Returns:
        Sample and position as int64 [B] on the device of the logits.

    Raises:
        TypeError: an argument has a wrong type or dtype.
        ValueError: an argument has a wrong shape, device or value.
    """
    for name, tensor in (("logits", logits), ("uncond", uncond)):
        if tensor is None and name == "uncond":
            continue
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise TypeError(f"{name}: found {kind}, expected a floating-point tensor")
    if logits.dim() != 2 or not 1 <= logits.shape[1] <= MAX_VOCAB:
        raise ValueError(
            f"logits: found {list(logits.shape)}, "
            f"expected [batch, vocabulary] with 1 to {MAX_VOCAB} tokens"
        )
    if uncond is not None and (uncond.shape != logits.shape or uncond.device != logits.device):
        raise ValueError(
            f"uncond: found {list(uncond.shape)} on {uncond.device}, "
            f"expected {list(logits.shape)} on {logits.device}, like the logits"
        )
    if not 0 <= to_integer("seed", seed) < 1 << 64:
        raise ValueError(f"seed: found {seed}, expected 0..2**64-1")
    if not abs(to_real("guidance", guidance)) < _FP32_LIMIT:
        raise ValueError(f"guidance: found {guidance}, expected a finite number within fp32")
    if uncond is None and guidance != 1:
        raise ValueError(f"guidance: found {guidance} without uncond, expected 1, or uncond too")
    t = to_real("temperature", temperature)
    if not 0 <= t < _FP32_LIMIT:
        raise ValueError(
            f"temperature: found {temperature}, "
            "expected 0 (the largest logit) or a positive finite number within fp32"
        )
    if top_k is not None and to_integer("top_k", top_k) < 1:
        raise ValueError(f"top_k: found {top_k}, expected an integer >= 1, or None to keep all")
    if top_p is not None and not 0 < to_real("top_p", top_p) <= 1:
        raise ValueError(f"top_p: found {top_p}, expected a number in (0, 1], or None to keep all")
    return _words("sample", sample, logits), _words("position", position, logits)


def nan_error(row: int, token: int) -> ValueError:
    return ValueError(
        f"logits: found NaN after guidance in row {row}, token {token}, "
        "expected numbers or infinities"
    )


def _words(name: str, value: int | Tensor, logits: Tensor) -> Tensor:
    """`value` as int64 [B], checked to fit 32 bits."""
    rows = logits.shape[0]
    if isinstance(value, Tensor):
        if value.dtype != torch.int64:
            raise TypeError(f"{name}: found {value.dtype}, expected an int or an int64 tensor")
        if value.shape != (rows,):
            raise ValueError(f"{name}: found {list(value.shape)}, expected one int or [{rows}]")
        seen = has_values(value) and rows
        least, most = torch.stack(value.aminmax()).tolist() if seen else (0, 0)
    else:
        least = most = to_integer(name, value)
    if least < 0 or most >= 1 << 32:
        raise ValueError(f"{name}: found {least if least < 0 else most}, expected 0..2**32-1")
    if isinstance(value, Tensor):
        return value.to(logits.device).contiguous()
    return torch.full((rows,), least, dtype=torch.int64, device=logits.device)


def _fp32(value: float) -> float:
    return torch.tensor(value, dtype=torch.float64, device="cpu").float().item()


def first_set(mask: Tensor) -> Tensor:
    """The lowest index that is set in each row [B, V]: int64 [B]."""
    ids = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, ids, mask.shape[1]).amin(1)


def _multiply(a: Tensor, b: int) -> tuple[Tensor, Tensor]:
    """High and low 32 bits of the product of two 32-bit words, without overflow of int64."""
    high, low = (a >> 16) * b, (a & 0xFFFF) * b
    return (high + (low >> 16)) >> 16, (((high & 0xFFFF) << 16) + low) & 0xFFFFFFFF


def _polynomial(coefficients: list[float], x: Tensor) -> Tensor:
    value = torch.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        value = value * x + c
    return value
