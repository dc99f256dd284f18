"""The resize of _engine: against its definition, on every instruction set; bad arguments."""

import numpy as np
import pytest

from mas_fast import _engine

A = -0.75


def cubic(x: np.ndarray) -> np.ndarray:
    """Keys (1981), equation 4."""
    x = np.abs(x)
    inner = (A + 2) * x**3 - (A + 3) * x**2 + 1
    return np.where(x < 1, inner, np.where(x < 2, A * (x**3 - 5 * x**2 + 8 * x - 4), 0))


def matrix(size: int, start: float, length: float, target: int) -> np.ndarray:
    """float64 [target, size], rows that sum to 1."""
    scale = length / target
    centers = start + (np.arange(target) + 0.5) * scale
    weights = cubic((np.arange(size) + 0.5 - centers[:, None]) / max(scale, 1))
    return weights / weights.sum(1, keepdims=True)


def reference(pixels: np.ndarray, height: int, width: int, box: tuple) -> np.ndarray:
    """float64 [height, width, 3], in 0..255 after each pass."""
    down = matrix(pixels.shape[0], box[0], box[2], height)
    across = matrix(pixels.shape[1], box[1], box[3], width)
    passed = np.einsum("yh,hwc->ywc", down, pixels.astype(np.float64)).clip(0, 255)
    return np.einsum("xw,ywc->yxc", across, passed).clip(0, 255)


CASES = [  # of the picture, of the result, box
    ((1, 1), (1, 1), None),
    ((1, 1), (7, 70), None),
    ((1, 90), (3, 5), None),
    ((90, 1), (5, 3), None),
    ((37, 53), (37, 53), None),
    ((33, 47), (29, 41), None),
    ((288, 430), (256, 256), (0, 71, 288, 288)),
    ((65, 66), (64, 64), (0.5, 1.25, 64.5, 63.75)),
    ((64, 50), (13, 17), (3.3, 4.7, 50.1, 40.2)),
    ((31, 29), (100, 90), (10, 11, 9, 8)),
    ((300, 311), (17, 16), None),  # 74 taps
    ((2000, 3), (1, 3), None),
]


@pytest.mark.parametrize("isa", _engine.supported_isas())
@pytest.mark.parametrize(("size", "target", "box"), CASES)
def test_against_the_definition(isa, size, target, box):
    rng = np.random.default_rng(sum(size))
    box = box or (0, 0, *size)
    for pixels in (
        rng.integers(0, 256, (*size, 3), dtype=np.uint8),
        rng.integers(0, 2, (*size, 3), dtype=np.uint8) * np.uint8(255),
    ):
        found = _engine.resize(pixels, *target, box, isa=isa)
        assert found.shape == (*target, 3)
        assert found.dtype == np.uint8
        # Half a step of each pass's rounding, and what the products lose.
        assert abs(found - reference(pixels, *target, box)).max() < 1.4
        assert (found == _engine.resize(pixels, *target, box, isa="generic")).all()


@pytest.mark.parametrize("isa", _engine.supported_isas())
def test_the_same_size_changes_nothing_and_plain_stays_plain(isa):
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    assert (_engine.resize(pixels, 70, 90, (0, 0, 70, 90), isa=isa) == pixels).all()
    part = _engine.resize(pixels, 20, 30, (7, 11, 20, 30), isa=isa)
    assert (part == pixels[7:27, 11:41]).all()
    for value in (0, 1, 77, 254, 255):
        plain = np.full((120, 50, 3), value, np.uint8)
        for target in ((50, 40), (1, 1), (3, 2), (130, 77)):
            assert (_engine.resize(plain, *target, (0, 0, 120, 50), isa=isa) == value).all()


def test_views():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    view, copy = pixels[5:30, 10:50], pixels[5:30, 10:50].copy()
    box = (0, 0, 25, 40)
    assert (_engine.resize(view, 9, 8, box) == _engine.resize(copy, 9, 8, box)).all()
    flipped = _engine.resize(pixels[::-1], 9, 8, (0, 0, 40, 60))
    assert (flipped == _engine.resize(pixels[::-1].copy(), 9, 8, (0, 0, 40, 60))).all()


@pytest.mark.parametrize(
    ("pixels", "size", "box", "message"),
    [
        (np.zeros((4, 4, 3)), (2, 2), (0, 0, 4, 4), r"found float64 \(4, 4, 3\), expected uint8"),
        (np.zeros((4, 4, 4), np.uint8), (2, 2), (0, 0, 4, 4), r"\(4, 4, 4\), expected uint8"),
        (np.zeros((4, 4), np.uint8), (2, 2), (0, 0, 4, 4), r"\(4, 4\), expected uint8"),
        (np.zeros((0, 4, 3), np.uint8), (2, 2), (0, 0, 1, 1), r"\(0, 4, 3\), expected uint8"),
        (np.zeros((4, 4, 3), np.uint8)[:, ::2], (2, 2), (0, 0, 4, 2), "found strides"),
        (np.zeros((4, 4, 3), np.uint8), (0, 2), (0, 0, 4, 4), r"the size \(0, 2\), expected 1"),
        (np.zeros((4, 4, 3), np.uint8), (2, 1 << 25), (0, 0, 4, 4), "the size"),
        (np.zeros((4, 4, 3), np.uint8), (2, 2), (0, 1, 4, 4), "the box .* within the picture"),
        (np.zeros((4, 4, 3), np.uint8), (2, 2), (-1, 0, 4, 4), "the box"),
        (np.zeros((4, 4, 3), np.uint8), (2, 2), (0, 0, 0, 4), "the box"),
        (np.zeros((4, 4, 3), np.uint8), (2, 2), (0, 0, float("nan"), 4), "the box"),
    ],
)
def test_bad_arguments(pixels, size, box, message):
    with pytest.raises(ValueError, match=message):
        _engine.resize(pixels, *size, box)
    with pytest.raises(ValueError, match="unknown|expected|one of"):
        _engine.resize(np.zeros((4, 4, 3), np.uint8), 2, 2, (0, 0, 4, 4), isa="none")
