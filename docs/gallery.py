"""Draws docs/gallery.png with the model that comes with mas_fast: python docs/gallery.py"""

from pathlib import Path

import numpy as np

import mas_fast
from mas_fast.scene import scene_from_words
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

PART = "zebra: 8,60,50,108; elephant: 66,48,116,108"  # of a scene; the rest is drawn
PART_CAPTION = "a zebra to the left of an elephant on the grass"
REGION = (0, 0, 128, 48)  # of the first picture, which is drawn anew with another caption
EDIT_CAPTION = "a red house beside a lake at night"

model = mas_fast.load(device="cpu")
out = model.generate(CAPTIONS, num_images=2, seed=SEED)
pairs = [
    (scene.colors(), np.asarray(image)) for scene, image in zip(out.scenes, out.images, strict=True)
]
rows = [[*pairs[n], *pairs[n + 1]] for n in range(0, len(pairs), 2)]
titles = list(CAPTIONS)

part = model.generate(PART_CAPTION, scene=PART, num_images=2, seed=SEED)
given = scene_from_words(PART, *part.images[0].size)
pictures = [np.asarray(image) for image in part.images]
rows.append([given.colors(), part.scenes[0].colors(), *pictures])
titles.append(f"{PART_CAPTION}; given in part: {PART}; the scene drawn; two pictures")

edited = model.edit(out, region=REGION, caption=EDIT_CAPTION, num_images=2)
before = np.asarray(out.images[0])
left, top, right, bottom = REGION
hidden = before.copy()
hidden[top:bottom, left:right] = 255
rows.append([before, hidden, *(np.asarray(image) for image in edited.images)])
titles.append(f"an edit: the first picture, its region, and twice: {EDIT_CAPTION}")
sheet(rows, titles).save(Path(__file__).with_name("gallery.png"), optimize=True)
