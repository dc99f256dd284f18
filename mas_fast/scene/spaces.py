"""The label space that a user names: `--scene-labels ade20k`, `--labels my-classes.tsv`.

    space_named("ade20k").read("ADE_val_00000001.png")       # Layers

A file has a line NAME<TAB>VALUE for each pixel value. NAME is one of our classes ("sky", "dog",
"left-arm"; see words.label_named), or "void".
"""

from __future__ import annotations

import os
from pathlib import Path

from mas_fast.scene.labels import MINI158
from mas_fast.scene.semantic import LABELS, OTHER, SPACES, LabelSpace
from mas_fast.scene.words import label_named

LONGEST = 2**20  # bytes of a file of classes


def space_named(labels: str | os.PathLike | LabelSpace) -> LabelSpace:
    """Find a label space.

    Args:
        labels: its name, or its file. A label space is returned as it is.

    Returns:
        The label space.

    Raises:
        ValueError: names the spaces that exist, or the line of the file that is wrong.
    """
    if isinstance(labels, LabelSpace):
        return labels
    name = os.fspath(labels)
    if name in SPACES:
        return SPACES[name]
    if not os.path.isfile(labels):
        known = "; ".join(f"{space.name}: {space.about}" for space in SPACES.values())
        raise ValueError(
            f"labels: found {name!r}, expected one of {', '.join(SPACES)}, "
            f"or a file with a line NAME<TAB>VALUE for each class. Their numbers: {known}"
        )
    return _read(Path(labels))


def _read(file: Path) -> LabelSpace:
    with open(file, "rb") as opened:
        content = opened.read(LONGEST + 1)
    try:
        text = content.decode("utf-8-sig")
        if len(content) > LONGEST:
            raise ValueError(f"more than {LONGEST} bytes")
    except ValueError as error:
        raise ValueError(f"{file}: found no list of classes ({error})") from error
    values: dict[int, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, _, value = (part.strip() for part in line.partition("\t"))
        try:
            if not (value.isascii() and value.isdigit()) or int(value) > 255:
                raise ValueError(f"found {line[:80]!r}, expected NAME<TAB>VALUE, VALUE 0..255")
            if int(value) in values:
                raise ValueError(f"found the value {value} again, expected each once")
            class_name = OTHER if name == "void" else MINI158.names[label_named(name)]
        except ValueError as error:
            raise ValueError(f"{file}: line {number}: {error}") from error
        values[int(value)] = class_name
    if not values:
        raise ValueError(f"{file}: found no class, expected lines NAME<TAB>VALUE")
    about = f"the values of {file}: {', '.join(map(str, sorted(values)))}"
    return LabelSpace(str(file), about, values, {name: name for name in LABELS})
