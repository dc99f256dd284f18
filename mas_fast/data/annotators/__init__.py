"""Annotators: pictures in, layers out; one file for each annotator.

    panoptic = make("detectron2", config="panoptic_fpn_R_101_3x.yaml", weights="model_final.pkl")
    human = make("schp", weights="exp-schp-201908261155-lip.pth", device="cuda")
    layers = human(images, panoptic(images, [None] * len(images)))

The name of an annotator is the name of its file. Its class tells what it adds and what it needs.
"""

import importlib
import inspect
from typing import Any

_CLASSES = {
    "detectron2": "Detectron2",
    "transformers": "Transformers",
    "schp": "Schp",
    "face": "Face",
    "truth": "Truth",
}
NAMES = tuple(_CLASSES)


def make(name: str, **options: Any) -> Any:  # an Annotator, whose module a lazy package cannot name
    """Make an annotator by the `load(**options)` of its class.

    Args:
        name: one of NAMES.
        options: keyword arguments of `load`.

    Returns:
        The annotator, an `Annotator`.

    Raises:
        ValueError: for another name or option, and as `load` says: if a library or weights are
            missing.
    """
    if name not in _CLASSES:
        raise ValueError(f"annotator: found {name!r}, expected one of {', '.join(NAMES)}")
    load = getattr(importlib.import_module(f"{__name__}.{name}"), _CLASSES[name]).load
    allowed = inspect.signature(load).parameters
    wrong = [option for option in options if option not in allowed]
    needed = [
        option
        for option, parameter in allowed.items()
        if parameter.default is parameter.empty and option not in options
    ]
    if wrong or needed:
        raise ValueError(
            f"annotator {name}: found options {list(options)}, expected some of {list(allowed)}"
            + (f", {' and '.join(needed)} among them" if needed else "")
        )
    return load(**options)
