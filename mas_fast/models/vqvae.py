"""The tokenizer of pictures and of scenes: encoder, codebook, decoder.

    model = VQVAE.create(preset("vq-img-f16"))  # VQVAE(config): on the meta device, for you to fill
    codes = model.encode(images)                 # float [B, 3, H, W] in [-1, 1] -> int64 [B, h, w]
    images = model.decode(codes)                 # [B, 3, H, W], about [-1, 1], not clamped
    scenes = VQVAE.create(preset("vq-seg-mini158"))
    codes = scenes.encode((labels, edges))       # uint8 [B, H, W], bool [B, H, W]
    logits = scenes.decode(codes)                # [B, 158, H, W], one logit for each channel

The architecture, and each name, is that of minDALL-E's and taming's first stage (Esser et al.,
arXiv 2012.09841). Surprising here: a scene never becomes one-hot channels, because the first
convolution adds up rows of its weights; and tensors are channels-last throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mas_fast import ops
from mas_fast.models.quantizer import Quantizer, make_quantizer
from mas_fast.models.skip_init import to_empty
from mas_fast.models.vqvae_config import GROUPS, NORM_EPS, PRESETS, VQConfig, preset
from mas_fast.scene import VOID
from mas_fast.utils.devices import whole_fp32

__all__ = ["Output", "PRESETS", "VQConfig", "VQVAE", "preset"]

Input = Tensor | tuple[Tensor, Tensor | None]


@dataclass
class Output:
    """reconstruction [B, C, H, W] as decode gives it; codes int64 [B, h, w]; quantizer_loss: to be
    added to the loss of the reconstruction; perplexity of this batch's codes; usage: the share of
    the codes that were used lately in training."""

    reconstruction: Tensor
    codes: Tensor
    quantizer_loss: Tensor
    perplexity: Tensor
    usage: Tensor


class Norm(nn.GroupNorm):
    """GroupNorm in fp32 at least: its sums over a group are where bfloat16 fails first."""

    def __init__(self, width: int) -> None:
        super().__init__(GROUPS, width, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        dtype = torch.promote_types(x.dtype, torch.float32)
        weight, bias = self.weight.to(dtype), self.bias.to(dtype)
        return F.group_norm(x.to(dtype), GROUPS, weight, bias, NORM_EPS).to(x.dtype)


class LabelConv2d(nn.Conv2d):
    """A 3x3 convolution, zero outside, over the one-hot channels of a label map, which are never
    built (ops.label_conv). Void has no channel and adds nothing."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__(config.channels, config.ch, 3, padding=1)
        self.labels = config.channels - config.has_edges
        self.has_edges = config.has_edges

    def forward(self, labels: Tensor, edges: Tensor | None = None) -> Tensor:
        """labels uint8 [B, H, W], below self.labels or 255; edges bool [B, H, W] -> [B, O, H, W],
        channels-last."""
        y = ops.label_conv(labels, edges, self.weight, self.bias)
        device = self.weight.device.type
        return y.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else y


