"""Samples that were left out, counted by kind.

print(summary(reasons, "scenes/rejects.tsv"))
# 12 left out: 8 no annotation, 4 damaged JPEG: scenes/rejects.tsv
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mas_fast.data.sources.names import printable

FILE = "rejects.tsv"
SHOWN = 8  # kinds
LONGEST = 80  # characters of a kind
# The kinds with a name, in the order in which they are tried. Any other reason is its own kind,
# without its particulars. The number in a pattern says how many files or rows a reject stands for.
KINDS = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (r"found (\d+) files that are no pictures", "files that are no pictures"),
        (r"found (\d+) rows of files that are not there", "rows of files that are not there"),
        (r"found (\d+) photos that no panoptic JSON lists", "photos that are not listed"),
        (r"found faces of (\d+) pictures that are not", "annotated pictures that are not there"),
        (r"found (\d+) pictures such as .* beside the one", "further pictures of a sample"),
        (r"found (\d+) samples whose files do not follow", "samples of a broken tar"),
        (r"found no annotation|found no scene|found no label map", "no annotation"),
        (r"found a label map without a photo", "label maps without a photo"),
        (r"found no image", "no image"),
        (r"truncated or damaged JPEG", "damaged JPEG"),
        (r"found data that is no image|cannot identify image", "no picture in the file"),
        (r"found no such file|No such file or directory", "no such file"),
        (r"found a .* picture, which is not read", "a format that is not read"),
        (r"found the key again", "a key that comes again"),
        (r"^broken (?:at|in) ", "a broken tar"),
        (r"found the image id .* expected one id for each", "image ids that are not one file's"),
        (r"found captions of .* for the id", "captions of another file"),
        (r"found status .* expected 'success'", "not downloaded"),
    )
)


def kind_of(reason: str) -> tuple[str, int]:
    """Classify a reject.

    Args:
        reason: why it was left out.

    Returns:
        Its kind, and how many files, rows or samples it stands for.
    """
    for pattern, kind in KINDS:
        if match := pattern.search(reason):
            return kind, int(match[1]) if pattern.groups else 1
    return _general(reason), 1


def count(reasons: Iterable[str]) -> Counter[str]:
    """Count rejects by kind.

    Args:
        reasons: why each was left out.

    Returns:
        How many there are of each kind.
    """
    total: Counter[str] = Counter()
    for reason in reasons:
        kind, number = kind_of(reason)
        total[kind] += number
    return total


def summary(kinds: Counter[str], listing: str | os.PathLike) -> str:
    """Say in one line how many were left out, by kind.

    Args:
        kinds: how many there are of each kind.
        listing: the file that lists them.

    Returns:
        The line.
    """
    parts = [f"{number} {kind}" for kind, number in kinds.most_common(SHOWN)]
    if len(kinds) > SHOWN:
        parts.append(f"{kinds.total() - sum(n for _, n in kinds.most_common(SHOWN))} for others")
    return printable(f"{kinds.total()} left out: {', '.join(parts)}: {listing}")


def read(file: str | os.PathLike) -> Counter[str]:
    """Count the kinds in a list of rejects.

    Args:
        file: lines with columns separated by tabs; the last one is the reason.

    Returns:
        How many there are of each kind; none if there is no file.
    """
    if not Path(file).is_file():
        return Counter()
    with open(file, encoding="utf-8", errors="replace") as lines:
        return count(line.rstrip("\n").rpartition("\t")[2] for line in lines)


def line(*columns: str) -> str:
    """Return one line of a list of rejects: columns separated by tabs."""
    return "\t".join(" ".join(printable(text).split()) for text in columns) + "\n"


def _general(reason: str) -> str:
    """Return a reason without the names, paths and numbers that differ from sample to sample."""
    reason = re.sub(r"'[^']*'|\"[^\"]*\"", "'...'", reason)
    reason = re.sub(r"\S*[/\\]\S*[^\s:]", "...", reason)
    reason = " ".join(re.sub(r"\d[\d.]*", "N", reason).split())
    return reason if len(reason) <= LONGEST else f"{reason[: LONGEST - 3]}..."
