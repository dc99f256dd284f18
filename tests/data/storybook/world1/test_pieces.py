"""What figures share: choices and tones."""

import numpy as np
import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.world1.pieces import accent, chance, pick


def test_pick_takes_each_alike_and_keeps_to_the_seed() -> None:
    generator = np.random.default_rng(0)
    found = [pick(generator, "abc") for _ in range(600)]
    assert all(150 < found.count(letter) < 250 for letter in "abc")
    generator = np.random.default_rng(0)
    assert [pick(generator, "abc") for _ in range(600)] == found


def test_chance() -> None:
    generator = np.random.default_rng(1)
    assert 240 < sum(chance(generator, 0.3) for _ in range(1000)) < 360
    assert not chance(generator, 0.0)
    assert chance(generator, 1.0)


def test_accent_can_be_seen_on_light_and_on_dark() -> None:
    assert sum(accent((0.8, 0.8, 0.8))) < 2.0
    assert sum(accent((0.15, 0.15, 0.17))) > 0.9
