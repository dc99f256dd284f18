"""The shape of a GPT: its sizes, the presets, and the names and shapes of its weights. No torch.

It is apart from gpt.py so that, without torch, a bundle can be checked and the C++ engine built.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from mas_fast.ops.attention_masks import KERNEL, MASKS, seen
from mas_fast.streams import MOST_LENGTH, Stream, Streams
from mas_fast.utils.documents import short
from mas_fast.utils.validate import check_choice, check_flag, check_int, exact_keys

NORM_EPS = 1e-5  # LayerNorm
QK_NORM_EPS = 1e-6  # RMSNorm of queries and keys
POSITIONS = ("flat", "grid")
# Fields that older configs lack.
OPTIONAL = {"attention": "causal", "conv_kernel": KERNEL}
MOST = {"dim": 1 << 16, "layers": 1 << 10, "heads": 1 << 16, "mlp": 1 << 18}  # see streams.py


@dataclass(frozen=True)
class GPTConfig:
    """A pre-LN decoder over token streams.

    Attributes:
        streams: what a sequence is made of.
        dim: the width of the blocks.
        layers: the number of blocks.
        heads: the attention heads of a block; a divisor of dim.
        mlp: the width of the MLP.
        positions: "flat" gives every stream one row per position; "grid" gives streams with a grid
            one table of rows and one of columns, which are added.
        qk_norm: RMSNorm, per head, of queries and keys.
        attention: the mask (see ops/reference/attention.py) of all layers, or one per layer; masks
            other than "causal" need the streams with a grid at the end.
        conv_kernel: the side of the square of "conv".

    Raises:
        ValueError: names the value found and those allowed.
    """

    streams: Streams
    dim: int
    layers: int
    heads: int
    mlp: int
    positions: str = "flat"
    qk_norm: bool = False
    attention: str | tuple[str, ...] = "causal"
    conv_kernel: int = KERNEL

    def __post_init__(self) -> None:
        if not isinstance(self.streams, Streams):
            raise ValueError(f"streams: found {type(self.streams).__name__}, expected Streams")
        for name, most in MOST.items():
            check_int(name, getattr(self, name), 1, most)
        if self.dim % self.heads:
            raise ValueError(f"heads: found {self.heads}, expected a divisor of dim = {self.dim}")
        check_choice("positions", self.positions, POSITIONS)
        check_flag("qk_norm", self.qk_norm)
        object.__setattr__(self, "attention", self._checked_attention())
        check_int("conv_kernel", self.conv_kernel, 1, MOST_LENGTH)
        if self.conv_kernel % 2 == 0:
            raise ValueError(f"conv_kernel: found {self.conv_kernel}, expected an odd number")

    def _checked_attention(self) -> str | tuple[str, ...]:
        """The mask of all layers if they have the same, else a tuple with one per layer."""
        is_name = isinstance(self.attention, str)
        if not is_name and not isinstance(self.attention, list | tuple):
            expected = f"expected one of {list(MASKS)}, or a list of one a layer"
            raise ValueError(f"attention: found {short(self.attention)}, {expected}")
        names = _names(self.attention)
        if not is_name and len(names) != self.layers:
            expected = f"expected {self.layers}, one a layer"
            raise ValueError(f"attention: found a list of {len(names)}, {expected}")
        for name in names:
            check_choice("attention", name, MASKS)
        if set(names) != {"causal"}:
            self._check_grids(next(name for name in names if name != "causal"))
        return names[0] if len(set(names)) == 1 else names

    def _check_grids(self, mask: str) -> None:
        has_grid = [stream.grid is not None for stream in self.streams]
        if not has_grid[-1] or has_grid != sorted(has_grid):
            grids = {stream.name: stream.grid for stream in self.streams}
            expected = f"expected a grid for the last ones, and none before, for {mask!r}"
            raise ValueError(f"attention: found the grids {grids}, {expected}")

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads

    @property
    def masks(self) -> tuple[str, ...]:
        """The mask of each layer."""
        names = _names(self.attention)
        return names if len(names) == self.layers else names * self.layers

    @property
    def mask_layout(self) -> dict[str, Any]:
        """What `ops.attention` and `attention_masks.seen` need to know besides the mask."""
        grids = tuple(stream.grid for stream in self.streams if stream.grid)
        text = sum(stream.length for stream in self.streams if not stream.grid)
        return {"text": text, "grids": grids, "kernel": self.conv_kernel}

    def keys_seen(self, position: int) -> int:
        """The number of positions that the one at `position` sees, summed over the layers."""
        return sum(
            layers * sum(map(len, seen(mask, position, **self.mask_layout)))
            for mask, layers in Counter(self.masks).items()
        )

    def grid(self, stream: Stream) -> tuple[int, int] | None:
        """The grid of the stream's position tables; None if its table is flat."""
        return stream.grid if self.positions == "grid" else None

    def to_dict(self) -> dict:
        """Plain values for JSON, without those of OPTIONAL at their default; see `from_dict`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {"streams": self.streams.to_list()}
        if not isinstance(self.attention, str):
            values["attention"] = list(self.attention)
        return {k: v for k, v in values.items() if k not in OPTIONAL or v != OPTIONAL[k]}

    @classmethod
    def from_dict(cls, values: dict) -> GPTConfig:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a key is missing or unknown.
        """
        required = [field.name for field in fields(cls) if field.name not in OPTIONAL]
        exact_keys("GPT config", values, required, OPTIONAL)
        return cls(**{**values, "streams": Streams.from_list(values["streams"])})

    def to_engine(self) -> dict:
        """The `config` of mas_fast._engine.Engine, which knows only flat position tables."""
        streams = [{"name": s.name, "length": s.length, "vocab": s.vocab} for s in self.streams]
        sizes = {name: getattr(self, name) for name in ("dim", "layers", "heads", "mlp", "qk_norm")}
        values = {**sizes, "norm_eps": NORM_EPS, "streams": streams}
        if self.attention == "causal":
            return values
        for shape, stream in zip(streams, self.streams, strict=True):
            if stream.grid:
                shape["grid"] = list(stream.grid)
        return values | {"attention": list(self.masks), "conv_kernel": self.conv_kernel}

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of each weight, in the order of the GPT's state dict."""
        d = self.dim
        shapes: dict[str, tuple[int, ...]] = {}

        def affine(name: str, *shape: int) -> None:
            shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]

        for stream in self.streams:
            shapes[f"embed.{stream.name}.weight"] = (stream.vocab, d)
        for stream in self.streams:
            if grid := self.grid(stream):
                shapes[f"position.{stream.name}.row.weight"] = (grid[0], d)
                shapes[f"position.{stream.name}.column.weight"] = (grid[1], d)
            else:
                shapes[f"position.{stream.name}.weight"] = (stream.length, d)
        for i in range(self.layers):
            affine(f"blocks.{i}.norm1", d)
            affine(f"blocks.{i}.attention.qkv", 3 * d, d)
            if self.qk_norm:
                for norm in ("q_norm", "k_norm"):
                    shapes[f"blocks.{i}.attention.{norm}.weight"] = (self.head_dim,)
            affine(f"blocks.{i}.attention.proj", d, d)
            affine(f"blocks.{i}.norm2", d)
            affine(f"blocks.{i}.mlp.up", self.mlp, d)
            affine(f"blocks.{i}.mlp.down", d, self.mlp)
        affine("norm", d)
        for stream in self.streams:
            shapes[f"head.{stream.name}.weight"] = (stream.vocab, d)
        return shapes


