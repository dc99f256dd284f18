"""An image tokenizer in PyTorch: codes to pictures and scenes, and back.

    pixels = decode_pictures(load_vq("my-bundle", "vq_img"), codes)     # uint8 [H, W, 3] each
    scenes = decode_scenes(load_vq("my-bundle", "vq_seg"), codes)       # Scene each
    codes = encode_scenes(load_vq("my-bundle", "vq_seg"), scenes)
    codec = TorchCodec("vq_seg", load_vq("my-bundle", "vq_seg"))        # the same with arrays

Items are processed one at a time; codec.py says why.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mas_fast.models.codec import Codec, Item
from mas_fast.models.vqvae import VQVAE
from mas_fast.scene.labels import layout_named
from mas_fast.scene.scene import Scene


class TorchCodec(Codec):
    """A VQVAE, on any device, as an image tokenizer.

    Args:
        subject: what errors call it.
        model: the VQVAE.
    """

    def __init__(self, subject: str, model: VQVAE) -> None:
        super().__init__(subject, model.config)
        self.model = model

    def _encode(self, item: Item) -> np.ndarray:
        if isinstance(item, Scene):
            return encode_scenes(self.model, [item]).cpu().numpy()
        return encode_pictures(self.model, [item]).cpu().numpy()

    def _decode(self, codes: np.ndarray) -> Item:
        decode = decode_pictures if self.config.input == "image" else decode_scenes
        return decode(self.model, torch.from_numpy(codes))[0]


@torch.no_grad()
def decode_pictures(model: VQVAE, codes: Tensor) -> list[np.ndarray]:
    """Decodes codes to pictures.

    Args:
        model: the image tokenizer.
        codes: int64 [B, h, w], on any device.

    Returns:
        uint8 [H, W, 3] each.
    """
    return [pictures(model.decode(grid[None].to(model.device)))[0] for grid in codes]


@torch.no_grad()
def decode_scenes(model: VQVAE, codes: Tensor) -> list[Scene]:
    """Decodes codes to scenes: the likeliest label of each pixel, and an edge where one is likelier
    than none.

    Args:
        model: the image tokenizer of scenes.
        codes: int64 [B, h, w], on any device.

    Returns:
        A Scene each.

    Raises:
        ValueError: the tokenizer has no layout of scenes.
    """
    layout = layout_named(_layout(model))
    channels = layout.label_channels  # one of mas159 is no label
    labels_of = torch.from_numpy(channels.astype(np.int64)).to(model.device)
    scenes = []
    for grid in codes:
        logits = model.decode(grid[None].to(model.device))[0]
        labels = labels_of[logits[labels_of].argmax(0)].to(torch.uint8)
        edges = logits[layout.edge_channel] > 0
        scenes.append(Scene(labels.cpu().numpy(), edges.cpu().numpy(), layout))
    return scenes


@torch.no_grad()
def encode_scenes(model: VQVAE, scenes: Sequence[Scene]) -> Tensor:
    """Encodes scenes.

    Args:
        model: the image tokenizer of scenes.
        scenes: of one size.

    Returns:
        int64 [B, h, w], on the model's device.

    Raises:
        ValueError: as VQVAE.encode, and if the tokenizer has no layout of scenes.
    """
    codes = []
    for scene in scenes:
        scene = scene.to(_layout(model))
        labels = torch.from_numpy(scene.labels).to(model.device)
        edges = torch.from_numpy(scene.edges).to(model.device)
        codes.append(model.encode((labels[None], edges[None])))
    return torch.cat(codes)


@torch.no_grad()
def encode_pictures(model: VQVAE, pixels: Sequence[np.ndarray]) -> Tensor:
    """Encodes pictures.

    Args:
        model: the image tokenizer.
        pixels: uint8 [H, W, 3] each, of one size.

    Returns:
        int64 [B, h, w], on the model's device.

    Raises:
        ValueError: as VQVAE.encode.
    """
    images = (torch.tensor(array, device=model.device).permute(2, 0, 1) for array in pixels)
    return torch.cat([model.encode((image.float() / 127.5 - 1)[None]) for image in images])


def pictures(images: Tensor) -> list[np.ndarray]:
    """Images [B, 3, H, W] in [-1, 1] as pictures, uint8 [H, W, 3] each."""
    scaled = ((images.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return list(scaled.permute(0, 2, 3, 1).cpu().numpy())


def _layout(model: VQVAE) -> str:
    if model.config.layout is None:
        problem = f"found a tokenizer of {model.config.input!r} without a layout"
        raise ValueError(f"{problem}, expected one of scenes: mini158 or mas159")
    return model.config.layout
