"""Files of codes: `mas-fast encode` writes them, `mas-fast decode` reads them. No torch.

A file is numpy's .npz of these arrays:

    format   1
    model    "vq_img" or "vq_seg"
    bundle   the SHA-256 of the tokenizer's weights: no other can decode the codes
    names    str [N], what they were made from: names of files without folder and suffix
    codes    int32 [N, h, w]
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mas_fast.utils.documents import short
from mas_fast.utils.files import replace_file
from mas_fast.utils.validate import check_choice, exact_keys

FORMAT, SUFFIX = 1, ".npz"
MODELS = ("vq_img", "vq_seg")
KEYS = ("format", "model", "bundle", "names", "codes")


@dataclass(frozen=True, eq=False)
class Codes:
    """See the module's docstring. ValueError for a field that is unfit."""

    model: str
    bundle: str
    names: list[str]
    codes: np.ndarray

    def __post_init__(self) -> None:
        check_choice("model", self.model, MODELS)
        if self.codes.dtype.kind not in "iu" or self.codes.ndim != 3 or not self.codes.size:
            found = f"found {self.codes.dtype} {list(self.codes.shape)}"
            raise ValueError(f"codes: {found}, expected integers [N, h, w]")
        if len(self.names) != len(self.codes) or len(set(self.names)) != len(self.names):
            found = f"found {len(set(self.names))} different ones for {len(self.codes)}"
            raise ValueError(f"names: {found}, expected one for each of the codes")
        for name in self.names:
            if name in ("", ".", "..") or set(name) & set("/\\\0"):
                raise ValueError(
                    f"names: found {short(name)}, expected that of a file, in no folder"
                )

    def save(self, path: str | os.PathLike) -> None:
        """Write the file, in one step."""
        values = {"format": FORMAT, "model": self.model, "bundle": self.bundle}
        values |= {"names": np.array(self.names, str), "codes": self.codes.astype(np.int32)}

        def write(file: Path) -> None:
            with open(file, "wb") as stream:  # by a path, numpy would add its suffix
                np.savez_compressed(stream, **values)

        replace_file(check_output(path), write)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Codes:
        """Read what `save` wrote. ValueError names the file, what it holds and what was expected;
        nothing in it is ever unpickled."""
        if not os.path.isfile(path):
            raise ValueError(f"{path}: found no such file, expected codes of `mas-fast encode`")
        if not _is_zip(path):
            raise ValueError(f"{path}: found no .npz, expected codes of `mas-fast encode`")
        try:
            with np.load(path) as arrays:
                values = {key: arrays[key] for key in exact_keys("codes", arrays, KEYS)}
            if values["format"] != FORMAT:
                raise ValueError(
                    f"format: found {short(values['format'].tolist())}, expected {FORMAT}"
                )
            names = values["names"].tolist()
            return cls(str(values["model"]), str(values["bundle"]), names, values["codes"])
        except MemoryError:
            raise
        except Exception as error:  # zipfile, zlib and numpy raise about everything that there is
            expected = "expected codes of `mas-fast encode`"
            raise ValueError(f"{path}: {error!s:.500}; {expected}") from error


def _is_zip(path: str | os.PathLike) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # of several disks
        return False


def distinct_names(files: Iterable[str | os.PathLike]) -> list[str]:
    """The files' names without folder and suffix; one that was there before gets "-2" and so
    on."""
    names: dict[str, None] = {}
    for file in files:
        stem, count = Path(file).stem, 1
        name = stem
        while name in names:
            count += 1
            name = f"{stem}-{count}"
        names[name] = None
    return list(names)


def check_output(path: str | os.PathLike) -> Path:
    """The path, if codes can be written there. ValueError for a folder that is not there, or that
    it is itself, and for another suffix."""
    path = Path(path)
    if path.suffix != SUFFIX or path.is_dir():
        found = "a folder" if path.is_dir() else f"the suffix {path.suffix!r}"
        raise ValueError(f"{path}: found {found}, expected the name of a file in {SUFFIX}")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: found no folder {path.parent}, expected one that is there")
    return path
