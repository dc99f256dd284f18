"""Clothes: patterns, lengths, what goes with what."""

import numpy as np
import pytest

pytest.importorskip("skia")

from living import HIGH, drawn  # noqa: E402
from mas_fast.data.storybook.canvas import rgb  # noqa: E402
from mas_fast.data.storybook.world2 import people  # noqa: E402
from mas_fast.data.storybook.world2.clothes import dressed  # noqa: E402
from mas_fast.data.storybook.world2.look import Look  # noqa: E402

RED, BLUE = rgb("cf2a27"), rgb("2c63c9")


def look(seed: int, **changes) -> Look:
    return Look(np.random.default_rng(seed), **changes)


@pytest.mark.parametrize(("kind", "garment"), [("man", "upper-clothes"), ("woman", "dress")])
def test_patterns_are_seen_and_leave_the_colour(kind: str, garment: str) -> None:
    shares = {}
    for pattern in (None, "striped", "spotted"):
        figure = drawn(getattr(people, kind), RED, 4, pattern=pattern)
        shares[pattern] = figure.share(RED, figure.part(garment))
    assert shares[None] > 0.75
    assert 0.3 < shares["striped"] < shares[None] - 0.2
    assert 0.5 < shares["spotted"] < shares[None] - 0.1


def test_stripes_lie_across() -> None:
    figure = drawn(people.man, RED, 4, pattern="striped")
    column = np.nonzero(figure.part("upper-clothes")[:, 122])[0]
    light = figure.pixels[column.min() : column.max(), 122, 1] > 120
    assert (np.diff(light.astype(int)) == 1).sum() >= 3


@pytest.mark.parametrize("kind", ["man", "woman", "boy", "girl"])
def test_outfits(kind: str) -> None:
    outfits = [dressed(kind, BLUE, look(n)) for n in range(40)]
    garment = "upper-clothes" if kind in ("man", "boy") else "dress"
    assert {o.garment for o in outfits} == {garment}
    assert {o.collar for o in outfits} == {"round", "shirt", "soft"}
    assert all((o.hem > 0) == (garment == "dress") for o in outfits)
    assert all((o.legs > 0) == (garment != "dress") for o in outfits)
    for o in outfits:  # trousers do not look like the shirt
        assert sum(abs(a - b) for a, b in zip(o.trousers, BLUE, strict=True)) > 0.6
    cold = [dressed(kind, BLUE, look(n, cold=True)) for n in range(8)]
    assert all(o.garment == "coat" and o.scarf is not None and o.boots for o in cold)


def test_a_boys_trousers_are_shorter_than_a_mans() -> None:
    legs = {k: drawn(getattr(people, k), RED, 1).part("left-leg").sum() for k in ("man", "boy")}
    assert legs["man"] == 0
    assert legs["boy"] > 60


def test_a_womans_dress_is_longer_than_a_girls() -> None:
    assert dressed("woman", RED, look(0)).hem > dressed("girl", RED, look(0)).hem + 0.1
    bare = [drawn(getattr(people, k), RED, 1).part("left-leg") for k in ("woman", "girl")]
    tall = [np.ptp(np.nonzero(leg)[0]) for leg in bare]
    assert tall[0] < 0.2 * HIGH
    assert tall[1] < 0.2 * HIGH
