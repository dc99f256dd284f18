"""Scenes: label spaces, cleaning rules, readers, rendering. numpy and Pillow only.

    scene = clean(panoptic, instances, human, face)     # labels uint8 [H, W], edges bool [H, W]
    scene.save("scene.png")                             scene = Scene.load("scene.png")
    scene.render().show()

The names below are imported from their modules on first use.
"""

from mas_fast.utils.lazy import names_of

__getattr__, __dir__, __all__ = names_of(
    __name__,
    {
        "labels": ("COCO_IDS", "COCO_NAMES", "FACE_NAMES", "LAYOUTS", "LIP_NAMES", "MAS159")
        + ("MINI158", "PERSON", "VOID", "Layout", "layout_named"),
        "scene": ("Scene",),
        "layers": ("Layers",),
        "rules": ("clean", "find_edges", "merge"),
        "semantic": ("ADE20K", "CIHP", "COCO_STUFF", "COCO_STUFF_IDS", "SPACES", "LabelSpace"),
        "spaces": ("space_named",),
        "open": ("open_scene", "read_scene", "square"),
        "words": ("is_words", "label_named", "scene_from_regions", "scene_from_words"),
        "readers": ("coco_labels", "read_coco_panoptic", "read_label_png", "read_two_channel"),
    },
)
