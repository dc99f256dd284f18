"""The vocabulary of the second world: colours, places, hours, weathers, relations.

There are only tables here. Drawing, captions and the reading of captions all use them.
"""

from __future__ import annotations

from dataclasses import dataclass

CLOTH = ("red", "orange", "green", "blue", "purple", "pink", "brown", "gray")  # of furniture
WOOD = ("brown", "white", "red", "green", "blue")

# Where something can be: on which part of a place. ON is on top of another thing.
LAND, ROAD, RAILS, WATER, AIR = "land", "road", "rails", "water", "air"
FLOOR, TABLETOP, ON = "floor", "tabletop", "on"

# What a caption may say about a thing, and how it is said.
SIZES = {"small": 0.62, "big": 1.35}  # ratio to the height that it would have unsaid
SIZE_SYNONYMS = {"little": "small", "tiny": "small", "large": "big", "huge": "big"}
PATTERNS = ("striped", "spotted")
POSES = {
    "stand": "standing",
    "walk": "walking",
    "run": "running",
    "sit": "sitting",
    "lie": "lying",
    "wave": "waving",
    "gallop": "galloping",
    "fly": "flying",
    "swim": "swimming",
}


@dataclass(frozen=True)
class Phrases:
    """How something is said: in a sentence, and in a telegram.

    Attributes:
        long: phrases that follow the things of a sentence.
        short: words between commas.
        on: phrases of a place for things that are all on its own part.
    """

    long: tuple[str, ...]
    short: tuple[str, ...]
    on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """A place.

    Attributes:
        name: name of the place.
        phrases: names of the place in captions.
        parts: for each part, the y of the feet of the farthest and of the nearest things.
        far: for each part where things can be far away, the y of their feet.
        lacks: what it may have, and what a caption may say that it is without.
        own: the part for which it has a phrase that is wrong elsewhere: a bird is by a road, a car
            on it.
        seasons: whether it looks different in autumn and in winter.
        indoors: whether it has walls and a window instead of a sky.
    """

    name: str
    phrases: Phrases
    parts: dict[str, tuple[float, float]]
    far: dict[str, float]
    lacks: tuple[str, ...] = ()
    own: str = LAND
    seasons: bool = True
    indoors: bool = False


# y of feet of the farthest and of the nearest things, by part.
_NEAR = {LAND: (0.75, 0.9), AIR: (0.2, 0.34)}
_SHORE = {LAND: (0.82, 0.93), AIR: (0.2, 0.3), WATER: (0.6, 0.66)}
_ROOM = {FLOOR: (0.8, 0.93)}
_HILLS = {LAND: 0.6, AIR: 0.2}
_WILD = ("trees", "flowers", "people", "buildings", "clouds", "sun")


def _place(name: str, long: str, short: str, *more, on: str = "", **options) -> Place:
    phrases = Phrases(*(tuple(filter(None, text.split(", "))) for text in (long, short, on)))
    return Place(name, phrases, *more, **options)


