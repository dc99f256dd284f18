"""An image tokenizer in PyTorch: codes to pictures and scenes, and back.

    pixels = decode_pictures(load_vq("my-bundle", "vq_img"), codes)     # uint8 [H, W, 3] each
    scenes = decode_scenes(load_vq("my-bundle", "vq_seg"), codes)       # Scene each
    codes = encode_scenes(load_vq("my-bundle", "vq_seg"), scenes)
    codec = TorchCodec("vq_seg", load_vq("my-bundle", "vq_seg"))        # the same with arrays

Items are processed one at a time (codec.py says why), except that a GPU decodes as many at once as
have PIXELS: 16 of 256 x 256. There a small decoder is hundreds of launches for little arithmetic.
The kernels for another number of items may sum in another order, so on a GPU the last bits of a
value, and with them a byte or a label where two are equally near, may depend on how many are
decoded. `codec.together = 1` rules that out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from mas_fast.models.codec import Codec, Item
from mas_fast.models.vqvae import VQVAE
from mas_fast.scene.labels import layout_named
from mas_fast.scene.scene import Scene

PIXELS = 1 << 20  # that are decoded at once on a GPU, so that memory is bounded


class TorchCodec(Codec):
    """A VQVAE, on any device, as an image tokenizer.

    Args:
        subject: what errors call it.
        model: the VQVAE.
    """

    def __init__(self, subject: str, model: VQVAE) -> None:
        super().__init__(subject, model.config)
        self.model = model
        self.together = decoded_together(model)

    def _encode(self, item: Item) -> np.ndarray:
        if isinstance(item, Scene):
            return encode_scenes(self.model, [item]).cpu().numpy()
        return encode_pictures(self.model, [item]).cpu().numpy()

    def _decode(self, codes: np.ndarray) -> Sequence[Item]:
        decode = decode_pictures if self.config.input == "image" else decode_scenes
        return decode(self.model, torch.from_numpy(codes))


def decoded_together(model: VQVAE) -> int:
    """How many items a tokenizer decodes at once, on its device."""
    if model.device.type != "cuda":
        return 1
    return max(1, PIXELS // model.config.resolution**2)


@torch.no_grad()
def decode_pictures(model: VQVAE, codes: Tensor) -> list[np.ndarray]:
    """Decodes codes to pictures.

    Args:
        model: the image tokenizer.
        codes: int64 [B, h, w], on any device.

    Returns:
        uint8 [H, W, 3] each.
    """
    return [picture for images in _decoded(model, codes) for picture in pictures(images)]


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
    for logits in _decoded(model, codes):
        labels = labels_of[logits[:, labels_of].argmax(1)].to(torch.uint8).cpu().numpy()
        edges = (logits[:, layout.edge_channel] > 0).cpu().numpy()
        scenes += [Scene(*item, layout) for item in zip(labels, edges, strict=True)]
    return scenes


def _decoded(model: VQVAE, codes: Tensor) -> Iterator[Tensor]:
    """What the decoder gives, [1..together, C, H, W] each."""
    together = decoded_together(model)
    for start in range(0, len(codes), together):
        yield model.decode(codes[start : start + together].to(model.device))


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
