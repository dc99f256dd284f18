"""Metrics: how well labels, pictures and codes survive a tokenizer.

    scenes, images = ConfusionMatrix(layout.edge_channel), ImageQuality(lpips=LPIPS("weights"))
    for batch in data:
        scenes.add(predicted_labels, labels)
        images.add(pictures, reconstruction)
    scenes.mean_iou(), images.result()

A metric of a whole data set is an accumulator that holds sums alone, so the data never sit in
memory; the functions are of one batch. Pictures are [N, 3, H, W] in [-1, 1], clamped. All
metrics but the networks are computed in fp64.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mas_fast.models.perceptual import check_pair
from mas_fast.scene.labels import VOID

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
FLAT = 1e-6  # energy of gradients below which a picture has none

# ---------------------------------------------------------------------- label maps


class ConfusionMatrix:
    """Pixels counted by true and predicted label.

    A pixel whose true label is void counts for nothing; one whose predicted label alone is void
    counts as missed.

    Args:
        classes: labels are 0 .. classes - 1; 255 is void.
        device: where the counts are.

    Attributes:
        counts: int64 [classes, classes + 1]; the last column is void. Ranks may add it up.
    """

    def __init__(self, classes: int, device: torch.device | str = "cpu") -> None:
        self.classes = classes
        self.counts = torch.zeros(classes, classes + 1, dtype=torch.int64, device=device)

    def add(self, predicted: Tensor, target: Tensor) -> None:
        """Count the pixels of one batch.

        Args:
            predicted: integers of any shape.
            target: integers of the same shape.

        Raises:
            ValueError: shapes, dtypes or labels are others.
        """
        if predicted.shape != target.shape:
            shapes = f"{list(predicted.shape)} and {list(target.shape)}"
            raise ValueError(f"predicted, target: found shapes {shapes}, expected equal ones")
        known = torch.ne(_labels("target", target, self.classes), VOID)
        truth = target[known].long()
        guess = _labels("predicted", predicted, self.classes)[known].long()
        guess = guess.where(torch.ne(guess, VOID), self.classes)
        pairs = torch.bincount(truth * (self.classes + 1) + guess, minlength=self.counts.numel())
        self.counts += pairs.view_as(self.counts).to(self.counts.device)

    def iou(self) -> Tensor:
        """Intersection / union of each class, fp64 [classes]; NaN where neither map has it."""
        counts = self.counts.double()
        both = counts.diagonal()
        return both / (counts.sum(1) + counts[:, : self.classes].sum(0) - both)

    def mean_iou(self) -> float:
        """The mean over the classes that either map has; NaN where there is none."""
        return float(self.iou().nanmean())


def mean_iou(predicted: Tensor, target: Tensor, classes: int) -> float:
    """The mean IoU of two label maps, as ConfusionMatrix has it."""
    matrix = ConfusionMatrix(classes, predicted.device)
    matrix.add(predicted, target)
    return matrix.mean_iou()


def _labels(name: str, labels: Tensor, classes: int) -> Tensor:
    """`labels`, if they are below `classes` or void."""
    if labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"{name}: found dtype {labels.dtype}, expected integers")
    wrong = labels[((labels < 0) | (labels >= classes)) & (labels != VOID)]
    if len(wrong):
        raise ValueError(f"{name}: found label {int(wrong[0])}, expected 0..{classes - 1} or 255")
    return labels


# ---------------------------------------------------------------------- pictures


def psnr(images: Tensor, others: Tensor) -> Tensor:
    """Peak signal-to-noise ratio: 10 log10(1 / mean squared difference), scaled to [0, 1].

    Args:
        images: pictures [N, 3, H, W] in [-1, 1].
        others: pictures of the same shape.

    Returns:
        fp64 [N], in dB; inf for equal pictures.

    Raises:
        ValueError: either has another shape.
    """
    check_pair(images, others)
    square = (_unit_range(images) - _unit_range(others)).square().mean((1, 2, 3))
    return -10 * square.log10()


def sharpness(images: Tensor, others: Tensor) -> Tensor:
    """The energy of the second pictures' gradients, in terms of the first ones': below 1 they are
    blurred, above it they have more edges or noise.

    Args:
        images: pictures [N, 3, H, W] in [-1, 1], H and W >= 2.
        others: pictures of the same shape.

    Returns:
        fp64 [N]: the ratio of the summed squares of differences between neighbours.

    Raises:
        ValueError: either has another shape.
    """
    check_pair(images, others, smallest=2)
    return (_gradients(others) + FLAT) / (_gradients(images) + FLAT)


def _gradients(images: Tensor) -> Tensor:
    x = _unit_range(images)
    across, down = (x.diff(dim=axis).square().sum((1, 2, 3)) for axis in (3, 2))
    return across + down


def ssim(images: Tensor, others: Tensor) -> Tensor:
    """Structural similarity (Wang et al., 2004) of pictures scaled to [0, 1].

    A Gaussian window of 11 x 11, sigma 1.5, at each position where it lies within the picture, K1
    0.01, K2 0.03; the mean over positions and channels.

    Args:
        images: pictures [N, 3, H, W] in [-1, 1], H and W >= 11.
        others: pictures of the same shape.

    Returns:
        fp64 [N].

    Raises:
        ValueError: either has another shape.
    """
    check_pair(images, others, smallest=SSIM_WINDOW)
    x, y = _unit_range(images), _unit_range(others)
    mean_x, mean_y, xx, yy, xy = map(_blur, (x, y, x * x, y * y, x * y))
    c1, c2 = 0.01**2, 0.03**2
    spread = xx - mean_x.square() + yy - mean_y.square()
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * (xy - mean_x * mean_y) + c2) / (spread + c2)
    return (luminance * structure).mean((1, 2, 3))


class ImageQuality:
    """Mean PSNR, SSIM and sharpness of pictures and, where asked for, mean LPIPS and rFID.

    Args:
        lpips: perceptual.LPIPS, or any distance of two batches; None leaves it out.
        features: pictures [N, 3, H, W] -> [N, D], say an Inception network's last layer, for the
            Frechet distance between both sets, rFID; None leaves it out.

    Attributes:
        count: pictures so far.
    """

    def __init__(
        self,
        *,
        lpips: Callable[[Tensor, Tensor], Tensor] | None = None,
        features: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._metrics: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "psnr": psnr,
            "ssim": ssim,
            "sharpness": sharpness,
        }
        if lpips is not None:
            self._metrics["lpips"] = lpips
        self._features = features
        self._statistics = FeatureStatistics(), FeatureStatistics()
        self._sums = dict.fromkeys(self._metrics, 0.0)
        self.count = 0

    @torch.no_grad()
    def add(self, images: Tensor, reconstruction: Tensor) -> None:
        """Measure one batch.

        Raises:
            ValueError: shapes are not those of `ssim`.
        """
        pair = images.clamp(-1, 1), reconstruction.clamp(-1, 1)
        for name, metric in self._metrics.items():
            self._sums[name] += float(metric(*pair).double().sum())
        if self._features is not None:
            for statistics, pictures in zip(self._statistics, pair, strict=True):
                statistics.add(self._features(pictures))
        self.count += len(images)

    def result(self) -> dict[str, float]:
        """The mean of each metric, and "rfid" where there are features.

        Raises:
            ValueError: there is no picture yet; rFID needs two.
        """
        if self.count == 0:
            raise ValueError("found no pictures, expected at least one")
        result = {name: total / self.count for name, total in self._sums.items()}
        if self._features is not None:
            result["rfid"] = frechet_distance(*self._statistics)
        return result


class FeatureExtractor:
    """The network of a TorchScript file, for rFID: pictures [N, 3, H, W] in [-1, 1] -> [N, D].

    It gets them as fp32 in 0 .. 255 and returns [N, D], or [N, D, 1, 1]; where its forward takes
    `return_features`, that is True. So StyleGAN's inception-2015-12-05.pt, the network of most
    published FIDs, fits as it is. The file is a program: take it from whom you trust.

    Args:
        file: the TorchScript file.
        device: where it runs.

    Raises:
        ValueError: the file is no TorchScript.
    """

    def __init__(self, file: str | os.PathLike, device: torch.device | str = "cpu") -> None:
        try:
            self.network = torch.jit.load(file, map_location=device).eval()
        except (RuntimeError, ValueError, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"{file}: found no TorchScript that can be read: {reason}") from error
        names = [argument.name for argument in self.network.forward.schema.arguments]
        self.options = {"return_features": True} if "return_features" in names else {}

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        scaled = (pictures.float().clamp(-1, 1) + 1) * 127.5
        features = self.network(scaled, **self.options)
        return (
            features.flatten(1) if features.ndim == 4 and features.shape[2:] == (1, 1) else features
        )


def _unit_range(images: Tensor) -> Tensor:
    return images.double().clamp(-1, 1) * 0.5 + 0.5


def _blur(x: Tensor) -> Tensor:
    """The Gaussian-weighted mean of each window: [N, C, H, W] -> [N, C, H - 10, W - 10]."""
    at = torch.arange(SSIM_WINDOW, dtype=x.dtype, device=x.device) - SSIM_WINDOW // 2
    window = torch.exp(-at.square() / (2 * SSIM_SIGMA**2))
    window = (window / window.sum()).expand(x.shape[1], 1, 1, -1)
    x = F.conv2d(x, window, groups=x.shape[1])
    return F.conv2d(x, window.transpose(2, 3), groups=x.shape[1])


# ---------------------------------------------------------------------- feature statistics


class FeatureStatistics:
    """Mean and covariance of a stream of vectors, in fp64.

    They are merged batch by batch as in Chan et al. (1979): plain sums of squares lose the variance
    of features whose mean is large.

    Attributes:
        count: vectors so far.
        mean: fp64 [D]; None before the first vector.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | None = None
        self._scatter: Tensor | None = None  # sum of (x - mean)(x - mean)^T

    def add(self, features: Tensor) -> None:
        """Merge a batch.

        Args:
            features: floating [N, D].

        Raises:
            ValueError: D is another than before, or the shape has no two sizes.
        """
        width = "D" if self.mean is None else len(self.mean)
        if features.ndim != 2 or width not in ("D", features.shape[1]):
            raise ValueError(f"features: found {list(features.shape)}, expected [N, {width}]")
        n, features = len(features), features.detach().double()
        if n == 0:
            return
        mean = features.mean(0)
        centred = features - mean
        scatter = centred.T @ centred
        if self.mean is None or self._scatter is None:
            self.count, self.mean, self._scatter = n, mean, scatter
            return
        step, total = mean - self.mean, self.count + n
        self._scatter += scatter + torch.outer(step, step) * (self.count * n / total)
        self.mean = self.mean + step * (n / total)
        self.count = total

    def covariance(self) -> Tensor:
        """The unbiased covariance, fp64 [D, D].

        Raises:
            ValueError: there are fewer than two vectors.
        """
        if self.count < 2 or self._scatter is None:
            raise ValueError(f"features: found {self.count} vectors, expected at least 2")
        return self._scatter / (self.count - 1)


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """Frechet distance of two normal distributions (Heusel et al., arXiv 1706.08500).

    It is |m_a - m_b|^2 + tr(A + B - 2 (A B)^(1/2)).

    Raises:
        ValueError: either has seen fewer than two vectors, or the widths differ.
    """
    A, B = a.covariance(), b.covariance()
    if A.shape != B.shape:
        raise ValueError(f"features: found widths {len(A)} and {len(B)}, expected equal ones")
    # A B has the eigenvalues of R R^T, R = A^(1/2) B^(1/2): their roots are R's singular values.
    # This stays real and exact where A or B is singular (fewer pictures than features).
    cross = torch.linalg.svdvals(_root(A) @ _root(B)).sum()
    assert a.mean is not None  # both have a covariance
    assert b.mean is not None
    return float((a.mean - b.mean).square().sum() + A.trace() + B.trace() - 2 * cross)


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root; rounding may have made eigenvalues slightly negative: 0."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


