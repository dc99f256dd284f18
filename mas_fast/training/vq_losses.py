"""The losses of the tokenizers, without the quantizer's own.

    loss = label_bce(logits, labels, edges, "mini158") + quantizer_loss           # VQ-SEG

    criterion = VQImageLoss(lpips=LPIPS("weights"), gan_start=10_000)             # VQ-IMG
    loss, terms = criterion(images, reconstruction, step=step, discriminator=discriminator,
                            last_layer=model.decoder.conv_out.weight)
    (loss + quantizer_loss).backward()
    if criterion.gan_factor(step) > 0:                                   # an optimizer of its own
        discriminator_loss(discriminator, images, reconstruction).backward()

Pictures are [B, 3, H, W] in [-1, 1]. Losses are computed in at least fp32, whatever autocast says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from mas_fast.scene.labels import COCO_THINGS, VOID, Layout, layout_named

PIECE = 1 << 21  # logits that label_bce holds in fp32 at a time: 8 MiB
CROPS = 8  # crops whose activations box_loss holds at a time
FACE_SIZE, OBJECT_SIZE = 224, 128  # sides of the resized crops

Distance = Callable[[Tensor, Tensor], Tensor]  # two [N, 3, H, W] -> [N]
Boxes = Sequence[Tensor | Sequence[Sequence[float]]]  # for each picture [n, 4]: x0, y0, x1, y1


# ---------------------------------------------------------------------- VQ-SEG


def label_bce(
    logits: Tensor,
    labels: Tensor,
    edges: Tensor,
    layout: Layout | str,
    alpha: float = 20.0,
    things: float = 1.0,
) -> Tensor:
    """The mean over all B C H W logits of a_c BCE(logit, target).

    The target is 1 at the pixel's label and, where the edge bit is set, at the edge channel; a void
    pixel has no label, so that each of its label channels has the target 0, as in the input that
    the encoder sees. a_c is `alpha` for the five face parts, `things` for things and human parts,
    else 1, and weighs the whole term, not its positive half alone (Gafni et al., arXiv 2203.13131,
    where `things` is 1).

    Computed as sum_c a_c softplus(x_c) - a_L x_L - E x_edge, and its gradient
    a_c (sigmoid(x_c) - target) alike, in pieces: beside the gradient nothing of the logits' size
    exists, no target above all.

    Args:
        logits: floating [B, C, H, W], C = layout.channels, any memory format.
        labels: uint8 [B, H, W], of the layout.
        edges: bool [B, H, W].
        layout: the layout, or its name.
        alpha: weight of the face parts.
        things: weight of things and human parts.

    Returns:
        A scalar in at least fp32.

    Raises:
        ValueError: shapes, dtypes or labels are others; to see the labels waits for the device.
    """
    layout = layout_named(layout)
    B, C, H, W = logits.shape if logits.ndim == 4 else (0, 0, 0, 0)
    if C != layout.channels or not logits.is_floating_point():
        raise ValueError(
            f"logits: found {logits.dtype} {list(logits.shape)}, expected floating "
            f"[B, {layout.channels}, H, W] for the layout {layout.name}"
        )
    for name, value, dtype in (("labels", labels, torch.uint8), ("edges", edges, torch.bool)):
        if value.shape != (B, H, W) or value.dtype != dtype:
            raise ValueError(
                f"{name}: found {value.dtype} {list(value.shape)}, expected {dtype} {[B, H, W]}"
            )
    allowed = torch.from_numpy(layout.allowed).to(labels.device)
    if not allowed[labels.long()].all():
        wrong = sorted(set(labels[~allowed[labels.long()]].tolist()))
        raise ValueError(
            f"labels: found {wrong[:8]}, expected {VOID} (void) or the label channels of the "
            f"layout {layout.name}, which has {layout.channels} channels"
        )
    weights = torch.ones(C, device=logits.device)
    weights[:COCO_THINGS] = weights[layout.human_channels] = things
    weights[layout.face_channels] = alpha
    return _LabelBCE.apply(logits, labels, edges, weights, layout.edge_channel)


class _LabelBCE(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, edges: Tensor, weights: Tensor, edge_channel: int
    ) -> Tensor:
        ctx.save_for_backward(logits, labels, edges, weights)
        ctx.edge_channel = edge_channel
        wide = torch.promote_types(logits.dtype, torch.float32)
        weights = weights.to(wide)
        negative = torch.zeros(logits.shape[1], dtype=wide, device=logits.device)
        positive = torch.zeros((), dtype=wide, device=logits.device)
        for b, rows in _pieces(logits):
            x = logits[b, :, rows].to(wide)
            negative += F.softplus(x, threshold=40).sum((1, 2))  # at 20, x would be 2e-9 off
            label, known = _known(labels[b, rows])
            hit = x.gather(0, label[None])[0] * weights[label]
            positive += (hit * known).sum() + (x[edge_channel] * edges[b, rows]).sum()
        return ((weights * negative).sum() - positive) / logits.numel()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        logits, labels, edges, weights = ctx.saved_tensors
        wide = torch.promote_types(logits.dtype, torch.float32)
        scale = weights.to(wide)[:, None, None] * (upstream.to(wide) / logits.numel())
        gradient = torch.empty_like(logits)
        for b, rows in _pieces(logits):
            # fp32 until the target is subtracted: sigmoid(x) - 1 would be rounded away in bf16.
            piece = torch.sigmoid(logits[b, :, rows].to(wide))
            label, known = _known(labels[b, rows])
            piece.scatter_add_(0, label[None], -known.to(wide)[None])
            piece[ctx.edge_channel] -= edges[b, rows].to(wide)
            gradient[b, :, rows] = piece.mul_(scale)
        return gradient, None, None, None, None


def _pieces(logits: Tensor) -> Iterator[tuple[int, slice]]:
    """Parts of at most PIECE logits (or one row of pixels): a picture and some of its rows."""
    B, C, H, W = logits.shape
    step = max(1, PIECE // max(1, C * W))
    for b in range(B):
        for start in range(0, H, step):
            yield b, slice(start, start + step)


def _known(labels: Tensor) -> tuple[Tensor, Tensor]:
    """The labels as int64, 0 where void, and where they are not void."""
    known = labels.ne(VOID)
    return labels.long() * known, known


# ---------------------------------------------------------------------- VQ-IMG


@dataclass(frozen=True, kw_only=True)
class VQImageLoss:
    """L1 + LPIPS + face + object + adaptive GAN terms of VQ-IMG.

    See Esser et al., arXiv 2012.09841, and Gafni et al., arXiv 2203.13131. A term whose distance is
    None, or whose weight is 0, is left out and costs nothing.

    Attributes:
        lpips: distance of two batches of pictures, such as perceptual.LPIPS.
        lpips_weight: its weight.
        face: distance of two batches of faces, such as perceptual.FaceDistance.
        face_weight: its weight.
        objects: distance of two batches of objects, such as perceptual.LPIPS.
        object_weight: its weight.
        gan_weight: weight of the GAN term, beside its adaptive one.
        gan_start: first step of the GAN term: a discriminator that sees noise learns nothing but
            how to win.
        gan_warmup: steps over which the term then grows, while the discriminator already learns at
            full rate.
        thing_weight: how often a pixel in an object's box counts in L1, where another counts once:
            small figures come late otherwise.
    """

    lpips: Distance | None = None
    lpips_weight: float = 1.0
    face: Distance | None = None
    face_weight: float = 1.0
    objects: Distance | None = None
    object_weight: float = 1.0
    gan_weight: float = 0.8
    gan_start: int = 10_000
    gan_warmup: int = 1_000
    thing_weight: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, int | float) and not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{name}: found {value}, expected a finite number >= 0")

    def gan_factor(self, step: int) -> float:
        """The factor of the GAN term at a step.

        It is 0 before gan_start, where the discriminator does not learn either, and 1 from
        gan_start + gan_warmup on.
        """
        if self.gan_weight == 0 or step < self.gan_start:
            return 0.0
        return min(1.0, (step - self.gan_start + 1) / (self.gan_warmup + 1))

    def __call__(
        self,
        images: Tensor,
        reconstruction: Tensor,
        *,
        step: int,
        discriminator: nn.Module | None = None,
        last_layer: Tensor | None = None,
        face_boxes: Boxes | None = None,
        object_boxes: Boxes | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The autoencoder's loss, without the quantizer's.

        Args:
            images: pictures [B, 3, H, W] in [-1, 1].
            reconstruction: of the same shape.
            step: the step, counted from 0.
            discriminator: not wrapped (by DDP, say); its parameters get no gradient. None leaves
                the GAN term out (evaluation).
            last_layer: the weight of the decoder's last convolution, where the adaptive weight
                compares gradients.
            face_boxes: for each picture any number of boxes, as crop_boxes takes them; needed where
                the term is in use.
            object_boxes: the same of objects.

        Returns:
            The loss, and its terms, unweighted and detached.

        Raises:
            ValueError: shapes differ, or an argument is missing.
        """
        if images.shape != reconstruction.shape:
            shapes = f"{list(images.shape)} and {list(reconstruction.shape)}"
            raise ValueError(f"images, reconstruction: found shapes {shapes}, expected equal ones")
        wide = torch.promote_types(reconstruction.dtype, torch.float32)
        difference = (images.to(wide) - reconstruction.to(wide)).abs()
        if self.thing_weight == 1:
            terms = {"l1": difference.mean()}
        else:
            boxes = _check_boxes("object", object_boxes)
            counts = 1 + (self.thing_weight - 1) * _inside(boxes, difference)
            terms = {"l1": (difference.mean(1) * counts).sum() / counts.sum()}
        loss = terms["l1"]
        if self.lpips is not None and self.lpips_weight > 0:
            terms["lpips"] = self.lpips(images, reconstruction).mean()
            loss = loss + self.lpips_weight * terms["lpips"]
        without_boxes = loss

        for name, distance, weight, listed, size in (
            ("face", self.face, self.face_weight, face_boxes, FACE_SIZE),
            ("object", self.objects, self.object_weight, object_boxes, OBJECT_SIZE),
        ):
            if distance is not None and weight > 0:
                boxes = _check_boxes(name, listed)
                terms[name] = box_loss(distance, images, reconstruction, boxes, size)
                loss = loss + weight * terms[name]

        factor = self.gan_factor(step)
        if discriminator is not None and factor > 0:
            if last_layer is None:
                raise ValueError("last_layer: found None, expected the decoder's last weight")
            frozen = {name: value.detach() for name, value in discriminator.named_parameters()}
            logits = functional_call(discriminator, frozen, (reconstruction,))
            terms["gan"] = -logits.to(wide).mean()
            terms["gan_weight"] = adaptive_weight(without_boxes, terms["gan"], last_layer)
            loss = loss + self.gan_weight * factor * terms["gan_weight"] * terms["gan"]
        return loss, {name: value.detach() for name, value in terms.items()}


