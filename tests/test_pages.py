"""The pages are easy to read and to edit: short lines, a short README, and no link to nowhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> list[str]:
    """The lines of a page that are neither code nor of a table, and hold no address."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    rest = (line for line in text.splitlines() if not line.startswith(("|", "<!--")))
    return [line for line in rest if "://" not in line]


@pytest.mark.parametrize("page", [*TOP, *DOCS], ids=name)
def test_lines_of_prose_are_short(page: Path) -> None:
    long = [line for line in prose(page) if len(line) > 100]
    assert not long, long[:3]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def anchors(page: Path) -> set[str]:
    """Those of its headings, as GitHub and mkdocs make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*TOP, *DOCS], ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text("utf-8")):
        if "://" in link or link.startswith("../../actions/"):  # the latter is GitHub's
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_glossary_names_files_that_are_there() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| (?!word|---)", line)]
    assert len(rows) > 60
    for row in rows:
        paths = re.findall(r"`([^`]+)`", row.split("|")[3])
        assert paths, row
        assert all((ROOT / path).exists() for path in paths), row
