"""Things for outdoors in the second world: patterns, boards, lit tents."""

import pytest

pytest.importorskip("skia")

from drawn_things import (
    FEET,
    MIDDLE,
    RED,
    SEEDS,
    assert_fits,
    assert_has_color,
    assert_repeats,
    assert_shines,
    drawn,
    shape,
    share_of,
    types_of,
)
from mas_fast.data.storybook.world2 import leisure

COLORED = {
    "umbrella": 0.8,
    "kite": 0.45,
    "ball": 0.55,
    "suitcase": 0.7,
    "surfboard": 0.65,
    "skateboard": 0.33,
    "tent": 0.55,
}  # least share of the colour that was asked for


@pytest.mark.parametrize("kind", leisure.WIDTHS)
def test_it_fits_into_its_box(kind: str) -> None:
    assert_fits(getattr(leisure, kind), leisure.WIDTHS[kind])


@pytest.mark.parametrize("kind", leisure.WIDTHS)
def test_the_same_seed_draws_the_same(kind: str) -> None:
    assert_repeats(getattr(leisure, kind))


@pytest.mark.parametrize("kind, share", COLORED.items())
def test_it_has_the_colour_that_was_asked_for(kind: str, share: float) -> None:
    assert_has_color(getattr(leisure, kind), leisure.WIDTHS[kind], share)


def test_every_kind_has_colours_by_nature() -> None:
    assert leisure.NATURAL.keys() == leisure.WIDTHS.keys()


@pytest.mark.parametrize("kind", ["umbrella", "kite", "ball"])
def test_patterns_differ_and_stand_out(kind: str) -> None:
    draw = getattr(leisure, kind)
    plain, striped, spotted = (
        drawn(draw, 100, pattern=pattern) for pattern in (None, "striped", "spotted")
    )
    assert (plain.pixels() != striped.pixels()).any()
    assert (spotted.pixels() != striped.pixels()).any()
    for canvas in (striped, spotted):
        cream = (canvas.pixels().min(-1) > 190) & shape(canvas)
        assert cream.sum() > 0.1 * shape(canvas).sum()
        assert share_of(canvas, RED) > 0.3


def test_a_ball_is_round() -> None:
    assert shape(drawn(leisure.ball, 80)).sum() == pytest.approx(3.1416 * 40**2, rel=0.02)


def test_an_umbrella_is_a_roof_on_a_thin_pole() -> None:
    for seed in SEEDS:
        rows = shape(drawn(leisure.umbrella, 100, seed)).sum(1)
        assert rows[FEET - 70] > 80
        assert rows[FEET - 30] < 10


def test_a_kite_has_a_string_without_a_label() -> None:
    canvas = drawn(leisure.kite, 100)
    string = (canvas.pixels().sum(-1) > 200) & ~shape(canvas)
    assert string.sum() > 20


def test_a_skateboard_carries_who_stands_on_it() -> None:
    x, y = leisure.SEATS["skateboard"]
    column = shape(drawn(leisure.skateboard, 60))[:, MIDDLE + round(60 * x)]
    rows = [row for row in range(FEET) if column[row]]
    assert (FEET - rows[0]) / 60 == pytest.approx(y, abs=0.04)


@pytest.mark.parametrize("kind, count", [("suitcase", 2), ("tent", 3)])
def test_types(kind: str, count: int) -> None:
    assert types_of(getattr(leisure, kind)) == count


def test_there_is_light_in_a_tent_at_night() -> None:
    assert_shines(leisure.tent, leisure.WIDTHS["tent"], least=150)
