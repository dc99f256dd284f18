"""Photos to prepare, and what lies in the folders that come of it."""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from mas_fast.scene import clean


def jpeg(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


def grey(value: int, height: int = 20, width: int = 30) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def folder_of(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def content(folder: Path) -> dict[str, str]:
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir()}


def rejects(folder: Path) -> list[list[str]]:
    lines = (folder / "rejects.tsv").read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines]


def write_tar(path: Path, keys: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key in keys:
            labels = np.full((8, 9), len(key), np.uint8)
            scene = clean(labels)
            seg, edge = scene.to_pngs()
            files = {"jpg": jpeg(grey(10, 8, 9)), "seg.png": seg, "edge.png": edge}
            for suffix, part in files.items():
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(part)
                tar.addfile(member, io.BytesIO(part))
    return path