def _check_boxes(name: str, boxes: Boxes | None) -> Boxes:
    if boxes is None:
        raise ValueError(f"{name}_boxes: found None, expected boxes for each picture")
    return boxes


def _inside(boxes: Boxes, pictures: Tensor) -> Tensor:
    """[B, H, W]: 1 in the boxes of each picture, else 0."""
    inside = torch.zeros_like(pictures[:, 0])
    for mask, part in _parts(inside, boxes):
        mask[part] = 1
    return inside


def adaptive_weight(reconstruction_loss: Tensor, gan_loss: Tensor, last_layer: Tensor) -> Tensor:
    """The weight of the GAN with which it moves the decoder as far as the reconstruction does.

    |d reconstruction_loss / d last_layer| / (|d gan_loss / d last_layer| + 1e-4), within 0 ..
    10,000, a constant. Both graphs are kept.
    """
    norms = [
        torch.autograd.grad(loss, last_layer, retain_graph=True)[0].float().norm()
        for loss in (reconstruction_loss, gan_loss)
    ]
    return (norms[0] / (norms[1] + 1e-4)).clamp(0, 1e4)


def discriminator_loss(discriminator: nn.Module, images: Tensor, reconstruction: Tensor) -> Tensor:
    """The hinge loss: (mean max(0, 1 - D(images)) + mean max(0, 1 + D(reconstruction))) / 2.

    The reconstruction gets no gradient. There are two forward passes to one backward: under DDP, a
    discriminator's forward pass must not synchronise buffers.
    """
    real = discriminator(images.detach()).float()
    fake = discriminator(reconstruction.detach()).float()
    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2


