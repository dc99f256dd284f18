"""metrics.py: every metric against a plain implementation, and streams against whole sets."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import torch
from torch import Tensor

from mas_fast.evaluation.metrics import (
    CodebookUsage,
    ConfusionMatrix,
    FeatureStatistics,
    ImageQuality,
    codebook_usage,
    frechet_distance,
    mean_iou,
    psnr,
    sharpness,
    ssim,
)

torch.set_num_threads(1)


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# ---------------------------------------------------------------------- label maps


def label_maps(classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Maps that agree in part, with void in both and some classes in neither."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, classes - 2, (3, 20, 17)).astype(np.uint8)
    predicted = np.where(rng.random(target.shape) < 0.6, target, rng.permutation(target))
    target[rng.random(target.shape) < 0.1] = 255
    predicted[rng.random(target.shape) < 0.1] = 255
    return predicted, target


def iou_by_sets(predicted: np.ndarray, target: np.ndarray, classes: int) -> list[float]:
    values, known = [], target != 255
    for c in range(classes):
        a, b = (predicted == c) & known, target == c
        values.append((a & b).sum() / (a | b).sum() if (a | b).any() else math.nan)
    return values


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_iou_is_that_of_sets_and_streams(dtype):
    predicted, target = label_maps(9)
    expected = iou_by_sets(predicted, target, 9)
    matrix = ConfusionMatrix(9)
    for a, b in zip(predicted, target, strict=True):
        matrix.add(torch.from_numpy(a).to(dtype), torch.from_numpy(b).to(dtype))
    np.testing.assert_allclose(matrix.iou(), expected, rtol=1e-15)
    assert np.isnan(expected[-2:]).all()
    assert matrix.mean_iou() == pytest.approx(np.nanmean(expected))
    assert mean_iou(torch.from_numpy(predicted), torch.from_numpy(target), 9) == matrix.mean_iou()


def test_void_in_the_truth_counts_for_nothing_and_a_void_guess_is_a_miss():
    truth = torch.tensor([0, 0, 1, 255, 255])
    matrix = ConfusionMatrix(4)
    matrix.add(torch.tensor([0, 255, 2, 3, 1]), truth)
    assert matrix.iou()[:3].tolist() == [0.5, 0, 0]
    assert matrix.iou()[3].isnan()
    assert matrix.mean_iou() == pytest.approx(0.5 / 3)
    assert math.isnan(mean_iou(torch.zeros(5, dtype=torch.int64), torch.full((5,), 255), 4))


def test_confusion_matrix_refuses():
    matrix, zeros = ConfusionMatrix(4), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"found shapes \[2\] and \[3\]"):
        matrix.add(zeros[:2], zeros)
    with pytest.raises(ValueError, match=r"target: found label 4, expected 0..3 or 255"):
        matrix.add(zeros, zeros + 4)
    with pytest.raises(ValueError, match="predicted: found label -1"):
        matrix.add(zeros - 1, zeros)
    with pytest.raises(ValueError, match="predicted: found dtype torch.float32"):
        matrix.add(zeros.float(), zeros)
    assert matrix.counts.sum() == 0


# ---------------------------------------------------------------------- pictures


def test_psnr():
    x, y = pictures(3, 3, 8, 9), pictures(3, 3, 8, 9, seed=1)
    x[2] = y[2]
    a, b = ((v.double().numpy() + 1) * 127.5 for v in (x, y))
    mse = ((a[:2] - b[:2]) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(psnr(x, y)[:2], 20 * np.log10(255) - 10 * np.log10(mse))
    assert psnr(x, y)[2] == math.inf
    assert torch.equal(psnr(3 * x, y), psnr((3 * x).clamp(-1, 1), y))


def ssim_by_scipy(x: np.ndarray, y: np.ndarray) -> float:
    """One channel in [0, 1]: scipy's Gaussian, cut at 5 pixels, where it needs no padding."""

    def blur(v):
        return scipy.ndimage.gaussian_filter(v, 1.5, radius=5)[5:-5, 5:-5]

    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    top = (2 * mx * my + 1e-4) * (2 * vxy + 9e-4)
    return (top / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))).mean()


@pytest.mark.parametrize(("height", "width"), [(11, 11), (24, 31)])
def test_ssim_is_scipys(height, width):
    x = pictures(2, 3, height, width)
    y = (0.7 * x + 0.3 * pictures(2, 3, height, width, seed=1)).clamp(-1, 1)
    a, b = (v.double().numpy() / 2 + 0.5 for v in (x, y))
    expected = [np.mean([ssim_by_scipy(a[n, c], b[n, c]) for c in range(3)]) for n in range(2)]
    np.testing.assert_allclose(ssim(x, y), expected, rtol=1e-12)
    torch.testing.assert_close(ssim(x, x), torch.ones(2, dtype=torch.float64))


def test_sharpness_is_the_energy_of_gradients():
    x = pictures(3, 3, 9, 7)
    other = torch.stack([x[0], 0.5 * x[1] + 0.3, scipy_blur(x[2])])
    found = sharpness(x, other)
    assert found[:2].tolist() == pytest.approx([1, 0.25], rel=1e-4)
    energy = [sum((np.diff(v, axis=axis) ** 2).sum() for axis in (1, 2)) for v in (x[2], other[2])]
    assert found[2].item() == pytest.approx(energy[1] / energy[0], rel=1e-4)
    assert found[2] < 0.5
    flat = torch.zeros(1, 3, 9, 7)
    assert sharpness(flat, flat).item() == 1
    assert sharpness(flat, x[:1]).isfinite()


