"""From vectors to codes and back: codebooks that learn by gradient or by moving averages, and
Gumbel-softmax.

    quantizer = make_quantizer(config)
    codes = quantizer.encode(z)              # z [B, D, h, w] -> int64 [B, h, w]
    z = quantizer.lookup(codes)
    quantized = quantizer(z)                 # in training mode also learns and counts

Everything that training needs to resume exactly is in buffers, and so in the state dict: the moving
averages, how long each code has been idle, and the step, which determines the random choices.

A code is dead once PATIENCE x K vectors have passed without it. It then becomes a vector of the
current batch. A new codebook starts with all codes dead, and so is initialised from data.

Shape suffixes: B rows, h x w grid, N = B h w vectors of width D, K codes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from mas_fast import ops
from mas_fast.models.skip_init import embedding
from mas_fast.models.vqvae_config import VQConfig
from mas_fast.ops.reference.sampling import philox4x32

DECAY = 0.99  # of the moving averages, per forward pass
# At 10, one step of 48 scenes (12,288 vectors) that misses one of 1,024 codes would kill it.
# Halfway through configs/vq-seg-small.yaml the mIoU was 0.52 at 10 and 0.55 at 100.
PATIENCE = 100
SEED = 0x6D617366


@dataclass
class Quantized:
    """What a quantizer makes of a batch.

    Attributes:
        vectors: [B, D, h, w], whose gradient reaches z.
        codes: int64 [B, h, w].
        loss: to be added to the model's.
        perplexity: of this batch's codes.
        usage: the share of the codes that are alive.
    """

    vectors: Tensor
    codes: Tensor
    loss: Tensor
    perplexity: Tensor
    usage: Tensor


class Quantizer(nn.Module):
    """The base of all quantizers, which counts how often each code is used."""

    counts: Tensor
    idle: Tensor
    step: Tensor

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        self.codes, self.beta = config.codes, config.beta
        self.register_buffer("counts", torch.zeros(config.codes))  # moving average
        self.register_buffer("idle", torch.zeros(config.codes, dtype=torch.int64))  # in vectors
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    @property
    def table(self) -> Tensor:
        """The codebook, [K, D], a parameter."""
        raise NotImplementedError

    def init_table(self, generator: torch.Generator | None) -> None:
        """Gives the codebook its first values."""
        raise NotImplementedError

    def encode(self, z: Tensor) -> Tensor:
        """Quantizes vectors.

        Args:
            z: [B, D, h, w].

        Returns:
            The codes, int64 [B, h, w].
        """
        raise NotImplementedError

    @torch.no_grad()
    def reset(self, alive: bool) -> None:
        """Forgets the statistics.

        Args:
            alive: whether the codes count as just used, or as dead.
        """
        self.step.zero_()
        self.counts.fill_(1 - DECAY)
        self.idle.fill_(0 if alive else PATIENCE * self.codes + 1)

    def lookup(self, codes: Tensor) -> Tensor:
        """The vectors of codes: int64 [B, h, w] -> [B, D, h, w], channels-last."""
        return F.embedding(codes, self.table).permute(0, 3, 1, 2)

    def perplexity(self, counts: Tensor) -> Tensor:
        """exp of the entropy of the codes' frequencies, in fp32, for counts [K]."""
        return torch.exp(torch.special.entr(counts / counts.sum().clamp(min=1)).sum())

    def usage(self) -> Tensor:
        """The share of the codes that are alive."""
        return (self.idle <= PATIENCE * self.codes).float().mean()

    def _count(self, codes: Tensor) -> Tensor:
        """The number of times that each code occurs, fp32 [K]; over all ranks in training."""
        codes = codes.flatten()
        ones = torch.ones(len(codes), device=codes.device)
        return self._over_ranks(ones.new_zeros(self.codes).index_add_(0, codes, ones))

    def _over_ranks(self, sums: Tensor) -> Tensor:
        if self.training and _several_ranks():
            dist.all_reduce(sums)
        return sums

    @torch.no_grad()
    def _record(self, counts: Tensor) -> None:
        self.counts.lerp_(counts, 1 - DECAY)
        self.idle.add_(counts.sum().long()).masked_fill_(counts > 0, 0)
        self.step.add_(1)


