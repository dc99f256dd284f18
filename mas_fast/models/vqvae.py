"""The tokenizer of pictures and of scenes, a VQ-VAE: encoder, codebook, decoder.

    model = VQVAE.create(preset("vq-img-f16"))  # VQVAE(config): on the meta device, for you to fill
    codes = model.encode(images)                 # float [B, 3, H, W] in [-1, 1] -> int64 [B, h, w]
    images = model.decode(codes)                 # [B, 3, H, W], about [-1, 1], not clamped
    scenes = VQVAE.create(preset("vq-seg-mini158"))
    codes = scenes.encode((labels, edges))       # uint8 [B, H, W], bool [B, H, W]
    logits = scenes.decode(codes)                # [B, 158, H, W], one logit for each channel

The architecture and all names are those of the first stage of minDALL-E and taming (Esser et al.,
arXiv 2012.09841). Two things are unusual: a scene never becomes one-hot channels, because the first
convolution adds up rows of its weights; and tensors are channels-last throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mas_fast.models.quantizer import Quantizer, make_quantizer
from mas_fast.models.skip_init import to_empty
from mas_fast.models.vqvae_config import PRESETS, VQConfig, preset
from mas_fast.models.vqvae_layers import Decoder, Encoder, LabelConv2d, Norm
from mas_fast.scene import VOID
from mas_fast.utils.devices import whole_fp32

__all__ = ["LabelConv2d", "Output", "PRESETS", "VQConfig", "VQVAE", "preset"]

Input = Tensor | tuple[Tensor, Tensor | None]


@dataclass
class Output:
    """What a VQVAE makes of a batch.

    Attributes:
        reconstruction: [B, C, H, W], as `VQVAE.decode` returns it.
        codes: int64 [B, h, w].
        quantizer_loss: to be added to the loss of the reconstruction.
        perplexity: of this batch's codes.
        usage: the share of the codes that were used lately in training.
    """

    reconstruction: Tensor
    codes: Tensor
    quantizer_loss: Tensor
    perplexity: Tensor
    usage: Tensor


class VQVAE(nn.Module):
    """An image tokenizer; see the module's docstring.

    Construction allocates nothing: the weights are on the meta device until `create` or
    `from_weights` gives them memory. The parameters are exactly config.weight_shapes(); the buffers
    are the training statistics of the codebook.

    Args:
        config: of the tokenizer.
    """

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        self.config = config
        with torch.device("meta"):
            self.encoder = Encoder(config)
            self.decoder = Decoder(config)
            self.quantize = make_quantizer(config)
            self.quant_conv = nn.Conv2d(config.z_channels, config.embed_dim, 1)
            self.post_quant_conv = nn.Conv2d(config.embed_dim, config.z_channels, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs

    @classmethod
    def create(
        cls,
        config: VQConfig,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> VQVAE:
        """A VQVAE with random weights, the same for the same seed, device type and dtype.

        Its codebook takes its first values from the first batch that it trains on.
        """
        model = to_empty(cls(config).to(dtype), device)
        model.init_weights(torch.Generator(device).manual_seed(seed))
        return model

    @classmethod
    def from_weights(
        cls, config: VQConfig, weights: Mapping[str, Tensor], *, device: torch.device | str = "cpu"
    ) -> VQVAE:
        """A VQVAE with given weights.

        Args:
            config: of the tokenizer.
            weights: of the names and shapes of config.weight_shapes(), and of one dtype, which
                becomes the model's.
            device: of the model.
        """
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
        """Initialises the weights as PyTorch and taming do: convolutions and biases uniform within
        1 / sqrt(fan-in), gains 1.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                bound = module.weight[0].numel() ** -0.5
                nn.init.uniform_(module.weight, -bound, bound, generator)
                if module.bias is not None:
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
        """Encodes images or label maps.

        Args:
            x: image [B, 3, H, W] in [-1, 1], or (labels uint8 [B, H, W], edges bool [B, H, W]; None
                for a layout without edges).

        Returns:
            Codes, int64 [B, H / f, W / f].

        Raises:
            ValueError: a wrong shape or dtype, or, on a CPU, a label that has no channel.
        """
        with torch.no_grad(), whole_fp32():
            return self.quantize.encode(self._features(x))

    def decode(self, codes: Tensor) -> Tensor:
        """Decodes codes.

        Args:
            codes: int64 [B, h, w]; ids are trusted (on a CPU a bad one is an IndexError).

        Returns:
            [B, C, h f, w f]: an image, about [-1, 1], not clamped, or the logits of a scene's
            channels.

        Raises:
            ValueError: a wrong shape or dtype.
        """
        if codes.dtype != torch.int64 or codes.ndim != 3:
            dtype_and_shape = f"found {codes.dtype} {list(codes.shape)}"
            raise ValueError(f"codes: {dtype_and_shape}, expected torch.int64 [B, h, w]")
        with whole_fp32():
            return self.decoder(self.post_quant_conv(self.quantize.lookup(codes)))

    def forward(self, x: Input) -> Output:
        """Encodes and decodes; in training mode the codebook also learns and counts.

        Args:
            x: as in `encode`.

        Raises:
            ValueError: as `encode`, and when training in another dtype than fp32: autocast computes
                in bf16, but weights and statistics need their small changes.
        """
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
        if not isinstance(x, Tensor):
            raise ValueError(f"image: found {type(x).__name__}, {shape}")
        if x.ndim != 4 or x.shape[1] != self.config.channels or not x.is_floating_point():
            raise ValueError(f"image: found {x.dtype} {list(x.shape)}, {shape}")
        self._check_size("image", x)
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return self.quant_conv(self.encoder(x))

    def _check_size(self, name: str, x: Tensor) -> None:
        f = self.config.f
        if any(size == 0 or size % f for size in x.shape[-2:]):
            shape = f"found {list(x.shape)}"
            raise ValueError(f"{name}: {shape}, expected a height and width divisible by {f}")

    def _check_labels(self, labels: Tensor, edges: Tensor | None) -> None:
        if labels.dtype != torch.uint8 or labels.ndim != 3:
            dtype_and_shape = f"found {labels.dtype} {list(labels.shape)}"
            raise ValueError(f"labels: {dtype_and_shape}, expected torch.uint8 [B, H, W]")
        self._check_size("labels", labels)
        if not self.config.has_edges:
            if edges is not None:
                raise ValueError("edges: found a tensor, expected None: this model has none")
        elif edges is None or edges.dtype != torch.bool or edges.shape != labels.shape:
            dtype_and_shape = "None" if edges is None else f"{edges.dtype} {list(edges.shape)}"
            raise ValueError(
                f"edges: found {dtype_and_shape}, expected torch.bool {list(labels.shape)}"
            )
        if labels.device.type == "cpu":  # elsewhere it would wait for the device
            count = self.config.channels - self.config.has_edges
            wrong = labels[(labels >= count) & (labels != VOID)]
            if len(wrong):
                allowed = f"0..{count - 1} or {VOID}"
                raise ValueError(f"labels: found {int(wrong[0])}, expected {allowed}")
