"""Label spaces and the two layouts of a scene's channels.

The label of a pixel is the number of its channel: panoptic classes first (COCO's 133, in the order
of their ids), then human parts (LIP's 20 without the background), then face parts. The last channel
is the edge bit. 255 is void: nothing is known about the pixel.

    mini158: panoptic 0..132, human part k at 132 + k (133..151), face part k at 151 + k, edge 157
    mas159:  panoptic 0..132, human part k at 133 + k (133..152), face part k at 152 + k, edge 158

mas159 is Make-A-Scene's: it has a channel, 133, for LIP's background, which stays empty.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mas_fast.utils.validate import check_choice

VOID = 255
PERSON = 0  # the panoptic label that admits human and face parts

COCO_NAMES = tuple(
    """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra,
giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite,
baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork,
knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut,
cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard,
cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear,
hair drier, toothbrush, banner, blanket, bridge, cardboard, counter, curtain, door-stuff,
floor-wood, flower, fruit, gravel, house, light, mirror-stuff, net, pillow, platform,
playingfield, railroad, river, road, roof, sand, sea, shelf, snow, stairs, tent, towel,
wall-brick, wall-stone, wall-tile, wall-wood, water-other, window-blind, window-other,
tree-merged, fence-merged, ceiling-merged, sky-other-merged, cabinet-merged, table-merged,
floor-other-merged, pavement-merged, mountain-merged, grass-merged, dirt-merged, paper-merged,
food-other-merged, building-other-merged, rock-merged, wall-other-merged, rug-merged
""".replace("\n", " ")
    .strip()
    .split(", ")
)
COCO_THINGS = 80  # labels below are things, the others stuff


def _ids(ranges: str) -> tuple[int, ...]:
    ends = [[int(end) for end in item.split("-")] for item in ranges.split()]
    return tuple(i for first, *last in ends for i in range(first, (last or [first])[0] + 1))


COCO_IDS = _ids(  # of the labels 0..132
    """
