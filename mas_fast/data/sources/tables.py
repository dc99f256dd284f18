"""Tables of captions: which row belongs to which file.

    for location, row in read_table("metadata.csv"):   # location: line 3
        row                                            # ("sub/a.jpg", ["A red house."]), or a
                                                       # ValueError that says what is wrong with it

The suffix tells the format. All but Parquet may have .gz too:

    .csv .tsv .txt    with a header          .jsonl    an object per line        .parquet
    .json             COCO's captions, {"images": [{"id", "file_name"}],
                      "annotations": [{"image_id", "caption"}]}; Karpathy's splits, {"images":
                      [{"filename", "sentences": [{"raw"}]}]}; a list of rows; {file name: caption
                      or captions}; rows as lines

A row has a file name in one of FILES, or in the one column whose name ends in _file_name. Its
captions are in the first of CAPTIONS that is not empty: a text, or a list of texts. File names are
relative to the folder of the table.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import cast

from mas_fast.data.sources.base import clean_captions, parse_json
from mas_fast.utils import documents

FILES = ("file_name", "filename", "image", "image_path", "path")
CAPTIONS = ("captions", "caption", "text", "prompt", "description", "sentences")
SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")
FOUND = ("captions", "metadata")  # stems of tables that a folder may have
Row = tuple[str, list[str]]
Where = str


def is_table(name: str) -> bool:
    """Tell whether a file is taken for a table of captions: captions.* or metadata.*.

    Args:
        name: name of the file.

    Returns:
        Whether it is.
    """
    path = PurePosixPath(name.lower())
    table = path.suffix in SUFFIXES and path.suffix not in (".txt", ".json")
    return (table and path.stem in FOUND) or path.name in ("captions.json", "captions.txt")


def read_table(file: Path) -> Iterator[tuple[Where, Row | ValueError]]:
    """Read a table of captions.

    Args:
        file: the table.

    Yields:
        The location of a row, and its file name and captions, or a ValueError that says what is
        wrong with it.

    Raises:
        ValueError: if the file is no such table.
    """
    suffix = Path(file.name.removesuffix(".gz")).suffix.lower()
    if suffix == ".parquet":
        rows = _parquet_rows(file)
    elif suffix in (".jsonl", ".ndjson"):
        rows = _json_lines(_content(file))
    elif suffix == ".json":
        rows = _json_rows(file)
    elif suffix in SUFFIXES:
        rows = _csv_rows(file, "\t" if suffix == ".tsv" else ",")
    else:
        raise ValueError(f"{file}: found the suffix {suffix!r}, expected {', '.join(SUFFIXES)}")
    for location, row in rows:
        try:
            yield location, row if isinstance(row, ValueError | tuple) else _row(cast(Mapping, row))
        except ValueError as error:
            yield location, error


# ---------------------------------------------------------------------------- rows


def _row(row: Mapping) -> Row:
    """Return the file name and the captions of a row with columns."""
    column = _file_column(row)
    name = row.get(column)
    if not isinstance(name, str):
        raise ValueError(f"{column}: found {_short(name)}, expected a string")
    columns = [column for column in CAPTIONS if row.get(column) is not None]
    for column in columns:
        if captions := clean_captions(_texts(row[column])):
            return name, captions
    if columns:
        return name, []
    raise ValueError(f"found no caption, expected one of {', '.join(CAPTIONS)}")


def _file_column(columns: Iterable[str]) -> str:
    """Return the column with the names of files; ValueError for several."""
    columns = [column for column in columns if isinstance(column, str)]
    for name in FILES:
        if name in columns:
            return name
    candidates = [column for column in columns if column.endswith("_file_name")]
    if len(candidates) > 1:
        raise ValueError(f"found {', '.join(candidates)}, expected one column of file names")
    return candidates[0] if candidates else FILES[0]


def _texts(value: object) -> list[object]:
    """Return one or several captions: also of JSON in a cell of a CSV, or Karpathy's sentences."""
    if isinstance(value, str) and value.lstrip().startswith('["'):
        value = parse_json(value, "captions", list)
    if isinstance(value, str) and value.lstrip().startswith("['"):
        raise ValueError(f"captions: found {_short(value)}, expected a text or a list in JSON")
    if isinstance(value, list):
        raw = [v.get("raw") if isinstance(v, dict) and "raw" in v else v for v in value]
        return [v for v in raw if v is not None]
    return [value]


def _check_columns(file: Path, columns: list[str]) -> None:
    """Raise ValueError unless there are columns of file names and captions."""
    try:
        named = _file_column(columns) in columns
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    if not named or not any(name in columns for name in CAPTIONS):
        raise ValueError(
            f"{file}: found columns {_short(columns, 200)}, expected 'file_name' (or one of "
            f"{', '.join(FILES[1:])}) and one of {', '.join(CAPTIONS)}"
        )


