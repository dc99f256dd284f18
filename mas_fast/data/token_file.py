"""Files of codes: `mas-fast encode` writes them, `mas-fast decode` reads them. No torch.

A file is numpy's .npz of these arrays:

    format   1
    model    "vq_img" or "vq_seg"
    bundle   the SHA-256 of the tokenizer's weights: no other tokenizer can decode the codes
    names    str [N], the files that they were made from: names without folder and suffix
    codes    int32 [N, h, w]
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mas_fast.utils.documents import short
from mas_fast.utils.files import replace_file
from mas_fast.utils.validate import check_choice, exact_keys

FORMAT, SUFFIX = 1, ".npz"
MODELS = ("vq_img", "vq_seg")
KEYS = ("format", "model", "bundle", "names", "codes")


@dataclass(frozen=True, eq=False)
class Codes:
    """The content of a file of codes.

    Attributes:
        model: "vq_img" or "vq_seg".
        bundle: SHA-256 of the tokenizer's weights.
        names: N different names of files, without folder and suffix.
        codes: integers [N, h, w].

    Raises:
        ValueError: if a field is unfit.
    """

    model: str
    bundle: str
    names: list[str]
    codes: np.ndarray

    def __post_init__(self) -> None:
        check_choice("model", self.model, MODELS)
        if self.codes.dtype.kind not in "iu" or self.codes.ndim != 3 or not self.codes.size:
            problem = f"found {self.codes.dtype} {list(self.codes.shape)}"
            raise ValueError(f"codes: {problem}, expected integers [N, h, w]")
        if len(self.names) != len(self.codes) or len(set(self.names)) != len(self.names):
            problem = f"found {len(set(self.names))} different ones for {len(self.codes)}"
            raise ValueError(f"names: {problem}, expected one for each of the codes")
        for name in self.names:
            if name in ("", ".", "..") or set(name) & set("/\\\0"):
                raise ValueError(
                    f"names: found {short(name)}, expected that of a file, in no folder"
                )

    def save(self, path: str | os.PathLike) -> None:
        """Write the file, in one step.

        Args:
            path: the file; its suffix is .npz.

        Raises:
            ValueError: as for `check_output`.
        """
        values: dict[str, Any] = {"format": FORMAT, "model": self.model, "bundle": self.bundle}
        values |= {"names": np.array(self.names, str), "codes": self.codes.astype(np.int32)}

        def write(file: Path) -> None:
            with open(file, "wb") as stream:  # by a path, numpy would add its suffix
                np.savez_compressed(stream, **values)

        replace_file(check_output(path), write)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Codes:
        """Read a file that `save` wrote. Nothing in it is ever unpickled.

        Args:
            path: the file.

        Returns:
            Its content.

        Raises:
            ValueError: if it is no such file; the message names the file, what it holds and what
                was expected.
        """
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
        except Exception as error:  # zipfile, zlib and numpy raise almost anything
            expected = "expected codes of `mas-fast encode`"
            raise ValueError(f"{path}: {error!s:.500}; {expected}") from error


def _is_zip(path: str | os.PathLike) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # of several disks
        return False


def distinct_names(files: Iterable[str | os.PathLike]) -> list[str]:
    """Name files after their stems.

    Args:
        files: paths of files.

    Returns:
        The names of the files without folder and suffix. A name that came before gets "-2", "-3"
        and so on.
    """
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
    """Check that codes can be written to a file.

    Args:
        path: the file.

    Returns:
        The path.

    Raises:
        ValueError: if the folder of the file is not there, if the path is a folder itself, or if
            it has another suffix than .npz.
    """
    path = Path(path)
    if path.suffix != SUFFIX or path.is_dir():
        problem = "a folder" if path.is_dir() else f"the suffix {path.suffix!r}"
        raise ValueError(f"{path}: found {problem}, expected the name of a file in {SUFFIX}")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: found no folder {path.parent}, expected one that is there")
    return path
