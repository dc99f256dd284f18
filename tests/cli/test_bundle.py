"""`mas-fast export int4`: a smaller bundle that paints what int4 paints of the original."""

import pytest
from typer.testing import CliRunner

from mas_fast import cli

pytest.importorskip("mas_fast._engine", reason="not built: pip install -e .")


def run(*words) -> str:
    result = CliRunner().invoke(cli.app, [*map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_int4_paints_the_same_from_either_bundle(tiny_bundle, tmp_path) -> None:
    small = tmp_path / "small"
    written = run("export", "int4", tiny_bundle, "-o", small)
    assert written.startswith(f"written: {small} (the GPT has ")
    pictures = []
    for n, bundle in enumerate((tiny_bundle, small)):
        file = tmp_path / f"{n}.png"
        run("generate", "a red house", "--model", bundle, "--dtype", "int4", "-o", file)
        pictures.append(file.read_bytes())
    assert pictures[0] == pictures[1]
    run("generate", "a boat", "--model", small, "--engine", "eager", "-o", tmp_path / "eager.png")


def test_the_bundle_itself_is_not_written_over(tiny_bundle, tmp_path) -> None:
    with pytest.raises(ValueError, match="found an output that is the input"):
        run("export", "int4", tiny_bundle, "-o", tiny_bundle)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="found a file, expected a folder"):
        run("export", "int4", tiny_bundle, "-o", tmp_path / "file")
