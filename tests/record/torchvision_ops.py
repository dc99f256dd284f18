"""Makes torchvision importable, for recording, where its compiled operators do not load.

torchvision's wheel of PyPI is built for a CUDA torch; beside another torch `import torchvision`
fails. Here the operators' schemas are declared, and the two that Detectron2 calls for a prediction,
nms and roi_align, are computed in plain PyTorch. What else is compiled (deform_conv2d, the pooling
of other detectors) does not run.
"""

from __future__ import annotations

import math

import torch


def load() -> str:
    """Import torchvision; returns how its operators run."""
    try:
        import torchvision  # noqa: F401

        return "compiled"
    except RuntimeError:
        pass
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    load.library = library  # its operators live as long as it does
    import torchvision
    from torchvision.ops import boxes

    boxes.nms = torchvision.ops.nms = nms
    torchvision.ops.roi_align = roi_align
    return "plain PyTorch"


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """The boxes [N, 4] that are left, best first: each best one removes those that overlap it by
    more than iou_threshold."""
    from torchvision.ops import box_iou

    order = scores.argsort(descending=True, stable=True)
    overlap = box_iou(boxes, boxes) > iou_threshold
    gone = torch.zeros(len(boxes), dtype=torch.bool)
    kept = []
    for i in order.tolist():
        if not gone[i]:
            kept.append(i)
            gone |= overlap[i]
    return torch.tensor(kept, dtype=torch.int64)


def roi_align(
    input: torch.Tensor,
    boxes: torch.Tensor | list[torch.Tensor],
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> torch.Tensor:
    """[K, C, height, width]: in each bin of a box the mean of bilinear samples on a regular grid,
    of ceil(size of the bin) points a side unless sampling_ratio says how many. A sample more than a
    pixel outside is 0."""
    from torchvision.ops._utils import convert_boxes_to_roi_format

    rois = boxes if isinstance(boxes, torch.Tensor) else convert_boxes_to_roi_format(boxes)
    bins = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    sizes, shift = input.shape[2:], 0.5 if aligned else 0.0
    pooled = [input.new_zeros((0, input.shape[1], *bins))]
    for roi in rois:
        x0, y0, x1, y1 = (roi[1:] * spatial_scale - shift).tolist()
        axes, counts = [], []
        for start, end, count in ((y0, y1, bins[0]), (x0, x1, bins[1])):
            extent = end - start if aligned else max(end - start, 1.0)
            samples = sampling_ratio if sampling_ratio > 0 else max(math.ceil(extent / count), 1)
            points = torch.arange(count * samples, dtype=input.dtype) + 0.5
            axes.append(start + points * (extent / (count * samples)))
            counts.append(samples)
        inside = [(v >= -1) & (v <= size) for v, size in zip(axes, sizes, strict=True)]
        y, x = (
            2 * v.clamp(0, size - 1) / max(size - 1, 1) - 1
            for v, size in zip(axes, sizes, strict=True)
        )
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None]
        picture = input[int(roi[0])][None]
        values = torch.nn.functional.grid_sample(picture, grid, align_corners=True)
        values = values * (inside[0][:, None] & inside[1])
        pooled.append(torch.nn.functional.avg_pool2d(values, tuple(counts)))
    return torch.cat(pooled)
