"""The command line: help, version, info, bench, and how errors end."""

import json
import subprocess
import sys
import types
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mas_fast
from mas_fast import cli


def run(*arguments: str):
    return CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})


def test_help_names_every_command() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for name in ("info", "bench", "--version"):
        assert name in result.output


@pytest.mark.parametrize("command", ["info", "bench"])
def test_command_help(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.output


@pytest.mark.parametrize("command", ["prepare", "tokenize", "report"])
def test_help_of_data_has_an_example(command: str) -> None:
    result = run("data", command, "--help")
    assert result.exit_code == 0
    assert f"mas-fast data {command}" in result.output


@pytest.mark.parametrize("command", ["prepare", "tokenize"])
def test_help_of_data_says_how_many_workers(command: str) -> None:
    assert "Processes; by default one for each core." in run("data", command, "--help").output


def test_bench_help_names_the_extra() -> None:
    assert 'pip install -e ".[bench]"' in run("bench", "--help").output


def test_no_arguments_print_help() -> None:
    assert "Usage" in run().output


def test_version() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.output == f"mas-fast {mas_fast.__version__}\n"


def test_info() -> None:
    assert run("info").output.startswith("versions\n")
    assert json.loads(run("info", "--json").output)["versions"]["mas_fast"] == mas_fast.__version__


def test_bench_passes_its_arguments_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    fake = types.ModuleType("mas_fast.cli.benchmark")
    fake.run = lambda subject, json: calls.append((subject, json)) or 3
    monkeypatch.setitem(sys.modules, "mas_fast.cli.benchmark", fake)
    assert run("bench", "decode", "--json", "out.json").exit_code == 3
    assert run("bench", "decode").exit_code == 3
    assert calls == [("decode", Path("out.json")), ("decode", None)]


def test_errors_end_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ValueError("subject must be one of decode, found 'x'")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == "mas-fast: subject must be one of decode, found 'x'"


def test_a_full_disk_ends_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device", "scenes/00003.tar")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert str(end.value.code).startswith("mas-fast: [Errno 28] No space left on device: 'scenes")


def test_help_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from mas_fast import cli; from typer.testing import CliRunner; "
        "CliRunner().invoke(cli.app, ['info', '--help']); "
        "print(*({'torch', 'numpy', 'mas_fast.info'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_unknown_command_is_a_usage_error() -> None:
    result = run("paint")
    assert result.exit_code == 2
    assert "paint" in result.output
