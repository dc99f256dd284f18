"""What kernels/linear.py is given in tests, and the same in PyTorch."""

import torch
import torch.nn.functional as F

from mas_fast.bundle.quantized import LEVELS

MARGIN = 256
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
EPILOGUES = {
    "plain": {},
    "bias": {"bias": True},
    "norm": {"norm": True, "bias": True},
    "norm, no bias": {"norm": True},
    "gelu": {"norm": True, "bias": True, "gelu": True},
    "residual": {"bias": True, "residual": True},
    "all": {"norm": True, "bias": True, "gelu": True, "residual": True},
}


def inside(tensor):
    """A copy amid a larger tensor, in which all else is NaN, or all bits of a level are set."""
    flat = torch.empty(tensor.numel() + 2 * MARGIN, dtype=tensor.dtype, device=tensor.device)
    if tensor.is_floating_point():
        flat.copy_(torch.full(flat.shape, torch.nan))
    else:
        flat.fill_(-1 if tensor.dtype == torch.int8 else 255)
    return flat[MARGIN:-MARGIN].view(tensor.shape).copy_(tensor)


def margins(tensor):
    """What `inside` put around it."""
    flat = tensor._base.float()
    return torch.cat([flat[:MARGIN], flat[-MARGIN:]])


class Case:
    """x, a matrix and what `linear` takes besides. Rows have a mean, so that a norm matters."""

    def __init__(
        self, rows, inputs, outputs, dtype, *, device="cpu", bias=False, norm=False, gelu=False,
        residual=False,
    ):  # fmt: skip
        g = torch.Generator().manual_seed(rows + inputs + outputs)

        def random(*shape, scale=1.0):
            values = torch.randn(shape, generator=g) * scale
            return inside(values.to(device, DTYPES[dtype]))

        self.eps, self.gelu = 0.01, gelu
        self.x = random(rows, inputs)
        self.x += 3 * torch.randn(rows, 1, generator=g).to(self.x)
        self.w = random(outputs, inputs, scale=inputs**-0.5)
        self.bias = random(outputs) if bias else None
        self.norm = (random(inputs), random(inputs)) if norm else None
        self.residual = random(rows, outputs) if residual else None

    @property
    def arguments(self):
        names = ("bias", "norm", "eps", "gelu", "residual")
        return {name: getattr(self, name) for name in names}

    def torch(self, w=None, dtype=None):
        """The result, in `dtype` if given, for another matrix if given."""
        x, w, bias, residual, *norm = (
            None if t is None else t.to(dtype or t.dtype)
            for t in (self.x, self.w if w is None else w, self.bias, self.residual,
                      *(self.norm or ()))
        )  # fmt: skip
        if norm:
            x = F.layer_norm(x, x.shape[1:], *norm, self.eps)
        y = F.linear(x, w, bias)
        y = F.gelu(y) if self.gelu else y
        return y if residual is None else residual + y

    def empty(self, dtype=None):
        """A place for the result, poisoned."""
        nan = torch.full((len(self.x), len(self.w)), torch.nan)
        return inside(nan.to(self.x.device, dtype or self.x.dtype))


def assert_near(found, exact, peer):
    """At most twice the error of PyTorch, and 1 ulp of the largest."""
    ulp = torch.finfo(found.dtype).eps * float(exact.abs().max())
    allowed = 2 * float((peer.double() - exact).abs().max()) + ulp
    assert float((found.double() - exact).abs().max()) <= allowed


def weights_of(packed):
    """The matrix of a PackedWeight, fp64 [N, K]."""
    values = packed.values
    if packed.dtype == "int4":
        places = torch.stack([values & 15, values >> 4], -1).flatten(1)[:, : packed.inputs]
        values = torch.from_numpy(LEVELS)[places.long()]
    if packed.scales is None:
        return values.double()
    if packed.scales.dim() == 1:
        return values.double() * packed.scales.double()[:, None]
    return values.double() * packed.scales.double().repeat_interleave(32, 1)[:, : packed.inputs]
