"""Names that a package hands on from its modules, each imported when it is first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def names_of(
    package: str, homes: Mapping[str, Iterable[str]], modules: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make the `__getattr__`, `__dir__` and `__all__` of a package (PEP 562).

    Args:
        package: name of the package, to which all modules are relative.
        homes: the names that each module has, by module.
        modules: the module that each name means, by name.

    Returns:
        `__getattr__`, `__dir__` and `__all__`.
    """
    places: dict[str, tuple[str, str | None]] = {
        name: (home, name) for home, names in homes.items() for name in names
    }
    places |= {name: (home, None) for name, home in (modules or {}).items()}

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home, attribute = places[name]
        module = importlib.import_module(f"{package}.{home}")
        return getattr(module, attribute) if attribute else module

    def known() -> list[str]:
        return sorted({*vars(importlib.import_module(package)), *places})

    return get, known, sorted(places)
