"""Names of files: which sample a file belongs to, what it holds, and which files are left out.

A key is the name without the part that tells the kind of the file. The suffix tells the kind; if
it does not, the first bytes do. Names are compared in NFC, since a Mac writes them decomposed.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path, PurePosixPath

IMAGES = (
    *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff"),
    *("avif", "jp2", "j2k", "jpx", "ppm", "pgm", "pbm", "pnm", "tga", "qoi", "ico"),
    *("heic", "heif", "jxl"),  # pictures, which become rejects
)
BESIDE = ("seg.png", "edge.png", "txt", "json")  # files that may lie beside a picture
SUFFIXES = (*BESIDE, *IMAGES)
_BY_END = {end: [s for s in SUFFIXES if s[-3:] == end] for end in {s[-3:] for s in SUFFIXES}}
HEAD = 32  # bytes that tell the kind of a file
SIGNATURES = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("WebP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("AVIF", re.compile(rb"....ftypavi[fs]", re.DOTALL)),
    ("HEIC", re.compile(rb"....ftyp(?:hei[cxmsf]|hev[cxm]|mif1|msf1)", re.DOTALL)),
    ("JPEG XL", re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL ")),
    ("JPEG 2000", re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51")),
    ("BMP", re.compile(rb"BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)),
    ("PPM", re.compile(rb"P[1-6]\s[\s\d#]")),
    ("QOI", re.compile(rb"qoif")),
    ("PSD", re.compile(rb"8BPS\x00\x01")),
)
# Files of cameras, which begin as TIFF does and hold a small preview.
RAW = (
    *("3fr", "arw", "cr2", "cr3", "dng", "erf", "iiq"),
    *("nef", "nrw", "orf", "pef", "raf", "rw2", "srw"),
)
UNREAD = ("HEIC", "JPEG XL")  # Pillow alone does not decode them
# Beside a data set, and no part of it; compared in lower case.
SYSTEM = re.compile(
    r"\._.*|\.ds_store|thumbs\.db|ehthumbs\.db|desktop\.ini|icon\r|@eadir|__macosx|lost\+found"
)
PAPERS = re.compile(  # for files alone: pictures of licences may lie in a folder of that name
    r"(?:readme|licen[sc]e|copying|notice|changelog|citation)(?:\.(?:md|rst|txt|html|pdf|cff))?"
    r"|(?:md5|sha1|sha256|sha512)(?:sums?)?(?:\.txt)?|checksums?(?:\.txt)?"
    r"|.*\.(?:md5|sha1|sha256|sha512)"
)


def split(name: str) -> tuple[str, str]:
    """Split a name that may have dots.

    Args:
        name: name of a file.

    Returns:
        The key, and the suffix in lower case: one of SUFFIXES, or empty.
    """
    lower = name.lower()
    for suffix in _BY_END.get(lower[-3:], ()):
        if lower.endswith(f".{suffix}") and len(name) > len(suffix) + 1:
            return name[: -len(suffix) - 1], suffix
    return name, ""


def split_unknown(name: str) -> tuple[str, str]:
    """Split the name of a picture whose suffix is not one of SUFFIXES.

    Args:
        name: name of a file.

    Returns:
        The key, and the part after the last dot if it looks like a suffix, else an empty one.
    """
    match = re.fullmatch(r"(.*[^/])\.([A-Za-z]\w{0,15})", name, re.DOTALL)
    return (match[1], match[2]) if match else (name, "")


def split_first(name: str) -> tuple[str, str]:
    """Split a name as webdataset does, at the first dot of its last part.

    Args:
        name: name of a file.

    Returns:
        The key and the suffix.
    """
    folder, slash, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return folder + slash + stem, suffix


def normal(name: str) -> str:
    """Return the form in which names are compared: NFC, without `./` and `//`."""
    if "./" in name or "//" in name:
        parts = [part for part in name.split("/") if part != "."]
        name = "/".join(part for n, part in enumerate(parts) if part or n in (0, len(parts) - 1))
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def left_out(name: str, folder: bool = False) -> bool:
    """Tell whether a file or folder is no part of a data set.

    Args:
        name: its name, without the folders above it.
        folder: whether it is a folder.

    Returns:
        True for the operating system's own files and folders, and for a file that is a README, a
        licence or a checksum.
    """
    name = name.lower()
    return bool(SYSTEM.fullmatch(name) or (not folder and PAPERS.fullmatch(name)))


def kind_of(head: bytes) -> str | None:
    """Return the format of a picture by its first HEAD bytes, None for an unknown one."""
    for kind, signature in SIGNATURES:
        if signature.match(head):
            return kind
    return None


def is_picture(name: str, head: bytes) -> bool:
    """Tell whether a file whose suffix is none of SUFFIXES is a picture.

    Args:
        name: name of the file.
        head: its first HEAD bytes.

    Returns:
        Whether its first bytes are those of a picture, and its suffix is not that of a camera.
    """
    return kind_of(head) is not None and name.lower().rpartition(".")[2] not in RAW


def read_head(file: str | os.PathLike) -> bytes:
    """Return the first HEAD bytes of a file."""
    with open(file, "rb") as stream:
        return stream.read(HEAD)


def on_disk(folder: Path, name: str) -> Path:
    """Find a file whose name may be composed differently on the disk.

    Args:
        folder: folder of the file.
        name: its name.

    Returns:
        Its path, with the name as it is written, or else in NFC or NFD.
    """
    path = folder / name
    if not name.isascii() and not path.exists():
        for form in ("NFC", "NFD"):
            if (other := folder / unicodedata.normalize(form, name)).exists():
                return other
    return path


def check_name(name: str) -> None:
    """Check the name of a file.

    Raises:
        ValueError: unless it is relative and stays below its folder.
    """
    path = PurePosixPath(name)
    odd = "\\" in name or "\0" in name or name.endswith("/") or not path.name
    if odd or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"found the name {name!r}, expected a relative path without ..")
    if not encodable(name):
        raise ValueError(f"found the name {name!r}, expected valid UTF-8")


def printable(name: str) -> str:
    """Make a name fit for a report and a terminal.

    Args:
        name: any text.

    Returns:
        The text with half surrogates and control characters escaped.
    """
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() or c.isspace() else _escaped(c) for c in name)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def encodable(text: str) -> bool:
    """Tell whether UTF-8 can hold a text: half of a surrogate pair is not allowed."""
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
