"""What a bundle knows, in plain JSON: for programs, and for the page."""

from __future__ import annotations

from mas_fast.pipelines.base import Painter
from mas_fast.scene.labels import (
    COCO_IDS,
    COCO_NAMES,
    COCO_THINGS,
    PERSON,
    VOID,
    layout_named,
)
from mas_fast.scene.semantic import ADE20K, COCO_STUFF
from mas_fast.scene.words import ENDINGS

PEOPLE = ("person", "people", "man", "men", "woman", "women", "boy", "girl", "child", "children")


def facts_of(painter: Painter) -> dict:
    """Collect what a bundle knows.

    Args:
        painter: the bundle made ready.

    Returns:
        A dict with these keys.

        name: of the bundle.
        picture: pixels of a picture's side, and cells of its grid's side.
        scene: the same of scenes, and their label space; null where the model has none.
        void: the label that means: draw this.
        classes: of scenes, each with label, name, kind ("thing", "stuff" or "part" of a person),
            colour, COCO's category id (null of parts), and whether the captions that the model
            learned from name it: by its name, in the plural, or as "lake" names water.
        words: those that the model has learned; null where the bundle has no list.
        sampling: what is drawn with where a request does not say.
    """
    img, seg = painter.img, painter.seg
    return {
        "name": painter.name,
        "picture": {"side": img.config.resolution, "grid": img.grid[0]},
        "scene": seg
        and {
            "side": seg.config.resolution,
            "grid": seg.grid[0],
            "labels": seg.config.layout,
        },
        "void": VOID,
        "classes": _classes(painter) if seg else [],
        "words": None if painter.words is None else sorted(painter.words),
        "sampling": painter.sampling,
    }


def _classes(painter: Painter) -> list[dict]:
    assert painter.seg is not None
    assert painter.seg.config.layout is not None  # Codec's promise
    layout = layout_named(painter.seg.config.layout)
    named = _named(frozenset(painter.words or ()))
    found = []
    for label in layout.label_channels.tolist():
        name = layout.names[label]
        part = label >= layout.panoptic_channels.stop  # of a person
        learned = (COCO_NAMES[PERSON] if part else name) in named
        colour = "#" + bytes(layout.colors[label].tolist()).hex()
        kind = "part" if part else "thing" if label < COCO_THINGS else "stuff"
        coco = None if part else COCO_IDS[label]
        found.append(
            {
                "label": label, "name": _brief(name), "kind": kind, "colour": colour,
                "coco": coco, "learned": learned,
            }
        )  # fmt: skip
    return found


def _named(known: frozenset[str]) -> set[str]:
    """COCO's classes that a caption of these words may name."""
    names = {_brief(name): name for name in COCO_NAMES}
    found = {full for name, full in names.items() if known.issuperset(name.split())}
    if known.intersection(PEOPLE):
        found.add(COCO_NAMES[PERSON])
    for word in known:
        for form in {word, word.removesuffix("s")}:
            targets = (space.target(form) for space in (ADE20K, COCO_STUFF))
            meant = {names[form]} if form in names else set(filter(None, targets))
            if len(meant) == 1:
                found |= meant
    return found


def _brief(name: str) -> str:
    """A class without the ending that COCO gives it."""
    for ending in sorted(filter(None, ENDINGS), key=len, reverse=True):
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name