def scipy_blur(x: Tensor) -> Tensor:
    return torch.from_numpy(scipy.ndimage.uniform_filter(x.numpy(), (0, 3, 3)))


def test_image_quality_streams_to_the_whole_sets_values():
    x, y = pictures(7, 3, 16, 16), 0.9 * pictures(7, 3, 16, 16) + 0.3

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().amax((1, 2, 3))

    def features(a: Tensor) -> Tensor:
        return a.flatten(2).mean(2)

    quality = ImageQuality(lpips=distance, features=features)
    for part in (slice(0, 3), slice(3, 4), slice(4, 7)):
        quality.add(x[part], y[part])
    y = y.clamp(-1, 1)
    statistics = FeatureStatistics(), FeatureStatistics()
    for one, images in zip(statistics, (x, y), strict=True):
        one.add(features(images))
    assert quality.count == 7
    assert quality.result() == pytest.approx(
        {
            "psnr": psnr(x, y).mean().item(),
            "ssim": ssim(x, y).mean().item(),
            "sharpness": sharpness(x, y).mean().item(),
            "lpips": distance(x, y).mean().item(),
            "rfid": frechet_distance(*statistics),
        }
    )


def test_pictures_are_refused():
    for metric, smallest in ((psnr, 1), (sharpness, 2), (ssim, 11)):
        with pytest.raises(ValueError, match=f"H, W >= {smallest}"):
            metric(torch.zeros(1, 3, 10, 0), torch.zeros(1, 3, 10, 0))
        with pytest.raises(ValueError, match="found shapes"):
            metric(torch.zeros(1, 3, 16, 16), torch.zeros(2, 3, 16, 16))
    with pytest.raises(ValueError, match="found no pictures"):
        ImageQuality().result()


# ---------------------------------------------------------------------- feature statistics


def stream(features: np.ndarray, sizes: list[int]) -> FeatureStatistics:
    statistics = FeatureStatistics()
    for part in torch.from_numpy(features).split(sizes):
        statistics.add(part)
    return statistics


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_streamed_mean_and_covariance(offset):
    features = (
        np.random.default_rng(0).normal(size=(50, 6)) @ np.diag([1, 2, 3, 0.1, 1, 0]) + offset
    )
    statistics = stream(features, [1, 20, 0, 3, 26])
    assert statistics.count == 50
    np.testing.assert_allclose(statistics.mean, features.mean(0), rtol=1e-14, atol=1e-14)
    covariance = np.cov(features - offset, rowvar=False)
    np.testing.assert_allclose(statistics.covariance(), covariance, atol=1e-8 if offset else 1e-13)


@pytest.mark.parametrize("counts", [(80, 60), (9, 11)], ids=["regular", "singular"])
def test_frechet_distance_is_sqrtms(counts):
    rng = np.random.default_rng(1)
    mix = rng.normal(size=(12, 12))
    a, b = (rng.normal(size=(n, 12)) @ mix + 0.3 * i for i, n in enumerate(counts))
    b[:, :4] *= 1.7
    A, B = (np.cov(v, rowvar=False) for v in (a, b))
    root = scipy.linalg.sqrtm(A @ B)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(A + B - 2 * root.real)
    halves = [[n // 2, n - n // 2] for n in counts]
    found = frechet_distance(stream(a, halves[0]), stream(b, halves[1]))
    # sqrtm of a singular product is itself good to about the root of the rounding error only.
    assert found == pytest.approx(expected, rel=1e-10 if counts[0] > 12 else 1e-5)


def test_frechet_distance_of_known_normals():
    x = np.random.default_rng(2).normal(size=(40, 5))
    same = frechet_distance(stream(x, [40]), stream(x[::-1].copy(), [13, 27]))
    assert abs(same) < 1e-12
    moved = frechet_distance(stream(x, [40]), stream(x + 2.0, [40]))
    assert moved == pytest.approx(5 * 4)
    wider = frechet_distance(stream(x - x.mean(0), [40]), stream(3 * (x - x.mean(0)), [40]))
    assert wider == pytest.approx(4 * np.trace(np.cov(x, rowvar=False)))  # (3 - 1)^2 tr A


def test_statistics_refuse():
    x = torch.randn(4, 3)
    statistics = FeatureStatistics()
    statistics.add(x)
    with pytest.raises(ValueError, match=r"found \[4, 2\], expected \[N, 3\]"):
        statistics.add(x[:, :2])
    with pytest.raises(ValueError, match=r"found \[4\], expected \[N, D\]"):
        FeatureStatistics().add(x[:, 0])
    with pytest.raises(ValueError, match="found 1 vectors, expected at least 2"):
        frechet_distance(statistics, stream(x[:1].numpy(), [1]))
    with pytest.raises(ValueError, match="found widths 3 and 2"):
        frechet_distance(statistics, stream(x[:, :2].numpy(), [4]))


# ---------------------------------------------------------------------- codes


def test_codebook_usage():
    usage = CodebookUsage(10)
    usage.add(torch.tensor([[0, 1], [1, 3]]))
    usage.add(torch.tensor([3, 3, 0, 0], dtype=torch.int32))
    share = np.array([3, 2, 3]) / 8
    assert usage.used() == 0.3
    assert usage.perplexity() == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    assert codebook_usage(torch.arange(10).repeat(3), 10) == pytest.approx((1, 10))
    assert codebook_usage(torch.zeros(5, dtype=torch.int64), 10) == pytest.approx((0.1, 1))
    assert math.isnan(CodebookUsage(3).perplexity())
    for wrong in (-1, 10):
        with pytest.raises(ValueError, match=f"codes: found {wrong}, expected 0..9"):
            usage.add(torch.tensor([0, wrong]))
