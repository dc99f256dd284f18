"""Draws docs/gallery.png with the model that comes with mas_fast: python docs/gallery.py"""

from pathlib import Path

import numpy as np

import mas_fast
from mas_fast.utils.contact_sheet import sheet

SEED = 7
CAPTIONS = [
    "a red house beside a lake at dusk",
    "two dogs on a beach on a sunny day",
    "a zebra to the left of an elephant on the grass",
    "three umbrellas by the sea in summer",
    "a bus and a bicycle in a town at night",
    "two sheep and a cow beside a river in autumn",
    "a boat on a lake in winter",
]

out = mas_fast.load(device="cpu").generate(CAPTIONS, num_images=2, seed=SEED)
pairs = [
    (scene.colors(), np.asarray(image)) for scene, image in zip(out.scenes, out.images, strict=True)
]
rows = [[*pairs[n], *pairs[n + 1]] for n in range(0, len(pairs), 2)]
sheet(rows, CAPTIONS).save(Path(__file__).with_name("gallery.png"), optimize=True)