class Codebook(Quantizer):
    """Takes the nearest code, and learns codes by gradient: van den Oord et al., arXiv 1711.00937.

    loss = |sg(z) - e|^2 + beta |z - sg(e)|^2 (means over all elements). The gradient of the vectors
    goes straight through to z.
    """

    def __init__(self, config: VQConfig) -> None:
        super().__init__(config)
        self.embedding = embedding(config.codes, config.embed_dim)

    @property
    def table(self) -> Tensor:
        return self.embedding.weight

    def init_table(self, generator: torch.Generator | None) -> None:
        nn.init.uniform_(self.table, -1 / self.codes, 1 / self.codes, generator)

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        return self._nearest(self._flat(z)).view(z.shape[0], *z.shape[2:])

    def forward(self, z: Tensor) -> Quantized:
        # Distances and losses are in fp32, even under autocast.
        with torch.autocast(z.device.type, enabled=False):
            x_ND = self._flat(z)
            if self.training:
                self._revive(x_ND.detach())
            codes_N = self._nearest(x_ND)
            e_ND = F.embedding(codes_N, self.table).float()
            loss = self._loss(x_ND, e_ND)
            counts = self._count(codes_N)
            if self.training:
                self._learn(x_ND.detach(), codes_N, counts)
            # The value is bitwise e; z + (e - z) would not be.
            vectors_ND = (e_ND.detach() + (x_ND - x_ND.detach())).to(z.dtype)
        B, D, h, w = z.shape
        return Quantized(
            vectors_ND.view(B, h, w, D).permute(0, 3, 1, 2),
            codes_N.view(B, h, w),
            loss,
            self.perplexity(counts),
            self.usage(),
        )

    def _loss(self, x_ND: Tensor, e_ND: Tensor) -> Tensor:
        return F.mse_loss(e_ND, x_ND.detach()) + self.beta * F.mse_loss(x_ND, e_ND.detach())

    def _learn(self, x_ND: Tensor, codes_N: Tensor, counts: Tensor) -> None:
        self._record(counts)

    def _flat(self, z: Tensor) -> Tensor:
        return z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]).float()

    def _nearest(self, x_ND: Tensor) -> Tensor:
        with torch.autocast(x_ND.device.type, enabled=False):
            return ops.vq_nearest(x_ND.detach(), self.table.detach().float())

    @torch.no_grad()
    def _revive(self, x_ND: Tensor) -> Tensor:
        """Gives dead codes different vectors of this batch, in a random order that only the step
        determines.

        The host waits for nothing. Ranks must have the same number of vectors each; the codebook is
        rank 0's.

        Args:
            x_ND: the vectors.

        Returns:
            Which codes were revived, bool [K].
        """
        N = len(x_ND)
        dead = self.idle > PATIENCE * self.codes
        order = dead.cumsum(0) - 1
        revived = dead & (order < N)
        number = torch.arange(N, device=x_ND.device)
        zero = torch.zeros_like(number)
        counter = torch.stack([number, zero + self.step, zero, zero], 1)
        words = philox4x32((SEED, 0), counter)
        rows = words[:, 0].argsort(stable=True)
        vectors_KD = x_ND[rows[order.clamp(0, N - 1)]].to(self.table.dtype)
        self.table.copy_(torch.where(revived[:, None], vectors_KD, self.table))
        if _several_ranks():
            dist.broadcast(self.table, 0)
        self.idle.masked_fill_(revived, 0)
        self.counts.masked_fill_(revived, 1 - DECAY)
        return revived


class EMACodebook(Codebook):
    """Takes the nearest code; a code is the moving average of the vectors that chose it.

    The method is that of appendix A.1 of arXiv 1711.00937.

    loss = beta |z - sg(e)|^2.
    """

    sums: Tensor

    def __init__(self, config: VQConfig) -> None:
        super().__init__(config)
        self.table.requires_grad_(False)
        self.register_buffer("sums", torch.zeros(config.codes, config.embed_dim))

    @torch.no_grad()
    def reset(self, alive: bool) -> None:
        super().reset(alive)
        self.sums.copy_(self.table * (1 - DECAY))

    def _loss(self, x_ND: Tensor, e_ND: Tensor) -> Tensor:
        return self.beta * F.mse_loss(x_ND, e_ND)

    @torch.no_grad()
    def _learn(self, x_ND: Tensor, codes_N: Tensor, counts: Tensor) -> None:
        _, sums = ops.vq_statistics(x_ND, codes_N, self.codes)
        self._record(counts)
        self.sums.lerp_(self._over_ranks(sums), 1 - DECAY)
        # Both averages of an unused code shrink alike, so it stays where it is.
        mean = (self.sums / self.counts[:, None]).to(self.table.dtype)
        self.table.copy_(torch.where(counts[:, None] > 0, mean, self.table))

    @torch.no_grad()
    def _revive(self, x_ND: Tensor) -> Tensor:
        revived = super()._revive(x_ND)
        seen_once = self.table.float() * (1 - DECAY)
        self.sums.copy_(torch.where(revived[:, None], seen_once, self.sums))
        return revived


class Gumbel(Quantizer):
    """Draws codes with Gumbel noise from the logits of a 1x1 convolution; in evaluation, takes the
    likeliest.

    The gradient is that of the softmax at `temperature` (a buffer, for the trainer to lower): Jang
    et al., arXiv 1611.01144. loss = beta KL(softmax || uniform).
    """

    temperature: Tensor

    def __init__(self, config: VQConfig) -> None:
        super().__init__(config)
        self.proj = nn.Conv2d(config.embed_dim, config.codes, 1)
        self.embed = embedding(config.codes, config.embed_dim)
        self.register_buffer("temperature", torch.ones(()))

    @property
    def table(self) -> Tensor:
        return self.embed.weight

    @torch.no_grad()
    def reset(self, alive: bool) -> None:
        super().reset(alive)
        self.temperature.fill_(1)

    def init_table(self, generator: torch.Generator | None) -> None:
        nn.init.normal_(self.table, generator=generator)

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        return self.proj(z).argmax(1)

    def forward(self, z: Tensor) -> Quantized:
        logits = self.proj(z).float()
        if self.training:
            tau = cast(float, self.temperature)  # a tensor: the host need not wait for it
            drawn = F.gumbel_softmax(logits, tau=tau, hard=True, dim=1)
            codes = drawn.argmax(1)
            vectors = torch.einsum("bkhw,kd->bhwd", drawn.to(z.dtype), self.table.to(z.dtype))
            vectors = vectors.permute(0, 3, 1, 2)
        else:
            codes = logits.argmax(1)
            vectors = self.lookup(codes)
        log_q = logits.log_softmax(1)
        divergence = (log_q.exp() * (log_q + math.log(self.codes))).sum(1).mean()
        counts = self._count(codes)
        if self.training:
            self._record(counts)
        return Quantized(
            vectors, codes, self.beta * divergence, self.perplexity(counts), self.usage()
        )


def _several_ranks() -> bool:
    return dist.is_available() and dist.is_initialized()


QUANTIZERS: dict[str, type[Quantizer]] = {
    "gradient": Codebook,
    "ema": EMACodebook,
    "gumbel": Gumbel,
}


def make_quantizer(config: VQConfig) -> Quantizer:
    return QUANTIZERS[config.quantizer](config)