def _short(value: object, length: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."


# ---------------------------------------------------------------------------- files


def _content(file: Path) -> io.BufferedIOBase:
    return gzip.open(file) if file.suffix == ".gz" else open(file, "rb")


def _whole(file: Path) -> bytes:
    try:
        with _content(file) as stream:
            return stream.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{file}: {error}") from error


def _json_lines(lines: io.BufferedIOBase) -> Iterator[tuple[Where, object]]:
    with lines:
        number = 0
        while True:
            try:
                line = lines.readline()
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                yield f"{number + 1}", ValueError(f"found a broken file ({error})")
                return
            number += 1
            if not line:
                return
            if line.strip():
                try:
                    yield f"{number}", parse_json(line, "row", dict)
                except ValueError as error:
                    yield f"{number}", error


def _csv_rows(file: Path, delimiter: str) -> Iterator[tuple[Where, object]]:
    # surrogateescape: bytes that are no UTF-8 spoil their own row only
    content = io.BytesIO(_whole(file)) if file.suffix == ".gz" else open(file, "rb")
    with io.TextIOWrapper(content, "utf-8-sig", "surrogateescape", newline="") as text:
        # strict: without it, an unclosed quote would make one caption of all rows behind it
        rows = csv.DictReader(text, delimiter=delimiter, strict=True)
        try:
            columns = [name.strip() for name in rows.fieldnames or ()]
        except csv.Error as error:
            raise ValueError(f"{file}: found a broken header ({error})") from error
        rows.fieldnames = columns
        _check_columns(file, columns)
        while True:
            before = rows.reader.line_num
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                problem = f"found a broken row of {rows.reader.line_num - before} lines ({error})"
                yield f"{before + 1}", ValueError(problem)
                continue
            if None in row:
                problem = f"found {len(row[None])} fields too many"
                yield f"{rows.line_num}", ValueError(problem)
            else:
                yield f"{rows.line_num}", row


def _json_rows(file: Path) -> Iterator[tuple[Where, object]]:
    content = _whole(file)
    try:
        values = parse_json(content, str(file), object)
    except ValueError as error:
        if not isinstance(error.__cause__, json.JSONDecodeError) or "Extra" not in str(error):
            raise
        return _json_lines(io.BytesIO(content))
    if isinstance(values, dict) and isinstance(values.get("annotations"), list):
        return _coco_rows(file, values)
    if isinstance(values, dict) and isinstance(values.get("images"), list):
        values = values["images"]  # Karpathy's
    if isinstance(values, dict) and _file_column(values) in values:
        values = [values]
    if isinstance(values, list):
        first = next((value for value in values if isinstance(value, dict)), {})
        _check_columns(file, list(first))
        return ((f"row {n}", _object(value)) for n, value in enumerate(values, 1))
    if isinstance(values, dict) and values and all(map(_is_captions, values.values())):
        unique = cast(dict, documents.parse_json(content, str(file)))  # strict: no name twice
        return ((f"row {n}", _pair(*pair)) for n, pair in enumerate(unique.items(), 1))
    description = (
        f"an object with {_short(list(values), 200)}" if isinstance(values, dict) else "a value"
    )
    raise ValueError(
        f"{file}: found {description}, expected COCO's captions, a list of rows with a file name "
        "and a caption, or an object {file name: caption}"
    )


def _is_captions(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(text, str) for text in value)
    )


def _pair(name: str, value: str | list[str]) -> Row | ValueError:
    try:
        return name, clean_captions(_texts(value))
    except ValueError as error:
        return error


def _object(value: object) -> object:
    """Return a row of a list. Karpathy's COCO keeps the folder of a file in `filepath`."""
    if not isinstance(value, dict):
        return ValueError(f"row: found {type(value).__name__}, expected dict")
    if isinstance(value.get("filename"), str) and isinstance(value.get("filepath"), str):
        return {**value, "file_name": f"{value['filepath']}/{value['filename']}"}
    return value


def _coco_rows(file: Path, values: dict) -> Iterator[tuple[Where, object]]:
    """Yield COCO's captions by the names of the images. An id that two names share has none."""
    if not isinstance(values.get("images"), list):
        raise ValueError(
            f"{file}: found annotations without 'images', expected COCO's captions with the names "
            "of the files: [{'id', 'file_name'}]"
        )
    names: dict[object, set] = {}
    for image in values["images"]:
        if isinstance(image, dict) and isinstance(image.get("file_name"), str):
            names.setdefault(coco_id(image.get("id")), set()).add(image["file_name"])
    captioned = [row for row in values["annotations"] if isinstance(row, dict) and "caption" in row]
    if values["annotations"] and not captioned:
        first = values["annotations"][0]
        keys = _short(list(first) if isinstance(first, dict) else first, 200)
        raise ValueError(f"{file}: found annotations with {keys}, expected 'caption' in them")
    for n, row in enumerate(values["annotations"]):
        location = f"annotation {n}"
        if not isinstance(row, dict):
            yield location, ValueError(f"row: found {type(row).__name__}, expected dict")
            continue
        images = names.get(coco_id(row.get("image_id")), set())
        if len(images) == 1:
            yield location, {"file_name": next(iter(images)), "caption": row.get("caption")}
        else:
            count = f"{len(images)} images of it" if images else "no image of it"
            yield location, ValueError(f"image id {_short(row.get('image_id'))}: found {count}")


def coco_id(value: object) -> int | str | None:
    """Read an id in one of COCO's JSON files.

    Args:
        value: the value in the file.

    Returns:
        An integer, also for a text of digits; another text as it is; None for anything else.
    """
    if isinstance(value, str):
        digits = value.isascii() and value.isdigit() and len(value) < 1000
        return int(value) if digits else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _parquet_rows(file: Path) -> Iterator[tuple[Where, object]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(f"{file}: {error}: pip install pyarrow") from error

    try:
        with pa.parquet.ParquetFile(file) as table:
            columns = table.schema_arrow.names
            for column in columns:
                kind = table.schema_arrow.field(column).type
                if pa.types.is_struct(kind) and "bytes" in [child.name for child in kind]:
                    raise ValueError(
                        f"{file}: found pictures inside the column {column!r}, expected names of "
                        "files: write such pictures to files, or as webdataset tars"
                    )
            _check_columns(file, columns)
            wanted = [name for name in columns if name in (_file_column(columns), *CAPTIONS)]
            number = 0
            for batch in table.iter_batches(columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file}: {error}") from error
