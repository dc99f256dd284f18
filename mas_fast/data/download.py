"""Download the pictures of CC3M and CC12M with img2dataset, called with the right options.

    run("cc12m.tsv", "cc12m/")        # then open_source("cc12m/")

The two files hold the same columns in opposite order, without a header. The first thousand rows
tell which order it is, and all rows are held to it. img2dataset wants old versions of other
packages, and so lives in an environment of its own: `pipx install img2dataset`.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import os
import re
import shutil
import subprocess
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from mas_fast.data import rejects
from mas_fast.data.sources.base import Reject, clean_captions
from mas_fast.data.sources.names import printable
from mas_fast.text.captions import URL
from mas_fast.utils.documents import read_json
from mas_fast.utils.files import replace_file

TOOL = "img2dataset"
LINKS = "links.csv"  # read by img2dataset, in the output folder
LOOK = 1000  # rows, more than half of which tell the order of the columns
LONGEST = 1 << 20  # bytes of a line
STATS = "*_stats.json"  # written by img2dataset beside each tar
SHARD = 10_000  # samples


def url_column(tsv: str | os.PathLike) -> int:
    """Find the column of the URLs in the first rows.

    Args:
        tsv: file of captions and URLs, .tsv or .tsv.gz.

    Returns:
        0 (CC12M: URL, caption) or 1 (CC3M: caption, URL).

    Raises:
        ValueError: if the rows do not agree, or if there are none.
    """
    rows = [row for _, row in itertools.islice(_rows(Path(tsv)), LOOK) if not _is_header(row)]
    counts = [sum(len(row) == 2 and bool(URL.match(row[n])) for row in rows) for n in (0, 1)]
    column = int(counts[1] > counts[0])
    if 2 * counts[column] <= len(rows) or counts[0] == counts[1]:
        raise ValueError(
            f"{tsv}: found URLs in column 1 of {counts[0]} and in column 2 of {counts[1]} of the "
            f"first {len(rows)} rows, expected two columns, caption and URL in either order"
        )
    return column


def write_links(tsv: str | os.PathLike, output: str | os.PathLike) -> tuple[Path, list[Reject]]:
    """Write the CSV that img2dataset reads.

    Args:
        tsv: file of captions and URLs, .tsv or .tsv.gz. A header that names the two columns is no
            row.
        output: folder of the CSV, made if it is missing.

    Returns:
        The CSV, and the rows that are left out.

    Raises:
        ValueError: as for `url_column`, and if the TSV lies where the CSV goes.
    """
    tsv, output = Path(tsv), Path(output)
    column = url_column(tsv)
    output.mkdir(parents=True, exist_ok=True)
    path = output / LINKS
    left_out: list[Reject] = []
    if path.exists() and path.samefile(tsv):
        raise ValueError(f"{tsv}: found the TSV in the place of the output {path}; move it away")

    def write(temporary: Path) -> None:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["url", "caption"])
            for number, row in _rows(tsv):
                if _is_header(row):
                    continue
                try:
                    writer.writerow(_checked(row, column))
                except ValueError as error:
                    left_out.append(Reject(f"{tsv.name}:{number}", printable(str(error))))

    replace_file(path, write)
    return path, left_out


def command(
    links: str | os.PathLike,
    output: str | os.PathLike,
    *,
    size: int = 256,
    processes: int = os.cpu_count() or 1,
    threads: int = 32,
    timeout: int = 10,
) -> list[str]:
    """Return img2dataset's command line, from links.csv to tars of 10,000 samples.

    The command, run again, goes on where it ended.

    Args:
        links: the CSV of `write_links`.
        output: folder of the tars.
        size: shorter side of the pictures, in pixels; pictures are made smaller, never larger.
        processes: number of processes.
        threads: number of threads of each process.
        timeout: seconds for one picture.

    Returns:
        The words of the command.

    Raises:
        ImportError: if img2dataset is not installed.
    """
    options = {
        "url_list": links,
        "input_format": "csv",
        "url_col": "url",
        "caption_col": "caption",
        "output_format": "webdataset",
        "output_folder": output,
        "image_size": size,
        "resize_mode": "keep_ratio",
        "resize_only_if_bigger": True,
        "encode_quality": 95,
        "number_sample_per_shard": SHARD,
        "processes_count": processes,
        "thread_count": threads,
        "timeout": timeout,
        "retries": 1,
        "incremental_mode": "incremental",
        "enable_wandb": False,
    }
    return [_tool(), *(f"--{name}={value}" for name, value in options.items())]


def run(tsv: str | os.PathLike, output: str | os.PathLike, **options: int) -> list[Reject]:
    """Download the pictures of a TSV into tars.

    Args:
        tsv: file of captions and URLs, .tsv or .tsv.gz.
        output: folder of the tars.
        options: those of `command`.

    Returns:
        The rows that are left out, which rejects.tsv in `output` lists.

    Raises:
        ImportError: if img2dataset is not installed.
        ValueError: if the file is no such TSV.
        RuntimeError: if img2dataset fails.
    """
    _tool()  # before the long copy
    links, left_out = write_links(tsv, output)
    listed = "".join(rejects.line(reject.key, reject.reason) for reject in left_out)
    replace_file(Path(output) / rejects.FILE, lambda file: file.write_text(listed, "utf-8"))
    done = subprocess.run(command(links, output, **options), check=False)
    if done.returncode:
        raise RuntimeError(f"{TOOL}: ended with status {done.returncode}, see its output above")
    return left_out


def failures(output: str | os.PathLike) -> Counter[str]:
    """Count the pictures that img2dataset did not get, which are in no tar.

    Args:
        output: folder of the tars.

    Returns:
        Number of pictures by img2dataset's reasons.
    """
    total: Counter[str] = Counter()
    for file in Path(output).glob(STATS):
        try:
            statuses = cast(dict, read_json(file)).get("status_dict")  # checked by read_json
        except ValueError:  # half-written
            continue
        if not isinstance(statuses, dict):
            continue
        for reason, number in statuses.items():
            if reason != "success" and isinstance(number, int):
                total[reason] += number
    return total


def _tool() -> str:
    executable = shutil.which(TOOL)
    if executable is None:
        raise ImportError(
            f"found no {TOOL} on PATH, which downloads the pictures; it needs an environment of "
            f"its own: pipx install {TOOL}, or: uv tool install {TOOL}"
        )
    return executable


def _is_header(row: list[str]) -> bool:
    return sorted(row) == ["caption", "url"]


def _checked(row: list[str], column: int) -> tuple[str, str]:
    """Return the URL and the caption of a row."""
    if len(row) != 2:
        raise ValueError(f"found {len(row)} columns, expected two: caption and URL")
    url, caption = row[column].strip(), row[1 - column]
    if not URL.match(url) or re.search(r"\s", url):
        raise ValueError(f"found {url[:80]!r} in column {column + 1}, expected a URL")
    captions = clean_captions([caption])
    if not captions:
        raise ValueError("found an empty caption, expected some text")
    return url, captions[0]


def _rows(tsv: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number, from 1, and the fields of each line that is not empty.

    Bytes that are not UTF-8 become half surrogates, which no caption may hold.
    """
    if not tsv.is_file():
        raise ValueError(f"{tsv}: found no such file, expected captions and URLs")
    try:
        with gzip.open(tsv) if tsv.suffix == ".gz" else open(tsv, "rb") as file:
            number = 0
            while line := file.readline(LONGEST):
                number += 1
                if len(line) == LONGEST:
                    raise ValueError(
                        f"{tsv}: line {number}: found more than {LONGEST} bytes without a line "
                        "break, expected a caption and a URL"
                    )
                if text := line.decode("utf-8-sig", "surrogateescape").rstrip("\r\n"):
                    yield number, text.split("\t")
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{tsv}: {error}") from error