def box_loss(
    distance: Distance, images: Tensor, reconstruction: Tensor, boxes: Boxes, size: int
) -> Tensor:
    """The mean distance between the crops of both, over all boxes of the batch.

    A crowd weighs as much as a portrait; the loss is 0 where there are no boxes. Beyond CROPS
    boxes, activations are computed again in the backward pass, so that memory does not grow with
    the crowd.
    """
    real, fake = (crop_boxes(x, boxes, size) for x in (images, reconstruction))
    if len(real) <= CROPS:
        return distance(real, fake).mean() if len(real) else fake.sum()
    parts = [
        checkpoint(distance, *pair, use_reentrant=False)
        for pair in zip(real.split(CROPS), fake.split(CROPS), strict=True)
    ]
    return torch.cat(parts).mean()


def crop_boxes(images: Tensor, boxes: Boxes, size: int) -> Tensor:
    """The crops of all boxes, resized bilinearly with antialiasing.

    Args:
        images: floating [B, C, H, W].
        boxes: one list or tensor [n, 4] for each picture, n >= 0, of (x0, y0, x1, y1) in pixels
            from the upper left corner, x1 and y1 exclusive; grown to whole pixels and cut at the
            border. A box of which nothing remains is left out.
        size: side of a crop.

    Returns:
        [K, C, size, size], in the order of the pictures.

    Raises:
        ValueError: the number of lists is another, or a box is not four finite numbers.
    """
    wide = torch.promote_types(images.dtype, torch.float32)
    crops = [images.new_zeros((0, images.shape[1], size, size), dtype=wide)]
    for image, (rows, columns) in _parts(images, boxes):
        crop = image[None, :, rows, columns].to(wide)
        crops.append(F.interpolate(crop, (size, size), mode="bilinear", antialias=True))
    return torch.cat(crops)


def _parts(images: Tensor, boxes: Boxes) -> Iterator[tuple[Tensor, tuple[slice, slice]]]:
    """(image, (rows, columns)) of each box of images [B, ..., H, W], as crop_boxes takes them."""
    height, width = images.shape[-2:]
    if len(boxes) != len(images):
        problem = f"found {len(boxes)} lists, expected one for each of {len(images)} pictures"
        raise ValueError(f"boxes: {problem}")
    for image, listed in zip(images, boxes, strict=True):
        for box in listed.tolist() if isinstance(listed, Tensor) else listed:
            if len(box) != 4 or not all(map(math.isfinite, box)):
                raise ValueError(f"boxes: found {list(box)}, expected four numbers x0, y0, x1, y1")
            x0, y0 = (max(0, math.floor(v)) for v in box[:2])
            x1, y1 = min(width, math.ceil(box[2])), min(height, math.ceil(box[3]))
            if x0 < x1 and y0 < y1:
                yield image, (slice(y0, y1), slice(x0, x1))
