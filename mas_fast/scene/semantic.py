"""Label PNGs of ADE20K and COCO-Stuff as COCO's 133 panoptic labels, by class name.

A class goes to the COCO class of its name ("sky" to "sky-other-merged"), else to the one that the
tables below name, else to void. Of 30 validation photos of ADE20K, 6.1% of the pixels are void,
2.6% because ADE20K has no class for them itself.

Semantic labels do not tell two people who touch apart, nor do we: they give no instances. Connected
components would change no edge, since neighbours of one label belong to one component.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mas_fast.scene.labels import COCO_NAMES, VOID
from mas_fast.scene.png import png_array
from mas_fast.scene.readers import File


def _list(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.replace("\n", " ").split(","))


def _table(text: str) -> dict[str, str]:
    """{class: COCO class} of lines "COCO class: class, class, ..."."""
    lines = (line.split(":") for line in text.strip().splitlines())
    return {name: coco.strip() for coco, names in lines for name in _list(names)}


ADE20K_NAMES = _list(
    """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person,
earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea,
mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion,
base, box, column, signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace,
refrigerator, grandstand, path, stairs, runway, case, pool table, pillow, screen door, stairway,
river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop, stove,
palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light,
truck, tower, chandelier, awning, streetlight, booth, television, airplane, dirt track, apparel,
pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain,
conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall, tent,
bag, minibike, cradle, oven, ball, food, step, tank, trade name, microwave, pot, animal, bicycle,
lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan,
pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag
"""
)
ADE20K_TO_COCO = _table(
    """
banner: flag
boat: ship
building-other-merged: skyscraper, tower
cabinet-merged: wardrobe, chest of drawers, buffet
car: van
cardboard: box
chair: armchair, seat, swivel chair, stool
couch: sofa
counter: countertop, kitchen island, bar
cup: glass
dirt-merged: earth, dirt track, land
door-stuff: door, screen door
fence-merged: railing, bannister
grass-merged: field
house: hovel
light: lamp, chandelier, streetlight, sconce
mirror-stuff: mirror
motorcycle: minibike
mountain-merged: hill
oven: stove
paper-merged: poster
pavement-merged: sidewalk, path
pillow: cushion
platform: stage
road: runway
shelf: bookcase
sports ball: ball
stairs: stairway, escalator, step
table-merged: desk, pool table, coffee table
tree-merged: plant, palm
tv: television, crt screen, monitor
water-other: water, swimming pool, waterfall, lake, fountain
window-blind: blind
window-other: windowpane
"""
)

COCO_STUFF_NAMES = _list(
    """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
street sign, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe, hat, backpack, umbrella, shoe, eye glasses, handbag, tie, suitcase, frisbee, skis,
snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket,
bottle, plate, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli,
carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, mirror, dining table, window,
desk, toilet, door, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink,
refrigerator, blender, book, clock, vase, scissors, teddy bear, hair drier, toothbrush, hair brush,
banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet,
ceiling-other, ceiling-tile, cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt,
door-stuff, fence, floor-marble, floor-other, floor-stone, floor-tile, floor-wood, flower, fog,
food-other, fruit, furniture-other, grass, gravel, ground-other, hill, house, leaves, light, mat,
metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement, pillow, plant-other,
plastic, platform, playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand, sea,
shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table,
tent, textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel,
wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other, wood
"""
)
COCO_STUFF_TO_COCO = _table(
    """
building-other-merged: skyscraper
cabinet-merged: cupboard
ceiling-merged: ceiling-other, ceiling-tile
dirt-merged: mud, ground-other
fence-merged: cage, railing
floor-other-merged: floor-marble, floor-stone, floor-tile
food-other-merged: salad, vegetable
grass-merged: moss, straw
mountain-merged: hill
paper-merged: napkin
rock-merged: stone
rug-merged: carpet, mat
sky-other-merged: clouds, fog
table-merged: desk-stuff
tree-merged: branch, bush, leaves, plant-other
wall-other-merged: wall-concrete, wall-panel
"""
)


@dataclass(frozen=True)
class LabelSet:
    """How somebody's label PNGs read. names: of the pixel values first, first + 1, ... other: the
    value of pixels without a class. to_coco: the COCO class of classes that COCO calls
    differently."""

    name: str
    names: tuple[str, ...]
    to_coco: dict[str, str]
    first: int
    other: int

    def coco(self, name: str) -> str | None:
        """The COCO class of a class, None if it has none."""
        names = (name, f"{name}-merged", f"{name}-other-merged", self.to_coco.get(name))
        return next((found for found in names if found in COCO_NAMES), None)

    @property
    def unmapped(self) -> tuple[str, ...]:
        """The classes that become void."""
        return tuple(name for name in self.names if self.coco(name) is None)

    @cached_property
    def table(self) -> np.ndarray:
        """int16 [256]: the panoptic label of each pixel value, 255 void, -1 not allowed."""
        table = np.full(256, -1, np.int16)
        table[self.other] = VOID
        for value, name in enumerate(self.names, self.first):
            coco = self.coco(name)
            table[value] = VOID if coco is None else COCO_NAMES.index(coco)
        return table

    def read(self, png: File) -> np.ndarray:
        """The panoptic map uint8 [H, W], 0..132 or 255, of a grey or palette PNG. ValueError names
        values without a class."""
        values, _ = png_array(png, ("L", "P"), f"{self.name} PNG")
        panoptic = self.table[values]
        if (panoptic < 0).any():
            found = np.unique(values[panoptic < 0])[:5].tolist()
            last = self.first + len(self.names) - 1
            raise ValueError(
                f"{self.name} PNG: found {found}, expected {self.first}..{last} or {self.other}"
            )
        return panoptic.astype(np.uint8)


ADE20K = LabelSet("ADE20K", ADE20K_NAMES, ADE20K_TO_COCO, first=1, other=0)
# COCO-Stuff comes in two numberings: stuffthingmaps count from 0, its label list from 1.
COCO_STUFF = LabelSet("COCO-Stuff", COCO_STUFF_NAMES, COCO_STUFF_TO_COCO, first=0, other=255)
COCO_STUFF_IDS = LabelSet("COCO-Stuff ids", COCO_STUFF_NAMES, COCO_STUFF_TO_COCO, 1, other=0)