def _names(attention: str | Sequence[str]) -> tuple[str, ...]:
    return (attention,) if isinstance(attention, str) else tuple(attention)


def _text(length: int, vocab: int) -> Stream:
    return Stream("text", length, vocab, loss_weight=1.0, pad=0)


def _seg(side: int, vocab: int) -> Stream:
    return Stream("seg", side * side, vocab, (side, side), loss_weight=1.0)


def _img(side: int, vocab: int) -> Stream:
    return Stream("img", side * side, vocab, (side, side), loss_weight=7.0)


PRESETS = {
    # 271,337,472 parameters
    "mini-270m": GPTConfig(
        Streams([_text(64, 16384), _seg(16, 1024), _img(16, 16384)]),
        dim=1024,
        layers=16,
        heads=16,
        mlp=4096,
    ),
    # 6,664,192 parameters: 352 tokens; 320 x 7 sees six samples on a CPU in the time of ten
    "storybook": GPTConfig(
        Streams([_text(32, 1024), _seg(8, 512), _img(16, 2048)]),
        dim=256,
        layers=6,
        heads=4,
        mlp=1024,
    ),
    # 9,579,008 parameters: 448 tokens, of which the 256 of the picture take three quarters of the
    # time. With 320 channels fewer samples fit into a session than so many weights need.
    "storybook-256": GPTConfig(
        Streams([_text(48, 1024), _seg(12, 1024), _img(16, 4096)]),
        dim=256,
        layers=8,
        heads=4,
        mlp=1024,
    ),
    # 3,911,480,320 parameters: Make-A-Scene's size. Its 48 heads do not divide 2560; 40 of 64 do.
    "make-a-scene-4b": GPTConfig(
        Streams([_text(256, 16384), _seg(16, 1024), _img(32, 8192)]),
        dim=2560,
        layers=48,
        heads=40,
        mlp=10240,
    ),
    # 1,291,081,728 parameters: minDALL-E's own shape
    "mindalle-1.3b": GPTConfig(
        Streams([_text(64, 16384), _img(16, 16384)]), dim=1536, layers=42, heads=24, mlp=6144
    ),
    # for tests: milliseconds
    "tiny": GPTConfig(
        Streams([_text(8, 64), _seg(4, 32), _img(4, 64)]), dim=32, layers=2, heads=4, mlp=128
    ),
}


def preset(name: str) -> GPTConfig:
    """The config called `name`.

    Raises:
        ValueError: there is none.
    """
    check_choice("preset", name, PRESETS)
    return PRESETS[name]
