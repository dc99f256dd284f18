"""The names that mas_fast.scene hands on."""

import ast
from pathlib import Path

from mas_fast import scene


def test_the_stub_says_what_the_package_hands_on() -> None:
    stub = Path(scene.__file__).with_suffix(".pyi").read_text()
    homes = {
        alias.name: node.module
        for node in ast.walk(ast.parse(stub))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(homes) == scene.__all__
    for name, module in homes.items():
        assert getattr(__import__(str(module), fromlist=[name]), name) is getattr(scene, name)
