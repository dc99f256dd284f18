"""The vocabulary of the storybook: kinds of things, colours, places, hours, weathers.

There are only tables here. Drawing, captions and the reading of captions all use them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mas_fast.data.storybook.colors import CLOTHES, COATS, PAINTED

# Where something can be: on which part of a place.
LAND, ROAD, RAILS, WATER, AIR = "land", "road", "rails", "water", "air"


@dataclass(frozen=True)
class Kind:
    """A kind of thing.

    Attributes:
        name: name of the kind.
        label: its class among COCO's 133.
        height: height of a single one, in parts of the picture.
        names: names in captions, (singular, plural).
        colors: colours that a caption may name; without any, it has its own.
        garment: the piece of clothing that has the colour, if any.
        part: the part of a place that it is in.
        places: the only places where it occurs; None for all.
        most: the largest number of it that a caption speaks of.
    """

    name: str
    label: str
    height: float
    names: tuple[tuple[str, str], ...]
    colors: tuple[str, ...] = ()
    garment: str | None = None
    part: str = LAND
    places: tuple[str, ...] | None = None
    most: int = 3


@dataclass(frozen=True)
class Place:
    """A place.

    Attributes:
        name: name of the place.
        phrases: names of the place in captions.
        parts: for each part, the y of the feet of the farthest and of the nearest things.
        seasons: whether the seasons look different.
    """

    name: str
    phrases: tuple[str, ...]
    parts: dict[str, tuple[float, float]] = field(default_factory=dict)
    seasons: bool = True  # whether it looks different in autumn and in winter


def _kinds(kinds: Iterable[Kind]) -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds}


MEADOWS = ("meadow", "farm", "lake", "river", "mountains", "park")
GREEN = (*MEADOWS, "forest", "snow")
SAVANNA = ("desert", "meadow", "river")

KINDS = _kinds(
    [
        Kind("man", "person", 0.6, (("man", "men"),), CLOTHES, "shirt"),
        Kind("woman", "person", 0.58, (("woman", "women"), ("lady", "ladies")), CLOTHES, "dress"),
        Kind("boy", "person", 0.5, (("boy", "boys"),), CLOTHES, "shirt"),
        Kind("girl", "person", 0.5, (("girl", "girls"),), CLOTHES, "dress"),
        Kind("dog", "dog", 0.34, (("dog", "dogs"), ("puppy", "puppies")), COATS,
             places=(*GREEN, "beach", "street", "road")),
        Kind("cat", "cat", 0.33, (("cat", "cats"),), (*COATS, "orange"),
             places=(*GREEN, "beach", "street")),
        Kind("horse", "horse", 0.46, (("horse", "horses"), ("pony", "ponies")), COATS,
             places=(*GREEN, "beach", "desert")),
        Kind("sheep", "sheep", 0.33, (("sheep", "sheep"),), ("white", "black"),
             places=(*MEADOWS, "snow")),
        Kind("cow", "cow", 0.4, (("cow", "cows"),), ("brown", "white", "black"), places=MEADOWS),
        Kind("elephant", "elephant", 0.5, (("elephant", "elephants"),),
             places=(*SAVANNA, "park", "forest")),
        Kind("bear", "bear", 0.45, (("bear", "bears"),), ("brown", "white", "black"),
             places=("forest", "mountains", "river", "snow")),
        Kind("zebra", "zebra", 0.44, (("zebra", "zebras"),), places=SAVANNA),
        Kind("giraffe", "giraffe", 0.66, (("giraffe", "giraffes"),),
             places=("desert", "meadow", "forest")),
        Kind("bird", "bird", 0.2, (("bird", "birds"),), ("red", "blue", "yellow", "white"),
             part=AIR),
        Kind("car", "car", 0.28, (("car", "cars"), ("automobile", "automobiles")), PAINTED,
             part=ROAD),
        Kind("bus", "bus", 0.38, (("bus", "buses"),), PAINTED, part=ROAD, most=2),
        Kind("truck", "truck", 0.36, (("truck", "trucks"), ("lorry", "lorries")), PAINTED,
             part=ROAD, most=2),
        Kind("bicycle", "bicycle", 0.32, (("bicycle", "bicycles"), ("bike", "bikes")),
             ("red", "yellow", "green", "blue"), part=ROAD),
        Kind("train", "train", 0.26, (("train", "trains"),), PAINTED, part=RAILS, most=1),
        Kind("boat", "boat", 0.4, (("boat", "boats"), ("sailing boat", "sailing boats")), PAINTED,
             part=WATER),
        Kind("airplane", "airplane", 0.2, (("airplane", "airplanes"), ("plane", "planes")),
             ("red", "yellow", "blue", "white"), part=AIR, most=2),
        Kind("kite", "kite", 0.3, (("kite", "kites"),), CLOTHES[:-1], part=AIR,
             places=("beach", "meadow", "park", "lake", "snow", "desert")),
        Kind("umbrella", "umbrella", 0.42, (("umbrella", "umbrellas"), ("parasol", "parasols")),
             CLOTHES, places=("beach", "park", "lake")),
        Kind("bench", "bench", 0.28, (("bench", "benches"),), ("brown", "red", "green", "white"),
             places=("park", "lake", "river", "street", "forest"), most=2),
        Kind("ball", "sports ball", 0.2, (("ball", "balls"),), CLOTHES,
             places=("beach", "park", "meadow", "snow")),
        Kind("house", "house", 0.5, (("house", "houses"), ("cottage", "cottages")),
             (*PAINTED, "pink", "brown"),
             places=("meadow", "farm", "lake", "river", "mountains", "forest", "road", "beach",
                     "snow"), most=2),
    ]
)  # fmt: skip

# The nearest and the farthest line of the land: y of feet.
_NEAR = {LAND: (0.74, 0.9), AIR: (0.2, 0.34)}
_SHORE = {LAND: (0.82, 0.93), AIR: (0.2, 0.3), WATER: (0.6, 0.64)}

PLACES = {
    place.name: place
    for place in [
        Place("meadow", ("in a meadow", "on the grass", "in a green field"), _NEAR),
        Place("farm", ("on a farm", "beside a fence"), _NEAR),
        Place("park", ("in a park", "in the park"), _NEAR),
        Place("forest", ("in a forest", "among the trees", "in the woods"), _NEAR),
        Place("mountains", ("in the mountains", "below the mountains"), _NEAR),
        Place("lake", ("beside a lake", "by a lake", "at the lake"), _SHORE),
        Place("river", ("beside a river", "by the river"), _SHORE),
        Place("beach", ("on the beach", "at the beach", "on the sand by the sea"), _SHORE, False),
        Place("sea", ("on the sea", "at sea"), {WATER: (0.7, 0.86), AIR: (0.2, 0.3)}, False),
        Place("desert", ("in the desert", "among sand dunes"), _NEAR, False),
        Place("snow", ("in the snow", "in a snowy field"), _NEAR, False),
        Place("road", ("on a road", "on a country road"),
              {LAND: (0.68, 0.68), ROAD: (0.84, 0.9), AIR: (0.2, 0.3)}),
        Place("street", ("in a street", "in the city", "in a town"),
              {LAND: (0.72, 0.74), ROAD: (0.88, 0.92)}, False),
        Place("bridge", ("on a bridge", "on a bridge over a river"),
              {ROAD: (0.66, 0.66), AIR: (0.2, 0.26), WATER: (0.84, 0.9)}),
        Place("railway", ("on a railway", "on the rails"),
              {LAND: (0.66, 0.66), RAILS: (0.85, 0.85), AIR: (0.2, 0.3)}),
    ]
}  # fmt: skip

# The first of each is what a caption does not need to say.
HOURS = {
    "day": ("by day", "in daylight"),
    "dusk": ("at dusk", "at sunset", "in the evening"),
    "night": ("at night", "by moonlight"),
}
WEATHERS = {
    "clear": ("on a sunny day", "under a blue sky"),
    "cloudy": ("on a cloudy day", "under a cloudy sky"),
    "rain": ("in the rain", "on a rainy day"),
    "snowfall": ("in falling snow", "while it snows"),
    "fog": ("in the fog", "on a foggy day"),
}
SEASONS = {
    "summer": ("in summer",),
    "autumn": ("in autumn",),
    "winter": ("in winter",),
    "spring": ("in spring", "in blossom time"),
}
RELATIONS = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "beside": ("beside", "next to"),
    "front": ("in front of",),
    "behind": ("behind",),
    "on": ("on",),
}
SEATS = {"bench": ("cat", "bird")}  # who can be on what
COUNTS = {1: ("a", "one"), 2: ("two",), 3: ("three",)}
