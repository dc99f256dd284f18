"""Names of files: which sample a file belongs to, what it holds, and what is left out.

A key is the name without what says the kind of the file. Kinds go by suffix, and where the suffix
says nothing, by the first bytes. Names are compared in NFC, since a Mac writes them decomposed.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path, PurePosixPath

IMAGES = (
    *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff"),
    *("avif", "jp2", "j2k", "jpx", "ppm", "pgm", "pbm", "pnm", "tga", "qoi", "ico"),
    *("heic", "heif", "jxl"),  # a picture, and a reject
)
BESIDE = ("seg.png", "edge.png", "txt", "json")  # what a picture may have
SUFFIXES = (*BESIDE, *IMAGES)
_BY_END = {end: [s for s in SUFFIXES if s[-3:] == end] for end in {s[-3:] for s in SUFFIXES}}
HEAD = 32  # bytes that show what a file is
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
# Of cameras, whose files begin as TIFF does and hold a small preview.
RAW = (
    *("3fr", "arw", "cr2", "cr3", "dng", "erf", "iiq"),
    *("nef", "nrw", "orf", "pef", "raf", "rw2", "srw"),
)
UNREAD = ("HEIC", "JPEG XL")  # Pillow alone does not decode them
# Beside a data set, and no part of it; compared in lower case.
SYSTEM = re.compile(
    r"\._.*|\.ds_store|thumbs\.db|ehthumbs\.db|desktop\.ini|icon\r|@eadir|__macosx|lost\+found"
)
PAPERS = re.compile(  # of files alone: pictures of licences may lie in a folder of that name
    r"(?:readme|licen[sc]e|copying|notice|changelog|citation)(?:\.(?:md|rst|txt|html|pdf|cff))?"
    r"|(?:md5|sha1|sha256|sha512)(?:sums?)?(?:\.txt)?|checksums?(?:\.txt)?"
    r"|.*\.(?:md5|sha1|sha256|sha512)"
)


def split(name: str) -> tuple[str, str]:
    """(key, suffix) where names may have dots: the suffix, in lower case, is one of SUFFIXES, or
    empty."""
    lower = name.lower()
    for suffix in _BY_END.get(lower[-3:], ()):
        if lower.endswith(f".{suffix}") and len(name) > len(suffix) + 1:
            return name[: -len(suffix) - 1], suffix
    return name, ""


def split_unknown(name: str) -> tuple[str, str]:
    """(key, suffix) of the name of a picture whose suffix says nothing: what stands after the last
    dot, where it looks like a suffix."""
    found = re.fullmatch(r"(.*[^/])\.([A-Za-z]\w{0,15})", name, re.DOTALL)
    return found.groups() if found else (name, "")


def split_first(name: str) -> tuple[str, str]:
    """(key, suffix) as webdataset has it: parted at the first dot of the last part."""
    folder, slash, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return folder + slash + stem, suffix


def normal(name: str) -> str:
    """The form in which names are compared: NFC, and no `./` or `//` in it."""
    if "./" in name or "//" in name:
        parts = [part for part in name.split("/") if part != "."]
        name = "/".join(part for n, part in enumerate(parts) if part or n in (0, len(parts) - 1))
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def left_out(name: str, folder: bool = False) -> bool:
    """Whether the name of a file or folder, without what is above it, is one that goes with any
    data set: a system's own, or of a file a README, a licence, a checksum."""
    name = name.lower()
    return bool(SYSTEM.fullmatch(name) or (not folder and PAPERS.fullmatch(name)))


def kind_of(head: bytes) -> str | None:
    """The format of a picture by its first HEAD bytes; None: none that is known."""
    for kind, signature in SIGNATURES:
        if signature.match(head):
            return kind
    return None


def is_picture(name: str, head: bytes) -> bool:
    """Whether a file whose suffix is none of SUFFIXES is a picture."""
    return kind_of(head) is not None and name.lower().rpartition(".")[2] not in RAW


def read_head(file: str | os.PathLike) -> bytes:
    with open(file, "rb") as stream:
        return stream.read(HEAD)


def on_disk(folder: Path, name: str) -> Path:
    """Where the file is: as the name is written, or else in NFC or in NFD."""
    path = folder / name
    if not name.isascii() and not path.exists():
        for form in ("NFC", "NFD"):
            if (other := folder / unicodedata.normalize(form, name)).exists():
                return other
    return path


def check_name(name: str) -> None:
    """ValueError unless the name of a file is relative and stays below its folder."""
    path = PurePosixPath(name)
    odd = "\\" in name or "\0" in name or name.endswith("/") or not path.name
    if odd or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"found the name {name!r}, expected a relative path without ..")
    if not encodable(name):
        raise ValueError(f"found the name {name!r}, expected valid UTF-8")


def printable(name: str) -> str:
    """The name as it can be written to a report, and shown: half surrogates and what would steer a
    terminal are escaped."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() or c.isspace() else _escaped(c) for c in name)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True
