"""Codes of a tokenizer <-> pictures and scenes.

    pixels = decode_pictures(load_vq("my-bundle", "vq_img"), codes)     # uint8 [H, W, 3] each
    scenes = decode_scenes(load_vq("my-bundle", "vq_seg"), codes)       # Scene each
    codes = encode_scenes(load_vq("my-bundle", "vq_seg"), scenes)

One at a time: memory does not grow with their number, and no result depends on what is beside it
(a library may take another convolution for another batch, and a value between two bytes moves).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mas_fast.scene import Scene, layout_named
from mas_fast.vqvae import VQVAE


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


def pictures(images: Tensor) -> list[np.ndarray]:
    """[B, 3, H, W] in [-1, 1] -> uint8 [H, W, 3] each."""
    scaled = ((images.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return list(scaled.permute(0, 2, 3, 1).cpu().numpy())


def _layout(model: VQVAE) -> str:
    if model.config.layout is None:
        found = f"found a tokenizer of {model.config.input!r} without a layout"
        raise ValueError(f"{found}, expected one of scenes: mini158 or mas159")
    return model.config.layout
