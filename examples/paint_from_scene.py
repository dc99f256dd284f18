"""A scene of your own to pictures: boxes and polygons with the names of classes.

    python examples/paint_from_scene.py

The scene is the same, the captions differ; so things stay where they are. Writes
paint_from_scene.png, a contact sheet, and paint_from_scene.legend.png, the scene to look at.
"""

import mas_fast
from mas_fast.scene import scene_from_regions

model = mas_fast.load(device="cpu")
size = model.size  # pixels of a side of a scene

# Later regions lie over earlier ones. A box is (left, top, right, bottom), in pixels from the
# upper left corner; a polygon is a list of points.
scene = scene_from_regions(
    size,
    size,
    [
        ("sky", (0, 0, size, 34)),
        ("mountain", [(0, 34), (14, 18), (30, 34)]),
        ("water", (0, 34, size, 46)),
        ("grass", (0, 46, size, size)),
        ("house", [(30, 54), (30, 34), (41, 24), (52, 34), (52, 54)]),
    ],
)
captions = ["a red house beside a lake in winter", "a white house beside a lake at night"]
out = model.generate(captions, scene=scene, seed=7)
out.sheet().save("paint_from_scene.png")
scene.render().save("paint_from_scene.legend.png")
print("paint_from_scene.png, paint_from_scene.legend.png")
