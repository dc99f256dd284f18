"""story.py: what a story is."""

from mas_fast.data.storybook.world2.kinds import KINDS
from mas_fast.data.storybook.world2.story import Group, Story, is_held_out
from mas_fast.data.storybook.world2.where import places_of

TOLD = Story(
    place="lake",
    hour="day",
    weather="clear",
    season="summer",
    groups=(Group("duck", "white", 2), Group("bird", "red", 1, pose="stand")),
    relation=None,
    without=(),
    number=7,
)


def test_generators_of_purposes_differ() -> None:
    one, again, other = (TOLD.generator(purpose).random() for purpose in (0, 0, 1))
    assert one == again != other


def test_parts_of_groups() -> None:
    assert [TOLD.part(n) for n in (0, 1)] == ["water", "land"]


def test_a_tenth_is_held_out() -> None:
    triples = [
        is_held_out(kind.name, color, place)
        for kind in KINDS.values()
        for color in kind.colors
        for place in places_of(kind)
        if len(places_of(kind)) > 1
    ]
    assert 0.08 < sum(triples) / len(triples) < 0.12


def test_what_is_never_held_out() -> None:
    assert not is_held_out("zebra", None, "desert")  # has no colours
    assert not any(is_held_out("surfboard", c, "beach") for c in KINDS["surfboard"].colors)
