"""The shape of a VQVAE, an image tokenizer: its sizes, the presets, and the names and shapes of its
weights. No torch.

The names are those of minDALL-E's and taming's first stage, so that their checkpoints need no
translation.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from mas_fast.scene import VOID, layout_named
from mas_fast.streams import MOST_VOCAB
from mas_fast.utils.documents import short
from mas_fast.utils.validate import check_choice, check_int, check_number, exact_keys

GROUPS, NORM_EPS = 32, 1e-6  # GroupNorm
INPUTS = ("image", "labels")
QUANTIZERS = ("gradient", "ema", "gumbel")
# No tokenizer comes close; see streams.py.
MOST = {"codes": MOST_VOCAB, "resolution": 1 << 16, "ch": 1 << 16, "num_res_blocks": 64}
MOST |= {"z_channels": 1 << 16, "embed_dim": 1 << 16}
MOST_LEVELS, MOST_CHANNELS = 16, 1 << 16


@dataclass(frozen=True)
class VQConfig:
    """An image tokenizer: an encoder whose levels halve the picture, a codebook, and a decoder.

    Attributes:
        input: "image", or "labels": a label map in place of its one-hot channels.
        channels: of the picture, or the one-hot channels of the label map.
        codes: the number of vectors in the codebook.
        layout: the scene layout of the labels, whose last channel is the edge bit. None: labels
            without edges, such as taming's.
        resolution: the side of the pictures.
        ch: the base width of the levels.
        ch_mult: the width of each level as a multiple of `ch`; the picture is halved between them.
        num_res_blocks: blocks per level of the encoder; the decoder has one more.
        attn_resolutions: the grid sizes, of a picture of `resolution`, that have attention after
            each block.
        z_channels: the channels between encoder and codebook.
        embed_dim: the width of the codebook's vectors.
        quantizer: "gradient", "ema" or "gumbel".
        beta: the weight of the commitment term; with "gumbel", of the divergence from the uniform
            distribution.
        patch: the first layer takes squares of patch x patch pixels of a picture, and the last one
            gives them. With 2, a network for a CPU does the work of half the resolution.

    Raises:
        ValueError: names the value found and those allowed.
    """

    input: str
    channels: int
    codes: int
    layout: str | None = None
    resolution: int = 256
    ch: int = 128
    ch_mult: tuple[int, ...] = (1, 1, 2, 2, 4)
    num_res_blocks: int = 2
    attn_resolutions: tuple[int, ...] = (16,)
    z_channels: int = 256
    embed_dim: int = 256
    quantizer: str = "gradient"
    beta: float = 0.25
    patch: int = 1

    def __post_init__(self) -> None:
        for name, allowed in (("input", INPUTS), ("quantizer", QUANTIZERS)):
            check_choice(name, getattr(self, name), allowed)
        for name, most in MOST.items():
            check_int(name, getattr(self, name), 1, most)
        check_int("patch", self.patch, 1, 16 if self.input == "image" else 1)
        check_int("channels", self.channels, 1, VOID if self.input == "labels" else MOST_CHANNELS)
        for name, least in (("ch_mult", 1), ("attn_resolutions", 0)):
            sizes = getattr(self, name)
            if not isinstance(sizes, tuple | list) or not least <= len(sizes) <= MOST_LEVELS:
                expected = f"expected a list of {least} to {MOST_LEVELS} integers"
                raise ValueError(f"{name}: found {short(sizes)}, {expected}")
            for size in sizes:
                check_int(name, size, 1, MOST_CHANNELS)
            object.__setattr__(self, name, tuple(sizes))
        for mult in self.ch_mult:
            if self.ch * mult % GROUPS:
                actual = f"found a width of {self.ch * mult}"
                raise ValueError(f"ch, ch_mult: {actual}, expected multiples of {GROUPS}")
        if self.resolution % self.f:
            raise ValueError(
                f"resolution: found {self.resolution}, expected a multiple of {self.f}"
            )
        if self.layout is not None:
            if self.input != "labels":
                actual = f"found {short(self.layout)}"
                raise ValueError(f"layout: {actual}, expected None: input is an image")
            layout = layout_named(self.layout)
            object.__setattr__(self, "layout", layout.name)
            if self.channels != layout.channels:
                expected = f"expected {layout.channels}, as {layout.name} has"
                raise ValueError(f"channels: found {self.channels}, {expected}")
        check_number("beta", self.beta, 0)

    @property
    def f(self) -> int:
        """Pixels per code, along each side."""
        return self.patch * 2 ** (len(self.ch_mult) - 1)

    @property
    def has_edges(self) -> bool:
        """Whether the last channel is the edge bit."""
        return self.layout is not None

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, the finest first."""
        return tuple(self.ch * mult for mult in self.ch_mult)

    def attends(self, level: int) -> bool:
        """Whether the blocks of the level are followed by attention."""
        return self.resolution // self.patch >> level in self.attn_resolutions

    def to_dict(self) -> dict:
        """Plain values for JSON; `from_dict` reads them back."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {name: list(values[name]) for name in ("ch_mult", "attn_resolutions")}

    @classmethod
    def from_dict(cls, values: dict) -> VQConfig:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a key is missing or unknown.
        """
        exact_keys("VQ config", values, [field.name for field in fields(cls)])
        return cls(**values)

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of each weight, in the order of the VQVAE's parameters."""
        shapes: dict[str, tuple[int, ...]] = {}

        def affine(name: str, *shape: int) -> None:
            shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]

        def block(name: str, inputs: int, outputs: int) -> None:
            affine(f"{name}.norm1", inputs)
            affine(f"{name}.conv1", outputs, inputs, 3, 3)
            affine(f"{name}.norm2", outputs)
            affine(f"{name}.conv2", outputs, outputs, 3, 3)
            if inputs != outputs:
                affine(f"{name}.nin_shortcut", outputs, inputs, 1, 1)

        def attention(name: str, width: int) -> None:
            affine(f"{name}.norm", width)
            for part in ("q", "k", "v", "proj_out"):
                affine(f"{name}.{part}", width, width, 1, 1)

        def level(name: str, i: int, inputs: int, blocks: int) -> None:
            for j in range(blocks):
                block(f"{name}.block.{j}", inputs if j == 0 else self.widths[i], self.widths[i])
            for j in range(blocks if self.attends(i) else 0):
                attention(f"{name}.attn.{j}", self.widths[i])

        def middle(name: str) -> None:
            block(f"{name}.block_1", top, top)
            attention(f"{name}.attn_1", top)
            block(f"{name}.block_2", top, top)

        widths, top, last = self.widths, self.widths[-1], len(self.widths) - 1
        pixels = self.channels * self.patch**2
        affine("encoder.conv_in", self.ch, pixels, 3, 3)
        for i, width in enumerate(widths):
            level(f"encoder.down.{i}", i, (self.ch, *widths)[i], self.num_res_blocks)
            if i != last:
                affine(f"encoder.down.{i}.downsample.conv", width, width, 3, 3)
        middle("encoder.mid")
        affine("encoder.norm_out", top)
        affine("encoder.conv_out", self.z_channels, top, 3, 3)

        affine("decoder.conv_in", top, self.z_channels, 3, 3)
        middle("decoder.mid")
        for i, width in enumerate(widths):
            level(f"decoder.up.{i}", i, (*widths, top)[i + 1], self.num_res_blocks + 1)
            if i != 0:
                affine(f"decoder.up.{i}.upsample.conv", width, width, 3, 3)
        affine("decoder.norm_out", widths[0])
        affine("decoder.conv_out", pixels, widths[0], 3, 3)

        if self.quantizer == "gumbel":
            affine("quantize.proj", self.codes, self.embed_dim, 1, 1)
            shapes["quantize.embed.weight"] = (self.codes, self.embed_dim)
        else:
            shapes["quantize.embedding.weight"] = (self.codes, self.embed_dim)
        affine("quant_conv", self.embed_dim, self.z_channels, 1, 1)
        affine("post_quant_conv", self.z_channels, self.embed_dim, 1, 1)
        return shapes


