"""A scene given in part, then an edit: what is void is drawn, what is outside of a region is kept.

    python examples/paint_part_of_a_scene.py

Writes paint_part_of_a_scene.png: what was given, the scene that was drawn, the picture, and the
picture with another sky.
"""

import numpy as np

import mas_fast
from mas_fast.scene import scene_from_words
from mas_fast.utils.contact_sheet import sheet

model = mas_fast.load(device="cpu")
caption = "a zebra to the left of an elephant on the grass"

# Boxes are left, top, right, bottom in pixels of the picture; the rest is void, which means: draw.
words = "zebra: 8,60,50,108; elephant: 66,48,116,108"
out = model.generate(caption, scene=words, seed=7)

# The upper 48 rows are drawn anew; all tokens outside of them stay, of scene and picture.
night = model.edit(out, region=(0, 0, 128, 48), caption=f"{caption} at night")
text = model.streams["text"].length
kept = (night.tokens == out.tokens)[:, text:].mean()

given = scene_from_words(words, *out.images[0].size)
pictures = [given.colors(), out.scenes[0].colors()]
pictures += [np.asarray(image) for image in (out.images[0], night.images[0])]
sheet([pictures], [f"{words}; {kept:.0%} of the tokens are kept"]).save("paint_part_of_a_scene.png")
print("paint_part_of_a_scene.png")
