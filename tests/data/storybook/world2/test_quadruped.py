"""Legs of animals."""

import pytest

pytest.importorskip("skia")

from mas_fast.data.storybook.world2.quadruped import Leg, four  # noqa: E402

PAW = Leg(((0.0, -0.5), (0.0, -0.25), (0.0, -0.06)), (0.2, 0.1, 0.08), (0.14, 0.06))
HOOF = Leg(PAW.joints, PAW.widths, (0.1, 0.06), True)


def test_a_leg_moves_most_at_its_foot() -> None:
    moved = PAW.moved(0.1, 0.05)
    assert moved.joints[0] == (pytest.approx(0.03), -0.5)
    assert moved.joints[-1] == (pytest.approx(0.15), -0.06)
    assert PAW.bent((1, 2), (3, 4)).joints == ((1, 2), (3, 4))


@pytest.mark.parametrize("leg", [PAW, HOOF])
def test_feet_stand_on_the_ground(leg: Leg) -> None:
    for one in four(leg, leg.moved(0.5), 0.08, 0.1, "walk"):
        assert one.sole.getBounds().bottom() == pytest.approx(0.0, abs=0.002)
        assert one.path.getBounds().bottom() <= 0.0


def test_a_paw_points_forward() -> None:
    bounds = PAW.sole.getBounds()
    assert bounds.right() > 0.08 > -bounds.left()


def test_in_a_step_opposite_legs_go_together() -> None:
    hind_far, hind, fore_far, fore = four(PAW, PAW, 0.0, 0.1, "walk")
    ends = [leg.joints[-1][0] for leg in (hind_far, hind, fore_far, fore)]
    assert ends == pytest.approx([0.1, -0.1, -0.1, 0.1])
