"""What stands beside the code: the formatters' versions, templates, and who is to be cited."""

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
