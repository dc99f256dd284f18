"""Files that are nearly right: changes that know what a file is made of.

    content = mutate("config.json", content, random.Random(7))

A flipped bit in a zip or a PNG ends at its checksum, a missing bracket at the parser. So what is
inside is changed too, and put together again with sizes and checksums that hold.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable

import yaml

EXTREMES = [0, 1, 2, 7, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1]
EXTREMES += [2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
NUMBERS = [*EXTREMES, -1, -2, -(2**31), -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308, 1e-320]
NUMBERS += [float("inf"), float("-inf"), float("nan")]
TEXTS = [
    "",
    " ",
    "a",
    "\0",
    "a\0b",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\x",
    "\ud800",
    "é",
]
TEXTS += ["e\u0301", "\U0001f3e0", "\u202e", "x" * 300, "x" * 70_000, "1e9", "nan", "None", "%s%n"]
WORDS = [b"\0", b"\xff", b"\xff\xfe", b"\n", b"\r\n", b"\t", b'"', b"\\", b"[", b"{", b"}", b"]"]
WORDS += [
    b"NaN",
    b"1e999",
    b"\\ud800",
    b"\xed\xa0\x80",
    b"..",
    b"[" * 3000,
    b"{" * 3000,
    b"9" * 5000,
]


def mutate(name: str, content: bytes, draw: random.Random) -> bytes:
    """The content of the file `name`, changed in one to four places; once in a while not at all, as
    other files may be."""
    suffix = name.rpartition(".")[2]
    own = FORMATS.get(suffix, noise)
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        change = own if draw.random() < 0.7 else noise
        try:
            content = change(content, draw)
        except Exception:  # an earlier change has made something else of it
            content = noise(content, draw)
    return content


def noise(content: bytes, draw: random.Random) -> bytes:
    """Bytes alone: flipped bits, extreme integers, pieces that are cut out, repeated or moved."""
    data = bytearray(content)
    size = len(data)
    where = draw.randrange(size) if size else 0
    if draw.random() < 0.3:  # headers and footers say most
        where = min(where, 64) if draw.random() < 0.5 else max(0, size - 1 - where % 256)
    match draw.randrange(9):
        case 0 | 1 if size:
            for _ in range(draw.choice([1, 1, 2, 8])):
                data[(where + draw.randrange(64)) % size] ^= 1 << draw.randrange(8)
        case 2 | 3 if size:
            width = draw.choice([1, 2, 4, 8])
            where -= where % draw.choice([1, width])
            order = draw.choice(["little", "big"])
            number = (draw.choice(EXTREMES) + draw.choice([0, 0, -1, 1])) % (1 << (8 * width))
            data[where : where + width] = number.to_bytes(width, order)
        case 4:
            return content[: draw.choice([where, size - 1 - where % 9, 0])]
        case 5:
            end = where + draw.randrange(1, 65)
            data[where:end] = draw.randbytes(draw.choice([0, 1, 4, end - where]))
        case 6:
            length = draw.choice([1, 4, 16, 256])
            other = draw.randrange(size) if size else 0
            data[where:where] = data[other : other + length] * draw.choice([1, 1, 2, 100])
        case 7:
            data[where:where] = draw.choice(WORDS)
        case 8:
            length = draw.choice([4, 8, 64, 512])
            other = draw.randrange(size) if size else 0
            data[where : where + length] = data[other : other + length]
    return bytes(data)


# ---------------------------------------------------------------------------- trees


def tree(value: object, draw: random.Random) -> object:
    """A value of JSON with items replaced, removed, renamed, doubled or exchanged."""
    places = list(_places(value))
    if not places:
        return _any(draw)
    holder, key = draw.choice(places)
    match draw.randrange(8):
        case 0 | 1 | 2 | 3:
            holder[key] = _near(holder[key], draw) if draw.random() < 0.5 else _any(draw)
        case 4:
            del holder[key]
        case 5 if isinstance(holder, dict):
            holder[draw.choice([*TEXTS, *map(str, EXTREMES)])] = holder.pop(key)
        case 6 if isinstance(holder, list):
            holder[key:key] = [holder[key]] * draw.choice([1, 2, 1000])
        case _:
            other, place = draw.choice(places)
            if place in other if isinstance(other, dict) else place < len(other):
                holder[key] = json.loads(json.dumps(other[place]))
    return value


def _places(value: object):
    if not isinstance(value, dict | list):
        return
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(item, dict | list):
            yield from _places(item)


def _near(value: object, draw: random.Random) -> object:
    """Of the same kind."""
    if isinstance(value, bool):
        return draw.choice([not value, int(value), str(value)])
    if isinstance(value, int | float):
        return draw.choice([value + 1, value - 1, -value, value * 2, value / 2, *NUMBERS])
    if isinstance(value, str):
        return draw.choice([value + "x", value[:-1], value.upper(), value * 2, *TEXTS])
    if isinstance(value, list):
        return draw.choice([value[:-1], value[1:], value + value, value[::-1], [value], []])
    return draw.choice([{}, [], None, {"": value}])


def _any(draw: random.Random) -> object:
    kind = draw.randrange(8)
    if kind < 3:
        return draw.choice(NUMBERS)
    if kind < 5:
        return draw.choice(TEXTS)
    if kind < 7:
        return draw.choice([None, True, False, [], {}, [[]], [None], {"a": 1}, [0] * 1000])
    value: object = 0
    for _ in range(draw.choice([3, 50, 70, 900])):
        value = [value] if draw.random() < 0.5 else {"a": value}
    return value


def _json(content: bytes, draw: random.Random) -> bytes:
    try:
        value = json.loads(content)
        text = json.dumps(tree(value, draw), ensure_ascii=draw.random() < 0.8)
    except (ValueError, RecursionError):
        return noise(content, draw)
    if draw.random() < 0.1:  # a key twice
        text = text.replace("{", '{"format": 2, "": 0, ', 1)
    return text.encode("utf-8", "surrogatepass")


def _jsonl(content: bytes, draw: random.Random) -> bytes:
    lines = content.splitlines() or [b"{}"]
    n = draw.randrange(len(lines))
    lines[n] = _json(lines[n], draw)
    return b"\n".join(lines)


ALIASES = b"a0: &a0 [x, x, x, x, x, x, x, x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 8)) for n in range(1, 12)
)
YAML = [b"&a ", b"*a", b"!!python/name:os.system ", b"!!binary ", b'!!timestamp "x"', b"!!int ''"]
YAML += [b"<<: ", b"? ", b"- ", b"|\n", b"{", b"'", b"---\n", b"...\n", b"%YAML 1.1\n", b"&a [*a]"]
YAML += [b"!!set {a, b}", b"2026-13-45", b"1:9", b"0x" + b"f" * 5000, b"!!float ''", b"[" * 500]
YAML += [ALIASES, b"- " * 500, b".inf", b".nan", b"~", b"!<tag:yaml.org,2002:merge> a: 1\n"]


def _yaml(content: bytes, draw: random.Random) -> bytes:
    if draw.random() < 0.5 or b"*" in content:  # aliases, written out, are without end
        lines = content.split(b"\n")
        line = draw.randrange(len(lines))
        head, colon, tail = lines[line].partition(b": ")
        put = draw.choice(YAML)
        ways = [head + colon + put, head + colon + put + tail, put + lines[line], put]
        lines[line] = draw.choice(ways)
        return b"\n".join(lines)
    try:
        value = tree(yaml.safe_load(content), draw)
        return yaml.safe_dump(value).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError, yaml.YAMLError, TypeError, OverflowError):
        return noise(content, draw)


# ---------------------------------------------------------------------------- containers


def _safetensors(content: bytes, draw: random.Random) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + length], content[8 + length :]
    header = _json(header, draw) if draw.random() < 0.8 else noise(header, draw)
    return struct.pack("<Q", len(header)) + header + data


def _zip(content: bytes, draw: random.Random) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except Exception:
        return noise(content, draw)
    if not members:
        return noise(content, draw)
    n = draw.randrange(len(members))
    name, data = members[n]
    match draw.randrange(8):
        case 0:
            del members[n]
        case 1:
            members[n] = (draw.choice([*TEXTS[1:11], name + "x"]), data)
        case 2:
            members.append((name, noise(data, draw)))
        case _:
            members[n] = (name, mutate(name, data, draw))
    stored = io.BytesIO()
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(stored, "w") as archive:
            warnings.simplefilter("ignore")  # of a name that comes twice
            for member, data in members:
                archive.writestr(member.encode("utf-8", "replace").decode(), data)
    except (ValueError, IndexError):  # a name that the library cannot write
        return noise(content, draw)
    return stored.getvalue()


def _npy(content: bytes, draw: random.Random) -> bytes:
    """The text of the header, in its own length."""
    end = 10 + int.from_bytes(content[8:10], "little")
    header = bytearray(content[10:end])
    for old, new in ((b"<i4", b"|O "), (b"<i4", b"<U9"), (b"(", b"(-"), (b"(", b"(9999999999, ")):
        if draw.random() < 0.4:
            header = header.replace(old, new, 1)
    if draw.random() < 0.5:
        header = bytearray(noise(bytes(header), draw))
    return content[:8] + struct.pack("<H", min(len(header), 65535)) + header + content[end:]


def _gz(content: bytes, draw: random.Random) -> bytes:
    try:
        inner = gzip.decompress(content)
    except Exception:
        return noise(content, draw)
    return gzip.compress(noise(inner, draw), 1)


def _png(content: bytes, draw: random.Random) -> bytes:
    chunks, place = [], 8
    while place + 12 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += 12 + size
    if not chunks:
        return noise(content, draw)
    n = draw.randrange(len(chunks))
    kind, data = chunks[n]
    match draw.randrange(6):
        case 0:
            del chunks[n]
        case 1:
            chunks.insert(draw.randrange(len(chunks)), chunks[n])
        case 2 if kind == b"IDAT":
            try:
                chunks[n] = (kind, zlib.compress(noise(zlib.decompress(data), draw)))
            except zlib.error:
                chunks[n] = (kind, noise(data, draw))
        case 3:
            text = draw.choice([b"mas_fast\0scene mini158", b"mas_fast\0scene ", b"\0", b"a\0b"])
            chunks.insert(1, (draw.choice([b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf"]), text))
        case _:
            chunks[n] = (kind, noise(data, draw))
    parts = [content[:8]]
    for kind, data in chunks:
        parts += [
            struct.pack(">I", len(data)),
            kind,
            data,
            struct.pack(">I", zlib.crc32(kind + data)),
        ]
    return b"".join(parts)


def _tar(content: bytes, draw: random.Random) -> bytes:
    """A field of a header, under its checksum; or what a member holds."""
    starts, place = [], 0
    while place + 512 <= len(content) and content[place + 257 : place + 262] == b"ustar":
        starts.append(place)
        try:
            size = int(content[place + 124 : place + 135].strip(b" \0") or b"0", 8)
        except ValueError:
            break
        place += 512 + -(-size // 512) * 512
    if not starts:
        return noise(content, draw)
    start = draw.choice(starts[:-1] or starts)  # of whose sizes all are numbers
    if draw.random() < 0.5 and len(starts) > 1:
        size = int(content[start + 124 : start + 135].strip(b" \0") or b"0", 8)
        name = content[start : start + 100].rstrip(b"\0").decode("utf-8", "replace")
        inner = mutate(name, content[start + 512 : start + 512 + size], draw)[:size]
        return content[: start + 512] + inner.ljust(size, b"\0") + content[start + 512 + size :]
    header = bytearray(content[start : start + 512])
    fields = [(0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155)]
    at, width = draw.choice(fields)
    values = [
        b"../../x",
        b"/etc/passwd",
        b"\xff" * width,
        b"\x80" + b"\xff" * (width - 1),
        b"",
        b"L",
    ]
    values += [b"7" * (width - 1), b"-1", b"x", b"g", b"S", b"5", b"a.jpg", b"a.seg.png", b"a.json"]
    header[at : at + width] = draw.choice(values)[:width].ljust(width, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return content[:start] + bytes(header) + content[start + 512 :]


FORMATS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "json": _json,
    "jsonl": _jsonl,
    "yaml": _yaml,
    "safetensors": _safetensors,
    "npz": _zip,
    "npy": _npy,
    "pt": _zip,
    "ckpt": _zip,
    "distcp": _zip,
    "gz": _gz,
    "png": _png,
    "tar": _tar,
}