PLACES = {
    place.name: place
    for place in [
        _place("meadow", "in a meadow, in a green field", "meadow", _NEAR, _HILLS,
               _WILD, on="on the grass"),
        _place("farm", "on a farm, on the farm", "farm", _NEAR, _HILLS,
               ("trees", "flowers", "people", "clouds", "sun")),
        _place("garden", "in a garden, in the garden", "garden", _NEAR, {AIR: 0.2},
               ("trees", "people", "clouds", "sun")),
        _place("park", "in a park, in the park", "park", _NEAR, {AIR: 0.2},
               ("flowers", "people", "buildings", "clouds", "sun")),
        _place("forest", "in a forest, in the woods", "forest, woods", _NEAR, {},
               ("flowers", "people", "buildings", "clouds", "sun"), on="among the trees"),
        _place("mountains", "in the mountains, by the mountains", "mountains", _NEAR, _HILLS,
               _WILD),
        _place("lake", "beside a lake, by a lake, at the lake", "lake", _SHORE,
               {WATER: 0.56, AIR: 0.2}, _WILD, own=WATER, on="on a lake, on the lake"),
        _place("river", "beside a river, by the river", "river", _SHORE, {AIR: 0.2}, _WILD,
               own=WATER, on="on a river, on the river"),
        _place("beach", "at the beach, by the sea", "beach", _SHORE,
               {WATER: 0.54, AIR: 0.2}, ("trees", "people", "buildings", "clouds", "sun"),
               on="on the beach, on a beach, on the sand by the sea", seasons=False),
        _place("sea", "at sea, out at sea", "sea",
               {WATER: (0.72, 0.88), AIR: (0.2, 0.3)}, {WATER: 0.56, AIR: 0.2},
               ("people", "clouds", "sun"), own=WATER, on="on the sea", seasons=False),
        _place("desert", "in the desert, among sand dunes", "desert", _NEAR, _HILLS,
               ("people", "buildings", "clouds", "sun"), seasons=False),
        _place("snow", "in the snow, in a snowy field", "snowy field", _NEAR, _HILLS,
               ("trees", "people", "buildings", "clouds", "sun"), seasons=False),
        _place("road", "by a road, beside a country road", "road",
               {LAND: (0.68, 0.68), ROAD: (0.84, 0.9), AIR: (0.2, 0.3)}, {AIR: 0.2},
               ("trees", "people", "buildings", "clouds", "sun"),
               own=ROAD, on="on a road, on a country road"),
        _place("street", "in a street, in the city, in a town", "street, city",
               {LAND: (0.72, 0.74), ROAD: (0.88, 0.92)}, {}, ("trees", "people", "clouds", "sun"),
               seasons=False),
        _place("bridge", "by a bridge, near a bridge", "bridge",
               {ROAD: (0.66, 0.66), AIR: (0.2, 0.26), WATER: (0.86, 0.92)}, {AIR: 0.2},
               ("trees", "people", "clouds", "sun"),
               own=ROAD, on="on a bridge, on a bridge over a river"),
        _place("railway", "beside a railway, by the rails", "railway",
               {LAND: (0.66, 0.66), RAILS: (0.85, 0.85), AIR: (0.2, 0.3)}, {AIR: 0.2},
               ("trees", "people", "buildings", "clouds", "sun"),
               own=RAILS, on="on a railway, on the rails"),
        _place("living room", "in a living room, in the living room", "living room", _ROOM, {},
               seasons=False, indoors=True),
        _place("kitchen", "in a kitchen, in the kitchen", "kitchen", _ROOM, {},
               seasons=False, indoors=True),
        _place("bedroom", "in a bedroom, in the bedroom", "bedroom", _ROOM, {},
               seasons=False, indoors=True),
        _place("tabletop", "on a wooden table, on a tabletop", "wooden table, tabletop",
               {TABLETOP: (0.78, 0.92)}, {}, seasons=False, indoors=True),
    ]
}  # fmt: skip

# The first of each is what a caption does not need to say.
HOURS = {
    "day": Phrases(("by day", "in daylight"), ("day", "daylight")),
    "dusk": Phrases(("at dusk", "at sunset", "in the evening"), ("dusk", "sunset", "evening")),
    "night": Phrases(("at night", "by moonlight"), ("night", "moonlight")),
    "dawn": Phrases(("at dawn", "at sunrise", "in the early morning"), ("dawn", "sunrise")),
}
WEATHERS = {
    "clear": Phrases(("in clear weather", "under a clear sky"), ("clear sky", "clear weather")),
    "cloudy": Phrases(("on a cloudy day", "under a cloudy sky"), ("cloudy", "overcast")),
    "rain": Phrases(("in the rain", "on a rainy day"), ("rain", "rainy")),
    "snowfall": Phrases(("in falling snow", "while it snows"), ("snowing", "falling snow")),
    "fog": Phrases(("in the fog", "on a foggy day"), ("fog", "foggy")),
}
SEASONS = {
    "summer": Phrases(("in summer",), ("summer",)),
    "autumn": Phrases(("in autumn",), ("autumn",)),
    "winter": Phrases(("in winter",), ("winter",)),
    "spring": Phrases(("in spring",), ("spring",)),
}
LACKS = {
    name: Phrases((f"without {name}", f"with no {name}"), (f"no {name}", f"without {name}"))
    for name in ("trees", "flowers", "people", "buildings", "clouds", "sun")
}
RELATIONS = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "beside": ("beside", "next to"),
    "front": ("in front of",),
    "behind": ("behind",),
    "on": ("on", "on top of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
FAR = ("far away", "in the distance")  # said of the last group: the relation "far"
COUNTS = {1: ("a", "one"), 2: ("two",), 3: ("three",), 4: ("four",)}
GARMENTS = {"shirt": "upper-clothes", "dress": "dress", "coat": "coat"}  # their LIP parts


def is_cold(season: str, place: str) -> bool:
    """Tell whether people wear coats."""
    return season == "winter" or place == "snow"
