"""What a painter can be asked for beside captions. No torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

from PIL import Image

from mas_fast.generation.request import Guidance
from mas_fast.pipelines.stream import Event
from mas_fast.scene import Scene
from mas_fast.text.captions import listed

SceneLike: TypeAlias = Scene | str | os.PathLike
ImageLike: TypeAlias = str | os.PathLike | Image.Image


class Options(TypedDict, total=False):
    """The options of `Painter.generate`, which documents them; each may be left out."""

    num_images: int
    negative: str | Sequence[str] | None
    scene: SceneLike | Sequence[SceneLike] | None
    scene_labels: str | os.PathLike | None
    image: ImageLike | Sequence[ImageLike] | None
    image_rows: int | None
    seed: int
    guidance: Guidance | Mapping[str, Guidance] | None
    temperature: float | Mapping[str, float] | None
    top_k: int | Mapping[str, int | None] | None
    top_p: float | Mapping[str, float | None] | None
    speculate: int | Literal["auto"]
    candidates: int
    best_of: int
    every: int
    callback: Callable[[Event], object] | None
    progress: bool


def check_names(options: Mapping[str, object]) -> None:
    """Check that each option is one of `Options`.

    Args:
        options: by name.

    Raises:
        TypeError: one is not; names it and those that there are.
    """
    known = Options.__annotations__
    for name in options:
        if name not in known:
            raise TypeError(f"{name}: found an unknown option, expected one of {', '.join(known)}")


def negatives_of(value: str | Sequence[str] | None, count: int) -> list[str]:
    """Bring negative captions to one form.

    Args:
        value: one for all captions, a list of one for each, or None.
        count: captions.

    Returns:
        One, or `count` of them; none for None.

    Raises:
        ValueError: for another number of them, or one without words.
    """
    if value is None:
        return []
    negatives = listed(value, "negative caption")
    if len(negatives) not in (1, count):
        several = f", or {count} as captions" if count > 1 else ""
        raise ValueError(f"negative: found {len(negatives)}, expected one{several}")
    return negatives


def sampling_of(
    defaults: Mapping[str, Mapping[str, Any]], given: Mapping[str, object]
) -> dict[str, Any]:
    """Bring settings of sampling to one form.

    Args:
        defaults: the model's own, by setting and stream.
        given: some of the settings, for all streams or, in a mapping, for some of them; None: the
            model's own.

    Returns:
        All settings, for each stream that is drawn.
    """
    options: dict[str, Any] = {}
    for name, own in defaults.items():
        value = given.get(name)
        if isinstance(value, Mapping):
            options[name] = {**own, **value}
        else:
            options[name] = own if value is None else dict.fromkeys(own, value)
    return options