class Patches2d(nn.Conv2d):
    """A 3x3 convolution over the patches of a picture, each the channels of one place."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__(config.channels * config.patch**2, config.ch, 3, padding=1)
        self.patch = config.patch

    def forward(self, x: Tensor) -> Tensor:
        if self.patch > 1:
            x = F.pixel_unshuffle(x, self.patch).contiguous(memory_format=torch.channels_last)
        return super().forward(x)


class ResnetBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = Norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = Norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        return y + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Attention(nn.Module):
    """Self-attention of one head over all positions of the grid, softmax scale 1 / sqrt(width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = Norm(width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        # [B, C, H, W] -> [B, 1, H W, C]: a view, because channels are last.
        q, k, v = (part(y).flatten(2).transpose(1, 2)[:, None] for part in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2)
        return x + self.proj_out(y.unflatten(2, x.shape[2:]))


class Level(nn.Module):
    """Blocks at one size, each followed by attention where the level has it."""

    def __init__(self, inputs: int, width: int, blocks: int, attends: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            ResnetBlock(width if j else inputs, width) for j in range(blocks)
        )
        self.attn = nn.ModuleList(Attention(width) for _ in range(blocks if attends else 0))

    def forward(self, x: Tensor) -> Tensor:
        for j, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[j](x)
        return x


class Downsample(nn.Module):
    """A convolution of stride 2, padded to the right and below only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Every pixel becomes 2 x 2, then a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Middle(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(width, width)
        self.attn_1 = Attention(width)
        self.block_2 = ResnetBlock(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        widths = config.widths
        if config.input == "labels":
            self.conv_in = LabelConv2d(config)
        else:
            self.conv_in = Patches2d(config)
        self.down = nn.ModuleList()
        for i, (inputs, width) in enumerate(zip((config.ch, *widths), widths, strict=False)):
            level = Level(inputs, width, config.num_res_blocks, config.attends(i))
            if i + 1 != len(widths):
                level.downsample = Downsample(width)
            self.down.append(level)
        self.mid = Middle(widths[-1])
        self.norm_out = Norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], config.z_channels, 3, padding=1)

    def forward(self, *x: Tensor | None) -> Tensor:
        """Image, or labels and edges -> [B, z_channels, H / f, W / f]."""
        y = self.conv_in(*x)
        for level in self.down:
            y = level(y)
            if hasattr(level, "downsample"):
                y = level.downsample(y)
        return self.conv_out(F.silu(self.norm_out(self.mid(y))))


class Decoder(nn.Module):
    """Its levels are numbered like the encoder's, so the last is the first to run."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        widths = config.widths
        self.conv_in = nn.Conv2d(config.z_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1])
        self.up = nn.ModuleList()
        for i, (width, inputs) in enumerate(zip(widths, (*widths[1:], widths[-1]), strict=True)):
            level = Level(inputs, width, config.num_res_blocks + 1, config.attends(i))
            if i != 0:
                level.upsample = Upsample(width)
            self.up.append(level)
        self.norm_out = Norm(widths[0])
        self.patch = config.patch
        self.conv_out = nn.Conv2d(widths[0], config.channels * self.patch**2, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        y = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            y = level(y)
            if hasattr(level, "upsample"):
                y = level.upsample(y)
        y = self.conv_out(F.silu(self.norm_out(y)))
        return y if self.patch == 1 else F.pixel_shuffle(y, self.patch)


class VQVAE(nn.Module):
    """See the module's docstring. Construction allocates nothing: the weights are on the meta
    device until `create` or `from_weights` gives them memory. The parameters are exactly
    config.weight_shapes(); the buffers are what the codebook remembers of its training."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        self.config = config
        with torch.device("meta"):
            self.encoder = Encoder(config)
            self.decoder = Decoder(config)
            self.quantize = make_quantizer(config)
            self.quant_conv = nn.Conv2d(config.z_channels, config.embed_dim, 1)
            self.post_quant_conv = nn.Conv2d(config.embed_dim, config.z_channels, 1)
        self.to(memory_format=torch.channels_last)

    @classmethod
    def create(
        cls, config: VQConfig, *, device="cpu", dtype: torch.dtype = torch.float32, seed: int = 0
    ) -> VQVAE:
        """A VQVAE with random weights, the same for the same seed, device type and dtype. Its
        codebook takes its first values from the first batch that it trains on."""
        model = to_empty(cls(config).to(dtype), device)
        model.init_weights(torch.Generator(device).manual_seed(seed))
        return model

    @classmethod
    def from_weights(
        cls, config: VQConfig, weights: Mapping[str, Tensor], *, device="cpu"
    ) -> VQVAE:
        """A VQVAE with the given weights, of the names and shapes of config.weight_shapes() and of
        one dtype, which becomes the model's."""
        model = to_empty(cls(config).to(next(iter(weights.values())).dtype), device)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(weights[name])
        model.quantize.reset(alive=True)
        return model

    def weights(self) -> dict[str, Tensor]:
        """The inverse of `from_weights`: all parameters, contiguous."""
        return {name: value.detach().contiguous() for name, value in self.named_parameters()}

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """PyTorch's defaults, as taming: convolutions and biases uniform within 1 / sqrt(fan-in),
        gains 1."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                bound = module.weight[0].numel() ** -0.5
                nn.init.uniform_(module.weight, -bound, bound, generator)
                nn.init.uniform_(module.bias, -bound, bound, generator)
            elif isinstance(module, Norm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, Quantizer):
                module.init_table(generator)
                module.reset(alive=False)

    @property
    def device(self) -> torch.device:
        return self.quant_conv.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.quant_conv.weight.dtype

    def encode(self, x: Input) -> Tensor:
        """x: image [B, 3, H, W] in [-1, 1], or (labels uint8 [B, H, W], edges bool [B, H, W]; None
        for a layout without) -> codes int64 [B, H / f, W / f]. ValueError for another shape or
        dtype, and, on a CPU, for a label that has no channel."""
        with torch.no_grad(), whole_fp32():
            return self.quantize.encode(self._features(x))

    def decode(self, codes: Tensor) -> Tensor:
        """int64 [B, h, w] -> [B, C, h f, w f]: an image, about [-1, 1], not clamped, or the logits
        of a scene's channels. ValueError for another shape or dtype; codes are trusted (on a CPU a
        bad one is an IndexError)."""
        if codes.dtype != torch.int64 or codes.ndim != 3:
            found = f"found {codes.dtype} {list(codes.shape)}"
            raise ValueError(f"codes: {found}, expected torch.int64 [B, h, w]")
        with whole_fp32():
            return self.decoder(self.post_quant_conv(self.quantize.lookup(codes)))

    def forward(self, x: Input) -> Output:
        """x as in `encode`. In training mode the codebook also learns and counts. ValueError to
        train in another dtype than fp32: autocast computes in bf16, but weights and statistics need
        their small changes."""
        if self.training and self.dtype != torch.float32:
            raise ValueError(f"found weights of {self.dtype}, expected torch.float32 to train")
        quantized = self.quantize(self._features(x))
        return Output(
            self.decoder(self.post_quant_conv(quantized.vectors)),
            quantized.codes,
            quantized.loss,
            quantized.perplexity,
            quantized.usage,
        )

    def _features(self, x: Input) -> Tensor:
        if self.config.input == "labels":
            self._check_labels(*x)
            return self.quant_conv(self.encoder(*x))
        shape = f"expected float [B, {self.config.channels}, H, W]"
        if x.ndim != 4 or x.shape[1] != self.config.channels or not x.is_floating_point():
            raise ValueError(f"image: found {x.dtype} {list(x.shape)}, {shape}")
        self._check_size("image", x)
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return self.quant_conv(self.encoder(x))

    def _check_size(self, what: str, x: Tensor) -> None:
        f = self.config.f
        if any(size == 0 or size % f for size in x.shape[-2:]):
            found = f"found {list(x.shape)}"
            raise ValueError(f"{what}: {found}, expected a height and width divisible by {f}")

    def _check_labels(self, labels: Tensor, edges: Tensor | None) -> None:
        if labels.dtype != torch.uint8 or labels.ndim != 3:
            found = f"found {labels.dtype} {list(labels.shape)}"
            raise ValueError(f"labels: {found}, expected torch.uint8 [B, H, W]")
        self._check_size("labels", labels)
        if not self.config.has_edges:
            if edges is not None:
                raise ValueError("edges: found a tensor, expected None: this model has none")
        elif edges is None or edges.dtype != torch.bool or edges.shape != labels.shape:
            found = "None" if edges is None else f"{edges.dtype} {list(edges.shape)}"
            raise ValueError(f"edges: found {found}, expected torch.bool {list(labels.shape)}")
        if labels.device.type == "cpu":  # elsewhere it would wait for the device
            count = self.encoder.conv_in.labels
            wrong = labels[(labels >= count) & (labels != VOID)]
            if len(wrong):
                allowed = f"0..{count - 1} or {VOID}"
                raise ValueError(f"labels: found {int(wrong[0])}, expected {allowed}")
