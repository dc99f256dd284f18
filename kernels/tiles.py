"""Which tiles of an attention mask are computed, and which of those need the mask.

Both are found once, on the host, from the mask's definition. The kernels know nothing of what a
mask means.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

WIDTH = 64  # the most columns that a tile may have: the bits of two words
# Tensors with a number per row are padded to a multiple of this, and so of every tile of queries.
PAD = 128
COLUMN = 0xFFFF  # the low bits of an entry, the number of its tile; above them: 1 + its mask, or 0


def padded_shape(batch: int, heads: int, length: int) -> tuple[int, int, int]:
    """The shape of tensors with a number per row."""
    return batch, heads, (length + PAD - 1) // PAD * PAD


@dataclass(frozen=True)
class Table:
    """For each tile of rows, the tiles of columns that it needs; all tensors are int32.

    Attributes:
        starts: [row tiles + 1], where the entries of each tile of rows begin.
        entries: [executed tiles], ascending; see COLUMN.
        bits: [masks, 2, rows of a tile]: bit j of word w is column 32 w + j.
        total: the number of tiles without a mask.
    """

    starts: Tensor
    entries: Tensor
    bits: Tensor
    total: int


@dataclass(frozen=True, eq=False)
class Pattern:
    """A mask that is the same in all heads.

    Attributes:
        visible: bool [T, T] on the CPU, of (query, key), where each query sees itself.
        order: int64 [T] or None, the permutation in which tiles take positions, so that positions
            that are seen together share a tile.
    """

    visible: Tensor
    order: Tensor | None = None
    cache: dict = field(default_factory=dict, repr=False)

    def table(self, rows: int, columns: int, *, first: int = 0, by_key: bool = False) -> Table:
        """The tiles that are computed.

        Args:
            rows: of a tile: queries, or keys with by_key.
            columns: of a tile: keys, or queries with by_key; at most WIDTH.
            first: the position <= 0 at which the first tile of queries begins; the first tile of
                keys begins at 0.
            by_key: whether rows are keys.
        """
        length, shown = len(self.visible), self.visible
        if self.order is not None:
            shown = shown[self.order][:, self.order]
        shown, before, left = (shown.T, 0, -first) if by_key else (shown, -first, 0)
        down, across = -(-(before + length) // rows), -(-(left + length) // columns)
        padded = torch.zeros(down * rows, across * columns, dtype=torch.bool)
        padded[before : before + length, left : left + length] = shown
        free = torch.ones_like(padded[:, :1])  # rows that do not exist may see anything
        free[before : before + length] = False

        def tiled(mask: Tensor) -> Tensor:
            return mask.view(down, rows, across, columns).transpose(1, 2)

        shown, needed = tiled(padded), tiled(padded).any(3).any(2)
        partial = needed & ~tiled(padded | free).all(3).all(2)
        words = torch.zeros(int(partial.sum()), 2, rows, dtype=torch.int64)
        for word, part in enumerate(shown[partial].split(32, dim=2)):
            words[:, word] = (part.long() << torch.arange(part.shape[2])).sum(2)
        bits, number = words.unique(dim=0, return_inverse=True)
        entries = torch.arange(across).repeat(down, 1)
        entries[partial] += (number + 1) * (COLUMN + 1)
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), needed.sum(1).cumsum(0)])
        signed = bits - ((bits >> 31) << 32)
        return Table(starts.int(), entries[needed].int(), signed.int(), down * across)

    def on(self, device: torch.device, **tiles) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
        """A `table` on a device, cached.

        Args:
            device: where it shall be.
            tiles: the arguments of `table`.

        Returns:
            `order` as int32, and starts, entries and bits.
        """
        key = (device, *tiles.items())
        if key not in self.cache:
            table = self.table(**tiles)
            order = None if self.order is None else self.order.int().to(device)
            on_device = (each.to(device) for each in (table.starts, table.entries, table.bits))
            self.cache[key] = (order, *on_device)
        return self.cache[key]
