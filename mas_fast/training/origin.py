"""What a run is made from: remembered in its checkpoints, and compared when it goes on.

The same data by another path continue, other data by the same path do not. See data.digest for what
is compared.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mas_fast.data.digest import changes, digest
from mas_fast.training.settings import Settings, plain


def origin(settings: Settings, values: dict | None) -> dict[str, dict]:
    """The digests of `settings.made_from()`, for the checkpoints to come.

    Args:
        settings: settings of the run.
        values: values of the checkpoint that is continued; None for a new run. Older ones know
            nothing of digests, and are continued.

    Raises:
        ValueError: something changed meanwhile; the message says how to go on.
    """
    without = [settings.folder, *filter(None, [getattr(settings, "output", None)])]
    known = (values or {}).get("made_from")
    digests = dict(known or {})
    for name, path in settings.made_from().items():
        if path is None:
            continue
        if known is None:
            digests[name] = digest(path, without, settings.verify)
            _say_unknown(name, settings, values)
        elif name not in known:
            raise ValueError(
                f"{name}: found {path}, but the run in {settings.folder} began without one: leave "
                "it out, or begin anew in another folder (--folder)"
            )
        elif difference := changes(known[name], path, without, settings.verify):
            raise ValueError(
                f"{name}: {difference}, as the run in {settings.folder} began with: bring those "
                "back, or begin anew in another folder (--folder)"
            )
    return digests


def check_values(values: dict) -> None:
    """Check the plain values of a checkpoint.

    Raises:
        ValueError: one is not as the trainer makes it.
        KeyError: one is missing.
    """
    kinds = {"settings": dict, "recent": list, "skipped": int, "ema_updates": dict}
    for name, kind in kinds.items():
        if type(values[name]) is not kind:
            type_name = type(values[name]).__name__
            raise ValueError(f"{name}: found {type_name}, expected {kind.__name__}")
    if not {*map(type, values["recent"])} <= {int, float}:
        raise ValueError("recent: found no list of losses")
    if not {*map(type, values["ema_updates"].values())} <= {int}:
        raise ValueError("ema_updates: found no counts of steps")
    digests = values.get("made_from", {})
    if type(digests) is not dict or not all(map(_is_digest, digests.values())):
        raise ValueError("made_from: found no digests")


def _is_digest(value: object) -> bool:
    kinds = {"files": int, "bytes": int, "listing": str, "times": str, "contents": str}
    kinds |= {"whole": bool}
    return type(value) is dict and {name: type(entry) for name, entry in value.items()} == kinds


def _say_unknown(name: str, settings: Settings, values: dict | None) -> None:
    name = name.partition("/")[0]
    then = (values or {}).get("settings", {}).get(name)
    now = plain(settings)[name]
    if isinstance(then, str) and Path(then).absolute() != Path(now).absolute():
        print(
            f"{name}: the run in {settings.folder} began with {then}, of which its checkpoint "
            f"remembers nothing but the path; it goes on with {now}",
            file=sys.stderr,
        )
