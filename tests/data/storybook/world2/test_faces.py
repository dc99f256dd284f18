"""Faces: their order, and that they are all there at the size of a scene."""

import numpy as np
import pytest

pytest.importorskip("skia")

from living import drawn  # noqa: E402
from mas_fast.data.storybook.canvas import Canvas  # noqa: E402
from mas_fast.data.storybook.world2 import people  # noqa: E402
from mas_fast.data.storybook.world2.faces import STYLES, Head, draw_head, draw_lots, hair_behind  # noqa: E402
from mas_fast.data.storybook.world2.look import Look  # noqa: E402
from mas_fast.scene.labels import FACE_NAMES, LIP_NAMES  # noqa: E402

SKIN, HAIR, CLOTH = (0.99, 0.84, 0.73), (0.36, 0.21, 0.14), (0.83, 0.25, 0.24)


def head(style: str, beard: str | None = None, glasses: bool = False, lashes: bool = False):
    """A head of radius 40 pixels: its picture and its annotation."""
    canvas, look = Canvas(160), Look(np.random.default_rng(0))
    person = Head(SKIN, HAIR, style, beard, glasses, lashes, CLOTH)
    with canvas.segment("person"), canvas.at(0.5, 0.5, 0.25):
        hair_behind(canvas, person, look)
        draw_head(canvas, person, look)
    return canvas.pixels().astype(int), canvas.layers()


@pytest.mark.parametrize("kind", ["man", "woman", "boy", "girl"])
@pytest.mark.parametrize("facing", [1, -1])
def test_the_face_is_in_order(kind: str, facing: int) -> None:
    for seed in range(6):
        figure = drawn(getattr(people, kind), (0.8, 0.2, 0.2), seed, facing=facing)
        order = ("eyebrows", "eyes", "nose", "outer-mouth")
        rows = [np.nonzero(figure.part(name))[0].mean() for name in order]
        assert rows == sorted(rows), seed
        eyes = np.nonzero(figure.part("eyes"))[1]
        nose = np.nonzero(figure.part("nose"))[1].mean()
        assert eyes.min() < nose - 1
        assert eyes.max() > nose + 1
        face = np.nonzero(figure.part("face"))[1].mean()
        assert (nose - face) * facing > 0  # it looks to where the figure goes


@pytest.mark.parametrize(
    "style", sorted({s for styles in STYLES.values() for s in styles} | {"wool"})
)
def test_every_style_keeps_the_face_free(style: str) -> None:
    _, layers = head(style, lashes=style not in STYLES["man"])
    for number, name in enumerate(FACE_NAMES):
        least = 40 if name in ("eyes", "eyebrows") else 20
        assert (layers.face == 1 + number).sum() >= least, name
    parts = {
        name: (layers.human == LIP_NAMES.index(name)).sum() for name in ("hair", "hat", "face")
    }
    assert parts["hair"] > 100
    assert parts["face"] > 1000
    hats = ("brim", "cap", "sunhat", "beret", "wool")
    assert (parts["hat"] > 400) == (style in hats)


def test_a_beard_is_hair_below_the_nose() -> None:
    def low(beard: str | None) -> int:
        _, layers = head("short", beard)
        return int((layers.human[94:] == LIP_NAMES.index("hair")).sum())

    assert low(None) == 0
    assert 20 < low("moustache") < 300
    assert low("full") > 700


def test_glasses_and_lashes_are_seen() -> None:
    plain, _ = head("short")
    for other in (head("short", glasses=True), head("short", lashes=True)):
        assert (np.abs(plain - other[0]).sum(-1) > 60).sum() > 60


def test_lots() -> None:
    people = [draw_lots("man", Look(np.random.default_rng(n))) for n in range(80)]
    assert {p.style for p in people} == set(STYLES["man"])
    assert {p.beard for p in people} == {"full", "moustache", None}
    assert len({p.skin for p in people}) == 5
    assert 4 < sum(p.glasses for p in people) < 40
    assert draw_lots("girl", Look(np.random.default_rng(0), cold=True)).style == "wool"
    for p in people:  # hair stands out from the skin
        assert sum(abs(a - b) for a, b in zip(p.skin, p.hair, strict=True)) > 0.3
