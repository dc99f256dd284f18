"""What a bundle knows, in plain JSON: for programs, and for the page."""

from __future__ import annotations

from mas_fast.pipelines.base import Painter
from mas_fast.scene.labels import PERSON, VOID, layout_named
from mas_fast.scene.words import ENDINGS


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
        classes: of scenes, each with label, name, colour, and whether the captions that the model
            learned from have its name.
        words: those that the model has learned; null where the bundle has no list.
        sampling: what is drawn with where a request does not say.
    """
    img, seg = painter.img, painter.seg
    return {
        "name": painter.path.name,
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
    known: frozenset[str] = frozenset(painter.words or ())
    person = layout.names[PERSON]
    found = []
    for label in layout.label_channels.tolist():
        name = _brief(layout.names[label])
        part = label >= layout.panoptic_channels.stop  # of a person
        learned = all(word in known for word in (person if part else name).split())
        colour = "#" + bytes(layout.colors[label].tolist()).hex()
        found.append({"label": label, "name": name, "colour": colour, "learned": learned})
    return found


def _brief(name: str) -> str:
    """A class without the ending that COCO gives it."""
    for ending in sorted(filter(None, ENDINGS), key=len, reverse=True):
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name
