"""claims.py: captions are read back, also those of others."""

import pytest

from mas_fast.data.storybook.world2.claims import Claims, read_caption
from mas_fast.data.storybook.world2.story import Group


@pytest.mark.parametrize(
    ("caption", "claims"),
    [
        (
            "A RED house beside a lake  at dusk",
            Claims((Group("house", "red", 1),), place="lake", hour="dusk"),
        ),
        (
            "two dogs, beach, sunset",
            Claims((Group("dog", None, 2),), place="beach", hour="dusk"),
        ),
        (
            "I would love to see two brown dogs running on a beach at sunset, please",
            Claims((Group("dog", "brown", 2, pose="run"),), place="beach", hour="dusk"),
        ),
        (
            "three men in green striped shirts to the left of an orange car in a street",
            Claims((Group("man", "green", 3, pattern="striped"), Group("car", "orange", 1)),
                   "left", "street"),
        ),
        (
            "a little grey cat lying on one bench in the park without trees and with no clouds",
            Claims((Group("cat", "gray", 1, "small"), Group("bench", None, 1)), "on", "park",
                   without=("trees", "clouds")),
        ),
        (
            "a dog sitting on the grass in winter",
            Claims((Group("dog", None, 1, pose="sit"),), place="meadow", season="winter"),
        ),
        (
            "woman in red coat riding horse, snowy field, fog, no people",
            Claims((Group("woman", "red", 1), Group("horse", None, 1)), "on", "snow",
                   weather="fog", without=("people",)),
        ),
        (
            "a bird above a big striped umbrella and a ball",
            Claims((Group("bird", None, 1), Group("umbrella", None, 1, "big", "striped"),
                    Group("ball", None, 1)), "above"),
        ),
        (
            "an orange in front of an orange bowl on a wooden table",
            Claims((Group("orange fruit", None, 1), Group("bowl", "orange", 1)), "front",
                   "tabletop"),
        ),
        (
            "a cup on a table in a kitchen by moonlight",
            Claims((Group("cup", None, 1), Group("table", None, 1)), "on", "kitchen", "night"),
        ),
        (
            "two horses and a house in the distance on a farm",
            Claims((Group("horse", None, 2), Group("house", None, 1)), "far", "farm"),
        ),
        (
            "a striped blue ball",
            Claims((Group("ball", "blue", 1, pattern="striped"),)),
        ),
        ("the quick brown fox", Claims(())),
        ("", Claims(())),
    ],
)  # fmt: skip
def test_reading_captions_of_others(caption, claims) -> None:
    assert read_caption(caption) == claims
