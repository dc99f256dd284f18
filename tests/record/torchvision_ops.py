"""Makes torchvision importable, for recording, where its compiled operators do not load.

torchvision's wheel of PyPI is built for a CUDA torch; beside another torch `import torchvision`
fails. Here the operators' schemas are declared, and the two that Detectron2 calls for a prediction,
nms and roi_align, are computed in plain PyTorch: nms in the greedy order of its definition,
roi_align by torchvision's own Python implementation. What else is compiled (deform_conv2d and the
pooling of other detectors) does not run.
"""

from __future__ import annotations

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
    from torchvision.ops import boxes, roi_align

    boxes.nms = torchvision.ops.nms = nms
    # detectron2.layers imports the function, not the module
    torchvision.ops.roi_align = _roi_align(roi_align.__globals__["_roi_align"].__wrapped__)
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


def _roi_align(implementation):
    from torchvision.ops._utils import convert_boxes_to_roi_format

    def roi_align(
        input, boxes, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=False
    ) -> torch.Tensor:
        rois = boxes if isinstance(boxes, torch.Tensor) else convert_boxes_to_roi_format(boxes)
        height, width = (output_size, output_size) if isinstance(output_size, int) else output_size
        return implementation(input, rois, spatial_scale, height, width, sampling_ratio, aligned)

    return roi_align
