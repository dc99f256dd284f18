"""Label maps with a convolution, and what it gives by the definition."""

import torch
import torch.nn.functional as F


def make(rows, size, labels, has_edges, outputs, dtype=torch.float32):
    """labels with void and, after them, what has no channel either; edges; weight; bias."""
    g = torch.Generator().manual_seed(labels + outputs)
    found = torch.randint(labels + 2, (rows, *size), generator=g)
    found = torch.where(found == labels + 1, 255, found).clamp(max=255).to(torch.uint8)
    edges = torch.rand(rows, *size, generator=g) < 0.4 if has_edges else None
    weight = torch.randn(outputs, labels + has_edges, 3, 3, generator=g).to(dtype)
    return found, edges, weight, torch.randn(outputs, generator=g).to(dtype)


def convolved(labels, edges, weight, bias) -> torch.Tensor:
    """The definition written again: one plane after the other, in fp64."""
    count = weight.shape[1] - (edges is not None)
    planes = [labels == label for label in range(count)] + ([] if edges is None else [edges])
    x = torch.stack(planes, 1).double()
    return F.conv2d(x, weight.double(), bias.double(), padding=1)
