"""Codes of a tokenizer <-> pictures and scenes.

    pixels = decode_pictures(load_vq("my-bundle", "vq_img"), codes)     # uint8 [H, W, 3] each
    scenes = decode_scenes(load_vq("my-bundle", "vq_seg"), codes)       # Scene each
    codes = encode_scenes(load_vq("my-bundle", "vq_seg"), scenes)
    codec = TorchCodec("vq_seg", load_vq("my-bundle", "vq_seg"))        # the same with arrays

One at a time, as codec.py says.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mas_fast.models.codec import Codec, Item
from mas_fast.models.vqvae import VQVAE
from mas_fast.scene import Scene, layout_named


class TorchCodec(Codec):
    """A VQVAE, on any device, as a Codec."""

    def __init__(self, what: str, model: VQVAE) -> None:
        super().__init__(what, model.config)
        self.model = model

    def _encode(self, item: Item) -> np.ndarray:
        encode = encode_scenes if isinstance(item, Scene) else encode_pictures
        return encode(self.model, [item]).cpu().numpy()

    def _decode(self, codes: np.ndarray) -> Item:
        decode = decode_pictures if self.config.input == "image" else decode_scenes
        return decode(self.model, torch.from_numpy(codes))[0]


@torch.no_grad()
def decode_pictures(model: VQVAE, codes: Tensor) -> list[np.ndarray]:
    """uint8 [H, W, 3] each, from int64 [B, h, w] on any device."""
    return [pictures(model.decode(one[None].to(model.device)))[0] for one in codes]


@torch.no_grad()
def decode_scenes(model: VQVAE, codes: Tensor) -> list[Scene]:
    """The likeliest label of each pixel, and an edge where it is likelier than none, from int64
    [B, h, w] on any device. ValueError for a tokenizer without a layout of scenes."""
    layout = layout_named(_layout(model))
    channels = layout.label_channels  # mas159 has one that is no label
    labels_of = torch.from_numpy(channels.astype(np.int64)).to(model.device)
    scenes = []
    for one in codes:
        logits = model.decode(one[None].to(model.device))[0]
        labels = labels_of[logits[labels_of].argmax(0)].to(torch.uint8)
        edges = logits[layout.edge_channel] > 0
        scenes.append(Scene(labels.cpu().numpy(), edges.cpu().numpy(), layout))
    return scenes


@torch.no_grad()
def encode_scenes(model: VQVAE, scenes: Sequence[Scene]) -> Tensor:
    """int64 [B, h, w], on the model's device, from scenes of one size. ValueError as for
    VQVAE.encode and for a tokenizer without a layout of scenes."""
    codes = []
    for scene in scenes:
        scene = scene.to(_layout(model))
        maps = (torch.from_numpy(array).to(model.device) for array in (scene.labels, scene.edges))
        codes.append(model.encode(tuple(one[None] for one in maps)))
    return torch.cat(codes)


@torch.no_grad()
def encode_pictures(model: VQVAE, pixels: Sequence[np.ndarray]) -> Tensor:
    """int64 [B, h, w], on the model's device, from uint8 [H, W, 3] each, of one size. ValueError as
    for VQVAE.encode."""
    images = (torch.tensor(one, device=model.device).permute(2, 0, 1) for one in pixels)
    return torch.cat([model.encode((one.float() / 127.5 - 1)[None]) for one in images])


def pictures(images: Tensor) -> list[np.ndarray]:
    """[B, 3, H, W] in [-1, 1] -> uint8 [H, W, 3] each."""
    scaled = ((images.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return list(scaled.permute(0, 2, 3, 1).cpu().numpy())


def _layout(model: VQVAE) -> str:
    if model.config.layout is None:
        found = f"found a tokenizer of {model.config.input!r} without a layout"
        raise ValueError(f"{found}, expected one of scenes: mini158 or mas159")
    return model.config.layout
