"""`mas-fast serve`: what is refused before it listens; tests/serve has the server itself."""

import pytest
from typer.testing import CliRunner

from mas_fast import cli
from mas_fast.utils import native

pytest.importorskip("uvicorn")


def refused(*arguments: str) -> str:
    found = CliRunner().invoke(cli.app, ["serve", "--port", "0", *arguments])
    assert found.exit_code == 1
    return str(found.exception)


def test_an_engine_whose_runs_share_no_passes(monkeypatch) -> None:
    """As where the C++ engine is not built and there is no GPU."""
    monkeypatch.setattr(native, "problem", lambda name: "not built")
    assert refused("--runtime", "torch", "--device", "cpu") == (
        "--runtime torch: found the engine 'eager', which draws each request alone, expected 'cpp' "
        "or 'graph'; this draws by 'cpp': mas-fast serve --runtime onnx"
    )


def test_a_host_that_is_not_here() -> None:
    said = refused("--host", "192.0.2.1")
    assert said.startswith("192.0.2.1:0: found that it cannot be listened at (")
