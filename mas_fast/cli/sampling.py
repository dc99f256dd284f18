"""How tokens are drawn, as it is typed: for scene and picture alike, or for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

TopK = Annotated[int | None, typer.Option(help="Draw from the best K tokens only. [256]")]
TopP = Annotated[float | None, typer.Option(help="Draw from the best that sum to P only. [all]")]
Temperature = Annotated[
    float | None, typer.Option(help="Above 1 bolder, below 1 tamer, 0 the best token. [1.0]")
]


def settings(prefix: str, guidance: str | None, **numbers: float | None) -> dict[str, Any]:
    """Check the settings of one group of options.

    Args:
        prefix: what the names of the options begin with, for errors: "seg_", or nothing.
        guidance: as typed: a number, or several for a schedule, as 5:2.
        numbers: temperature, top_k and top_p.

    Returns:
        Those that are not None, by name.

    Raises:
        ValueError: names what was found and what is allowed.
    """
    from mas_fast.sampling_params import Sampling  # numpy, which --help does without

    try:
        given: dict[str, Any] = {name: n for name, n in numbers.items() if n is not None}
        if guidance is not None:
            given["guidance"] = _numbers(guidance)
        Sampling(**given)
    except ValueError as error:
        raise ValueError(f"{prefix}{error}") from error
    return given


def by_stream(both: Mapping[str, Any], seg: Mapping[str, Any]) -> dict[str, Any]:
    """Bring settings to the form that a painter takes.

    Args:
        both: those of scene and picture, by name.
        seg: those of the scene alone, beside which one of `both` is the picture's.

    Returns:
        One value each, or a mapping from streams.
    """
    apart = {
        name: {"seg": value} | ({"img": both[name]} if name in both else {})
        for name, value in seg.items()
    }
    return {**both, **apart}


def _numbers(text: str) -> float | list[float]:
    try:
        values = [float(part) for part in text.split(":")]
    except ValueError as error:
        problem = f"found {text!r}, expected a number, or several for a schedule, as 5:2"
        raise ValueError(f"guidance: {problem}") from error
    return values if len(values) > 1 else values[0]
