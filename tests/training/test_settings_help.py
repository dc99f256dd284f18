"""The text of each setting stands at its field, and help and docs show it."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mas_fast.cli import app
from mas_fast.training.settings import Settings
from mas_fast.training.settings_help import KINDS, help_of, markdown, rows

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


@pytest.mark.parametrize("kind", [Settings, *KINDS.values()])
def test_each_field_has_a_text(kind: type) -> None:
    for field in fields(kind):
        found = help_of(kind, field.name)
        assert found is not None, field.name
        assert found.text.endswith("."), field.name
    assert len(rows(kind)) == len(fields(kind))


@pytest.mark.parametrize("name", KINDS)
def test_help_shows_each_setting(name: str) -> None:
    result = CliRunner().invoke(app, ["train", name, "--help"], env={"COLUMNS": "400"})
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    for row in rows(KINDS[name]):
        shown = " ".join(f"{row.option} {row.default} {row.unit} {row.text}".split())
        assert shown in lines


@pytest.mark.parametrize("name", KINDS)
def test_the_table_fits_a_terminal(name: str) -> None:
    result = CliRunner().invoke(app, ["train", name, "--help"], env={"COLUMNS": "80"})
    assert max(map(len, result.output.splitlines())) <= 80
    assert all(row.option in result.output for row in rows(KINDS[name]))


def test_help_imports_no_torch() -> None:
    code = (
        "import sys; from mas_fast import cli; from typer.testing import CliRunner; "
        "CliRunner().invoke(cli.app, ['train', 'gpt', '--help'], catch_exceptions=False); "
        "print('mas_fast.training.gpt_settings' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"], done.stderr


def test_a_default_that_a_subclass_changes_keeps_the_text() -> None:
    changed = {row.name: row for row in rows(KINDS["gpt"])}["max_skips"]
    assert changed.default == "10"
    assert changed.text == help_of(Settings, "max_skips").text


def test_the_page_is_what_the_fields_say() -> None:
    assert PAGE.read_text("utf-8") == markdown(), (
        "python -m mas_fast.training.settings_help > docs/settings.md"
    )