# ---------------------------------------------------------------------- codes


class CodebookUsage:
    """How often each of `size` codes is used.

    Attributes:
        counts: int64 [size]; ranks may add it up.
    """

    def __init__(self, size: int, device: torch.device | str = "cpu") -> None:
        self.counts = torch.zeros(size, dtype=torch.int64, device=device)

    def add(self, codes: Tensor) -> None:
        """Count codes, integers of any shape.

        Raises:
            ValueError: a code is outside 0 .. size - 1.
        """
        codes, size = codes.flatten().to(self.counts.device, torch.int64), len(self.counts)
        wrong = codes[(codes < 0) | (codes >= size)]
        if len(wrong):
            raise ValueError(f"codes: found {int(wrong[0])}, expected 0..{size - 1}")
        self.counts += torch.bincount(codes, minlength=size)

    def used(self) -> float:
        """The share of codes that were seen."""
        return float((self.counts > 0).double().mean())

    def perplexity(self) -> float:
        """exp of the entropy: the number of equally frequent codes that would be as varied.

        It is 1 to size; NaN before the first code.
        """
        share = self.counts.double() / self.counts.sum()
        return float(torch.exp(-torch.xlogy(share, share).sum()))


def codebook_usage(codes: Tensor, size: int) -> tuple[float, float]:
    """`used` and `perplexity` of these codes, as CodebookUsage has them."""
    usage = CodebookUsage(size, codes.device)
    usage.add(codes)
    return usage.used(), usage.perplexity()
