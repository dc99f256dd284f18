"""What stands beside the code: the formatters' versions, templates, and who is to be cited."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
YAMLS = [*ROOT.glob(".github/**/*.yml"), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"]
YAMLS += ROOT.glob("deploy/*.yaml")


@pytest.mark.parametrize("program", ["ruff", "clang-format"])
def test_a_formatter_has_one_version(program: str) -> None:
    found = {
        name: set(re.findall(rf"\b{program}==([\d.]+)", (ROOT / name).read_text()))
        for name in ("pyproject.toml", ".pre-commit-config.yaml")
    }
    assert all(found.values()), found
    assert len(set.union(*found.values())) == 1, found


@pytest.mark.parametrize("file", YAMLS, ids=lambda file: file.name)
def test_yaml_is_yaml(file: Path) -> None:
    yaml = pytest.importorskip("yaml")
    assert isinstance(yaml.safe_load(file.read_text()), dict)


def test_the_citation_names_this_version_and_licence() -> None:
    yaml = pytest.importorskip("yaml")
    from mas_fast.version import __version__

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert f'license = "{citation["license"]}"' in (ROOT / "pyproject.toml").read_text()


def test_the_workflow_of_the_pages_installs_what_the_extra_names() -> None:
    """It takes the extra alone, since the package itself needs a compiler and torch."""
    extra = re.search(r"^docs = \[(.+)\]$", (ROOT / "pyproject.toml").read_text(), re.M)[1]
    workflow = (ROOT / ".github" / "workflows" / "docs.yml").read_text()
    assert f"pip install {extra.replace(',', '')}\n" in workflow


def test_the_dockerfile_takes_what_there_is() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M)
    assert {"csrc", "mas_fast", "setup.py"} < (names := set(" ".join(copied).split()))
    assert all((ROOT / name).exists() for name in names), names
    (extra,) = re.findall(r"\.whl\)\[(\w+)\]", text)
    assert re.search(rf"^{extra} = \[", (ROOT / "pyproject.toml").read_text(), re.M)
    assert set(re.findall(r"^FROM (?!debian:trixie-slim\b)(\S+)", text, re.M)) <= set(
        re.findall(r" AS (\w+)$", text, re.M)
    )


def without_encoding(source: str) -> list[str]:
    """Calls that read or write text in whatever encoding the system has."""
    found = []
    for call in (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)):
        function, given = ast.unparse(call.func), {word.arg for word in call.keywords}
        method = function.rpartition(".")[2]
        modes = [*call.args[1:2], *(word.value for word in call.keywords if word.arg == "mode")]
        binary = method != function and function not in ("os.fdopen", "io.open")
        binary |= any("b" in ast.unparse(mode) for mode in modes)
        wrong = method in ("open", "fdopen") and not binary
        wrong |= method == "read_text" and not call.args
        wrong |= method == "write_text" and len(call.args) < 2
        if wrong and "encoding" not in given:
            found.append(f"line {call.lineno}: {ast.unparse(call)}")
    return found


CODE = [
    file
    for folder in ("mas_fast", "kernels", "examples")
    for file in ROOT.glob(f"{folder}/**/*.py")
]


@pytest.mark.parametrize("file", CODE, ids=lambda file: str(file.relative_to(ROOT)))
def test_text_has_an_encoding(file: Path) -> None:
    assert not without_encoding(file.read_text("utf-8"))


@pytest.mark.parametrize(
    "code", ["open(a)", "open(a, 'w')", "os.fdopen(a, 'w')", "a.read_text()", "a.write_text(b)"]
)
def test_text_without_an_encoding_is_found(code: str) -> None:
    assert without_encoding(code)


@pytest.mark.parametrize(
    "code",
    ["open(a, 'rb')", "open(a, encoding='utf-8')", "a.read_text('utf-8')", "gzip.open(a)"],
)
def test_text_with_an_encoding_is_not(code: str) -> None:
    assert not without_encoding(code)
