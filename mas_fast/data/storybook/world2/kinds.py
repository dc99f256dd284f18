"""The kinds of things in the second world: how high and wide, where, in which colours and poses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mas_fast.data.storybook.colors import CLOTHES, COATS, PAINTED
from mas_fast.data.storybook.world2.words import (
    AIR,
    CLOTH,
    FLOOR,
    LAND,
    ON,
    RAILS,
    ROAD,
    TABLETOP,
    WATER,
    WOOD,
    is_cold,
)


@dataclass(frozen=True)
class Kind:
    """A kind of thing.

    Attributes:
        name: name of the kind.
        label: its class among COCO's 133.
        width: width of its box, ratio to its height.
        heights: on which parts of a place it can be, the usual one first, and the height of a
            single one there, in parts of the picture. ON is its height on a seat, where that
            differs.
        names: names in captions, (singular, plural).
        colors: colours that a caption may name; without any, it has its own.
        garment: the piece of clothing that has the colour, if any.
        poses: poses that a caption may name; without a name it stands, flies or swims.
        patterned: whether it can be striped or spotted.
        sizes: whether it can be small or big.
        places: the only places where it occurs; None for all.
        most: the largest number of it that a caption speaks of.
        widths: its width in poses in which that differs.
    """

    name: str
    label: str
    width: float
    heights: dict[str, float]
    names: tuple[tuple[str, str], ...]
    colors: tuple[str, ...] = ()
    garment: str | None = None
    poses: tuple[str, ...] = ()
    patterned: bool = False
    sizes: bool = True
    places: tuple[str, ...] | None = None
    most: int = 3
    widths: Mapping[str, float] = field(default_factory=dict)

    def width_in(self, pose: str | None) -> float:
        """Return the width of its box in a pose, ratio to its height."""
        return self.widths.get(pose or "", self.width)


def _kinds(kinds: Iterable[Kind]) -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds}


ROOMS = ("living room", "kitchen", "bedroom")
MEADOWS = ("meadow", "farm", "lake", "river", "mountains", "park")
GREEN = (*MEADOWS, "forest", "snow")
SAVANNA = ("desert", "meadow", "river")
_PEOPLE = {LAND: 0.58, FLOOR: 0.6, ON: 0.56}
_CHILDREN = {LAND: 0.48, FLOOR: 0.5, ON: 0.48}
_MOVES = ("walk", "run", "wave")
_PERSON = {"wave": 0.56, "walk": 0.66, "run": 0.8, "sit": 0.74, "ride": 0.8}

KINDS = _kinds(
    [
        # Living
        Kind("man", "person", 0.62, _PEOPLE, (("man", "men"),), CLOTHES, "shirt", _MOVES,
             patterned=True, sizes=False, widths=_PERSON),
        Kind("woman", "person", 0.62, _PEOPLE, (("woman", "women"), ("lady", "ladies")), CLOTHES,
             "dress", _MOVES, patterned=True, sizes=False, widths=_PERSON),
        Kind("boy", "person", 0.62, _CHILDREN, (("boy", "boys"),), CLOTHES, "shirt", _MOVES,
             patterned=True, sizes=False, widths=_PERSON),
        Kind("girl", "person", 0.62, _CHILDREN, (("girl", "girls"),), CLOTHES, "dress", _MOVES,
             patterned=True, sizes=False, widths=_PERSON),
        Kind("dog", "dog", 1.4, {LAND: 0.33, FLOOR: 0.36, ON: 0.28},
             (("dog", "dogs"), ("puppy", "puppies")), COATS, poses=("walk", "run", "sit"),
             places=(*GREEN, "garden", "beach", "street", "road", *ROOMS), most=4,
             widths={"run": 1.5, "sit": 1.35}),
        Kind("cat", "cat", 1.1, {LAND: 0.31, FLOOR: 0.34, ON: 0.26},
             (("cat", "cats"), ("kitten", "kittens")), (*COATS, "orange"), poses=("sit", "lie"),
             places=(*GREEN, "garden", "beach", "street", *ROOMS), most=4, widths={"lie": 1.26}),
        Kind("horse", "horse", 1.2, {LAND: 0.48}, (("horse", "horses"), ("pony", "ponies")), COATS,
             poses=("gallop",), places=(*GREEN, "beach", "desert"), widths={"gallop": 1.55}),
        Kind("sheep", "sheep", 1.3, {LAND: 0.32}, (("sheep", "sheep"),), ("white", "black"),
             places=(*MEADOWS, "snow"), most=4),
        Kind("cow", "cow", 1.5, {LAND: 0.4}, (("cow", "cows"),), ("brown", "white", "black"),
             places=MEADOWS),
        Kind("elephant", "elephant", 1.5, {LAND: 0.5}, (("elephant", "elephants"),),
             places=(*SAVANNA, "park", "forest")),
        Kind("bear", "bear", 1.6, {LAND: 0.45}, (("bear", "bears"),), ("brown", "white", "black"),
             poses=("sit",), places=("forest", "mountains", "river", "snow"), widths={"sit": 0.9}),
        Kind("zebra", "zebra", 1.2, {LAND: 0.44}, (("zebra", "zebras"),), poses=("gallop",),
             widths={"gallop": 1.55}, places=SAVANNA),
        Kind("giraffe", "giraffe", 0.78, {LAND: 0.66}, (("giraffe", "giraffes"),),
             places=("desert", "meadow", "forest")),
        Kind("bird", "bird", 1.75, {AIR: 0.19, LAND: 0.2, ON: 0.16}, (("bird", "birds"),),
             ("red", "blue", "yellow", "white"), poses=("stand",), most=4,
             widths={"stand": 1.4, "perch": 1.4}),
        Kind("duck", "bird", 1.55, {WATER: 0.19, LAND: 0.22}, (("duck", "ducks"),),
             ("white", "brown", "yellow"), poses=("stand",),
             places=("lake", "river", "farm", "garden", "park"), most=4, widths={"stand": 1.26}),
        # Vehicles
        Kind("car", "car", 2.5, {ROAD: 0.27}, (("car", "cars"),), (*PAINTED, "black")),
        Kind("motorcycle", "motorcycle", 1.8, {ROAD: 0.34},
             (("motorcycle", "motorcycles"), ("motorbike", "motorbikes")),
             ("red", "yellow", "green", "blue", "black")),
        Kind("bus", "bus", 2.16, {ROAD: 0.38}, (("bus", "buses"),), PAINTED, most=2),
        Kind("truck", "truck", 2.16, {ROAD: 0.36}, (("truck", "trucks"),), PAINTED, most=2),
        Kind("bicycle", "bicycle", 1.8, {ROAD: 0.34, LAND: 0.34},
             (("bicycle", "bicycles"), ("bike", "bikes")),
             ("red", "yellow", "green", "blue", "pink"),
             places=("park", "garden", "beach", "lake", "road", "street", "bridge")),
        Kind("train", "train", 3.4, {RAILS: 0.27}, (("train", "trains"),), PAINTED, most=1),
        Kind("boat", "boat", 1.5, {WATER: 0.38}, (("boat", "boats"),), PAINTED),
        Kind("airplane", "airplane", 2.5, {AIR: 0.2},
             (("airplane", "airplanes"), ("plane", "planes")), ("red", "yellow", "blue", "white"),
             most=2),
        # Outdoors
        Kind("traffic light", "traffic light", 0.4, {LAND: 0.5},
             (("traffic light", "traffic lights"),), sizes=False, places=("street", "road"),
             most=2),
        Kind("fire hydrant", "fire hydrant", 0.66, {LAND: 0.3},
             (("fire hydrant", "fire hydrants"),), ("red", "yellow", "blue"),
             places=("street", "park"), most=2),
        Kind("stop sign", "stop sign", 0.42, {LAND: 0.48}, (("stop sign", "stop signs"),),
             sizes=False, places=("street", "road", "railway"), most=1),
        Kind("bench", "bench", 2.0, {LAND: 0.28}, (("bench", "benches"),), WOOD,
             places=("park", "garden", "lake", "river", "street", "forest", "beach"), most=2),
        Kind("umbrella", "umbrella", 1.3, {LAND: 0.46}, (("umbrella", "umbrellas"),), CLOTHES,
             patterned=True, places=("beach", "park", "garden", "lake")),
        Kind("kite", "kite", 0.92, {AIR: 0.28}, (("kite", "kites"),), CLOTHES[:-1],
             places=("beach", "meadow", "park", "lake", "snow", "desert", "mountains")),
        Kind("ball", "sports ball", 1.0, {LAND: 0.2, FLOOR: 0.2}, (("ball", "balls"),), CLOTHES,
             patterned=True,
             places=("beach", "park", "garden", "meadow", "snow", "bedroom", "living room"),
             most=4),
        Kind("suitcase", "suitcase", 1.24, {LAND: 0.22, FLOOR: 0.25, ON: 0.2},
             (("suitcase", "suitcases"),), ("red", "yellow", "green", "blue", "purple", "brown"),
             places=("street", "railway", "road", "bedroom", "living room")),
        Kind("surfboard", "surfboard", 0.4, {LAND: 0.5}, (("surfboard", "surfboards"),), CLOTHES,
             places=("beach",)),
        Kind("skateboard", "skateboard", 3.6, {LAND: 0.15}, (("skateboard", "skateboards"),),
             ("red", "yellow", "green", "blue", "purple"), sizes=False,
             places=("street", "park", "road"), most=2),
        Kind("tent", "tent", 1.7, {LAND: 0.36}, (("tent", "tents"),), PAINTED[:-1],
             places=("meadow", "forest", "mountains", "lake", "river", "desert", "snow"), most=2),
        Kind("house", "house", 1.4, {LAND: 0.6}, (("house", "houses"),),
             (*PAINTED, "pink", "brown"),
             places=("meadow", "farm", "garden", "lake", "river", "mountains", "forest", "road",
                     "beach", "snow"), most=2),
        # Indoors
        Kind("chair", "chair", 0.92, {FLOOR: 0.38, LAND: 0.38}, (("chair", "chairs"),),
             (*WOOD, "yellow"), places=ROOMS),
        Kind("couch", "couch", 2.2, {FLOOR: 0.36}, (("couch", "couches"), ("sofa", "sofas")), CLOTH,
             places=("living room",), sizes=False, most=1),
        Kind("bed", "bed", 2.1, {FLOOR: 0.36}, (("bed", "beds"),), CLOTH, places=("bedroom",),
             sizes=False, most=1),
        Kind("table", "dining table", 2.0, {FLOOR: 0.34, LAND: 0.34}, (("table", "tables"),), WOOD,
             places=("living room", "kitchen", "garden"), sizes=False, most=1),
        Kind("potted plant", "potted plant", 0.92, {FLOOR: 0.36, TABLETOP: 0.46, ON: 0.2},
             (("potted plant", "potted plants"),), ("red", "white", "blue", "brown"),
             places=(*ROOMS, "tabletop")),
        Kind("tv", "tv", 1.4, {FLOOR: 0.34}, (("tv", "tvs"), ("television", "televisions")),
             places=("living room", "bedroom"), most=1),
        Kind("laptop", "laptop", 1.5, {TABLETOP: 0.36, ON: 0.16}, (("laptop", "laptops"),),
             ("gray", "black", "white"), most=2),
        Kind("book", "book", 1.4, {TABLETOP: 0.3, ON: 0.14}, (("book", "books"),),
             ("red", "yellow", "green", "blue", "purple"), most=4),
        Kind("clock", "clock", 0.94, {TABLETOP: 0.34, ON: 0.15}, (("clock", "clocks"),),
             ("red", "yellow", "green", "blue", "white"), most=2),
        Kind("vase", "vase", 0.74, {TABLETOP: 0.5, ON: 0.21}, (("vase", "vases"),),
             ("red", "green", "blue", "purple", "white", "yellow"), most=2),
        Kind("teddy bear", "teddy bear", 0.86, {FLOOR: 0.28, TABLETOP: 0.42, ON: 0.2},
             (("teddy bear", "teddy bears"), ("teddy", "teddies")), ("brown", "pink", "white"),
             places=("bedroom", "living room", "tabletop")),
        Kind("fridge", "refrigerator", 0.56, {FLOOR: 0.58}, (("fridge", "fridges"),),
             ("white", "gray", "red", "green", "blue"), sizes=False, places=("kitchen",), most=1),
        Kind("lamp", "light", 0.62, {FLOOR: 0.52, TABLETOP: 0.5}, (("lamp", "lamps"),),
             ("red", "yellow", "green", "blue", "white"),
             places=("living room", "bedroom", "tabletop"), most=2),
        Kind("bottle", "bottle", 0.34, {TABLETOP: 0.48, ON: 0.18}, (("bottle", "bottles"),),
             ("green", "blue", "brown", "red"), most=4),
        Kind("cup", "cup", 1.34, {TABLETOP: 0.26, ON: 0.14}, (("cup", "cups"), ("mug", "mugs")),
             CLOTHES, most=4),
        Kind("bowl", "bowl", 1.9, {TABLETOP: 0.23, ON: 0.14}, (("bowl", "bowls"),), CLOTHES),
        Kind("banana", "banana", 1.56, {TABLETOP: 0.23}, (("banana", "bananas"),),
             ("yellow", "green")),
        Kind("apple", "apple", 1.0, {TABLETOP: 0.23}, (("apple", "apples"),),
             ("red", "green", "yellow"), most=4),
        Kind("orange fruit", "orange", 1.06, {TABLETOP: 0.23}, (("orange", "oranges"),), most=4),
        Kind("pizza", "pizza", 2.3, {TABLETOP: 0.22, ON: 0.14}, (("pizza", "pizzas"),), most=2),
        Kind("cake", "cake", 1.3, {TABLETOP: 0.34, ON: 0.17}, (("cake", "cakes"),),
             ("pink", "white", "brown", "yellow"), most=2),
    ]
)  # fmt: skip


def garment_of(kind: Kind, season: str, place: str) -> str | None:
    """Return the piece of clothing that has the colour of a kind of thing, if any."""
    return "coat" if kind.garment and is_cold(season, place) else kind.garment
