"""What a painter can be asked for beside captions. No torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

from mas_fast.scene import Scene

SceneLike: TypeAlias = Scene | str | os.PathLike


class Options(TypedDict, total=False):
    """The options of `Painter.generate`, which documents them; each may be left out."""

    num_images: int
    scene: SceneLike | Sequence[SceneLike] | None
    scene_labels: str | os.PathLike | None
    seed: int
    guidance: float | Mapping[str, float] | None
    temperature: float | Mapping[str, float] | None
    top_k: int | Mapping[str, int | None] | None
    top_p: float | Mapping[str, float | None] | None
    speculate: int | Literal["auto"]
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
