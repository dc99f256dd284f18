"""Things of a street in the second world: signals, signs, seats."""

import pytest

pytest.importorskip("skia")

from drawn_things import (
    DARK,
    FEET,
    MIDDLE,
    SEEDS,
    assert_fits,
    assert_has_color,
    assert_repeats,
    drawn,
    parts_at,
    types_of,
)
from mas_fast.data.storybook.world2 import street

COLORED = {
    "traffic light": 0.33,
    "fire hydrant": 0.7,
    "stop sign": 0.45,
    "bench": 0.8,
}  # least share of the colour that was asked for


@pytest.mark.parametrize("kind", street.WIDTHS)
def test_it_fits_into_its_box(kind: str) -> None:
    assert_fits(getattr(street, kind.replace(" ", "_")), street.WIDTHS[kind])


@pytest.mark.parametrize("kind", street.WIDTHS)
def test_the_same_seed_draws_the_same(kind: str) -> None:
    assert_repeats(getattr(street, kind.replace(" ", "_")))


@pytest.mark.parametrize("kind, share", COLORED.items())
def test_it_has_the_colour_that_was_asked_for(kind: str, share: float) -> None:
    assert_has_color(getattr(street, kind.replace(" ", "_")), street.WIDTHS[kind], share)


def test_every_kind_has_colours_by_nature() -> None:
    assert street.NATURAL.keys() == street.WIDTHS.keys()


def test_one_lamp_of_a_traffic_light_is_lit_by_day_and_at_night() -> None:
    seen = set()
    for seed in SEEDS:
        pixels = drawn(street.traffic_light, 120, seed, light=DARK).pixels().astype(int)
        lit = [
            int(pixels[FEET + round(y * 120), MIDDLE].max()) > 200 for y in (-0.86, -0.695, -0.53)
        ]
        assert sum(lit) == 1
        seen.add(lit.index(True))
    assert seen == {0, 1, 2}


def test_the_word_on_a_stop_sign_reads_from_left_to_right_whichever_way_it_faces() -> None:
    right, left = (drawn(street.stop_sign, 120, sun=0.0, facing=side).pixels() for side in (1, -1))
    word = slice(FEET - 103, FEET - 86), slice(MIDDLE - 18, MIDDLE + 18)
    assert (right[word] == left[word]).all()
    assert (right[word] != right[word][:, ::-1]).any()


def test_a_bench_has_its_seat_where_it_says_and_two_legs() -> None:
    x, y = street.SEATS["bench"]
    for seed in SEEDS:
        canvas = drawn(street.bench, 100, seed)
        row = canvas.pixels()[FEET - round(100 * y), MIDDLE - 90 : MIDDLE + 90].astype(int)
        assert (row[:, 0] - row[:, 2] > 100).mean() > 0.95  # red all along
        assert parts_at(canvas, -0.2, 100) == 2


def test_a_bench_stands_on_iron_or_on_wood() -> None:
    assert types_of(street.bench) == 2