1-11 13-25 27-28 31-44 46-65 67 70 72-82 84-90 92-93 95 100 107 109 112 118-119 122 125 128 130
133 138 141 144-145 147-149 151 154-156 159 161 166 168 171 175-178 180-181 184-200
"""
)

LIP_NAMES = tuple(
    """background hat hair glove sunglasses upper-clothes dress coat socks pants jumpsuits scarf
    skirt face left-arm right-arm left-leg right-leg left-shoe right-shoe""".split()
)
LIP_PAIRS = ((14, 15), (16, 17), (18, 19))  # left and right: a flip swaps them
FACE_NAMES = ("eyebrows", "eyes", "nose", "outer-mouth", "inner-mouth")  # parts 1..5; 0 is none

_COCO_COLORS = """
dc143c 770b20 00008e 0000e6 6a00e4 003c64 005064 000046 0000c0 faaa1e 64aa1e dcdc00 af74af fa001e
a52a2a ff4dff 00e2fc b6b6ff 005200 78a69d 6e4c00 ae39ff c76400 480076 ffb3f0 007d5c d10097 bcd0b6
00dcb0 ff63a4 5c0049 8581ff 4eb4ff 00e400 aefff3 2d59ff 868667 9194ae ffd0ba c5e2ff ab8601 6d3f36
cf8aff 97005f 09503d 546933 4a4169 a6c466 d0c3d2 ff6d41 008f95 b300c2 d1636a 057900 e3ffcd 93bad0
994501 035fa1 a3ff00 7700aa 00b6c7 00a578 b78258 5f2000 827287 6e8185 a64a76 db8eb9 4fd272 b25a3e
41460f 7fa773 3b696a 8e6c2d c4ac00 5f3650 804cff c93901 f6007a bfa2d0 ffff80 93d3cb 966464 a8abac
9270c6 d2aa64 5c8859 da58b8 f18100 d911ff 7c4ab5 464646 ffe4ff 9ad000 c1005c 4c5b71 ffb4c3 6a9ab0
e6968c 3c8fff 804080 5c5237 fed47c 494dae ffa062 ffffff 68546d a9a483 e1c7ff 89364a 879edf 07f6e7
6bffc8 3a2995 b7798e ff4961 6b8e23 be9999 928b8d 4682b4 86c79c d1e28c 60246c 606060 40aa40 98fb98
d0e5e4 cebaab 98a140 747000 00728f 66669c fa8dff
"""


@dataclass(frozen=True)
class Layout:
    """A numbering of the channels of a scene.

    Attributes:
        name: name of the layout.
        human: human + k is the channel of LIP label k.
        face: face + k is the channel of face part k.
    """

    name: str
    human: int
    face: int

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.edge_channel + 1

    @property
    def edge_channel(self) -> int:
        """Channel of the edge bit."""
        return self.face + len(FACE_NAMES) + 1

    @property
    def panoptic_channels(self) -> slice:
        """Channels of the panoptic classes."""
        return slice(0, len(COCO_NAMES))

    @property
    def human_channels(self) -> slice:
        """Channels of the human parts, without the background."""
        return slice(self.human + 1, self.human + len(LIP_NAMES))

    @property
    def face_channels(self) -> slice:
        """Channels of the face parts."""
        return slice(self.face + 1, self.edge_channel)

    @cached_property
    def label_channels(self) -> np.ndarray:
        """Channels that may be labels, int64, ascending.

        All but the edge and, in mas159, the human background.
        """
        parts = (self.panoptic_channels, self.human_channels, self.face_channels)
        return np.concatenate([np.arange(part.start, part.stop) for part in parts])

    @cached_property
    def allowed(self) -> np.ndarray:
        """Whether a label map may have each value, bool [256]."""
        allowed = np.zeros(256, bool)
        allowed[self.label_channels] = allowed[VOID] = True
        return allowed

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name of each channel."""
        background = ("human-background",) * (self.human + 1 - len(COCO_NAMES))
        return (*COCO_NAMES, *background, *LIP_NAMES[1:], *FACE_NAMES, "edge")

    @cached_property
    def colors(self) -> np.ndarray:
        """Colour of each label, uint8 [256, 3].

        COCO's own for the panoptic classes, distinct ones for the parts, black for void and all
        others.
        """
        colors = np.zeros((256, 3), np.uint8)
        coco = bytes.fromhex(_COCO_COLORS)
        colors[self.panoptic_channels] = np.frombuffer(coco, np.uint8).reshape(-1, 3)
        for n, channel in enumerate(self.label_channels[len(COCO_NAMES) :]):
            hue = n * 0.618034 % 1  # the golden ratio keeps any run of hues apart
            rgb = colorsys.hsv_to_rgb(hue, (0.45, 0.75)[n % 2], (1.0, 0.8, 0.9)[n % 3])
            colors[channel] = np.round(255 * np.array(rgb))
        return colors

    @cached_property
    def mirrored(self) -> np.ndarray:
        """The label that each label becomes when the picture is flipped, uint8 [256]."""
        table = np.arange(256, dtype=np.uint8)
        for left, right in LIP_PAIRS:
            table[[self.human + left, self.human + right]] = self.human + right, self.human + left
        return table

    def table(self, other: Layout) -> np.ndarray:
        """Return the label in another layout of each label of this one.

        Args:
            other: the other layout.

        Returns:
            uint8 [256]; 255 for values that are no labels.
        """
        table = np.full(256, VOID, np.uint8)
        table[self.label_channels] = other.label_channels
        return table


MINI158 = Layout("mini158", human=132, face=151)
MAS159 = Layout("mas159", human=133, face=152)
LAYOUTS = {layout.name: layout for layout in (MINI158, MAS159)}


def layout_named(name: str | Layout) -> Layout:
    """Find a layout.

    Args:
        name: its name. A `Layout` is returned as it is.

    Returns:
        The layout.

    Raises:
        ValueError: names the layouts that exist.
    """
    if isinstance(name, Layout):
        return name
    check_choice("layout", name, LAYOUTS)
    return LAYOUTS[name]
