"""What type checkers see of the names that packages hand on is what there is."""

import ast
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "mas_fast"
LAZY = sorted(file for file in PACKAGE.rglob("__init__.py") if "names_of(" in file.read_text())


def named(stub: Path) -> dict[str, object]:
    """Each name that a stub gives away, with what it is."""
    found = {}
    for node in ast.parse(stub.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                try:
                    value = importlib.import_module(f"{node.module}.{alias.name}")
                except ImportError:
                    value = getattr(importlib.import_module(node.module), alias.name)
                found[alias.name if alias.asname is None else alias.asname] = value
                if alias.asname is None:  # for the stub itself, not given away
                    hidden = found.pop(alias.name)
        elif isinstance(node, ast.Assign):
            found[node.targets[0].id] = hidden
    return found


@pytest.mark.parametrize("file", LAZY, ids=lambda file: file.parent.name)
def test_a_stub_has_the_names_of_its_package(file: Path) -> None:
    name = ".".join(["mas_fast", *file.parent.relative_to(PACKAGE).parts])
    package = importlib.import_module(name)
    found = named(file.with_suffix(".pyi"))
    assert set(found) - {"__version__"} == set(package.__all__)
    for key, value in found.items():
        assert getattr(package, key) is value, key


def test_there_are_no_other_stubs() -> None:
    assert {file.with_suffix(".py") for file in PACKAGE.rglob("*.pyi")} == set(LAZY)