_TINY: dict[str, Any] = {
    "resolution": 32,
    "ch": 32,
    "ch_mult": (1, 1, 2),
    "num_res_blocks": 1,
    "attn_resolutions": (8,),
    "z_channels": 32,
    "embed_dim": 16,
}
_STORYBOOK: dict[str, Any] = {
    "resolution": 64,
    "ch": 32,
    "ch_mult": (1, 1, 2, 4),
    "num_res_blocks": 1,
    "attn_resolutions": (),
    "z_channels": 64,
    "embed_dim": 32,
    "quantizer": "ema",
}
PRESETS = {
    # 72,498,974 and 72,501,279 parameters
    "vq-seg-mini158": VQConfig("labels", 158, 1024, layout="mini158"),
    "vq-seg-mas159": VQConfig("labels", 159, 1024, layout="mas159"),
    # 76,073,859 parameters: minDALL-E's own shape
    "vq-img-f16": VQConfig("image", 3, 16384),
    # Make-A-Scene's, at 256 pixels
    "vq-img-f8": VQConfig("image", 3, 8192, ch_mult=(1, 1, 2, 4), attn_resolutions=(32,)),
    # The storybook's, for two cores: f8, and no attention but in the middle. A scene of 64 pixels
    # takes a quarter of the arithmetic of 128; squares of 2 x 2 pixels give 2.7 times the samples a
    # second that one more level has.
    "vq-seg-storybook": VQConfig("labels", 158, 512, layout="mini158", **_STORYBOOK),
    "vq-img-storybook": VQConfig(
        "image", 3, 2048, **_STORYBOOK | {"resolution": 128, "patch": 2, "ch_mult": (1, 2, 4)}
    ),
    # The same for pictures of 256 pixels: squares of 4 x 4 cost what 2 x 2 did, and small things
    # keep their shapes in scenes of 96 pixels.
    "vq-seg-storybook-256": VQConfig(
        "labels", 158, 1024, layout="mini158", **_STORYBOOK | {"resolution": 96}
    ),
    "vq-img-storybook-256": VQConfig(
        "image", 3, 4096, **_STORYBOOK | {"resolution": 256, "patch": 4, "ch_mult": (1, 2, 4)}
    ),
    # for tests: milliseconds
    "tiny-seg": VQConfig("labels", 158, 32, layout="mini158", **_TINY),
    "tiny-img": VQConfig("image", 3, 64, **_TINY),
}


def preset(name: str) -> VQConfig:
    """The config called `name`.

    Raises:
        ValueError: there is none.
    """
    check_choice("preset", name, PRESETS)
    return PRESETS[name]
