"""Subject "images": milliseconds to make a 256 x 256 picture, the middle square, of a JPEG in
memory, on one thread, beside Pillow and the libraries that decode fast; and the cleaning rules.

Two sets, apart: real photos (COCO's, short side 288), and the same enlarged 3x and encoded again at
quality 90. PSNR is against Pillow's LANCZOS from the full size. Some peers are faster because they
do not antialias: the table says what it costs them."""

from __future__ import annotations

import io
import math
import os
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import REAL_DATA, goals, results
from benchmarks.sampler import counted
from benchmarks.versus import Disagreement, Match, Unavailable, calls, measure
from mas_fast.data.photos.photo import cut, open_photo
from mas_fast.data.sources.open import open_source

DATA = REAL_DATA
SIZE = 256
OURS, PILLOW, RULES = "mas_fast", "Pillow, draft, bicubic", "mas_fast rules"
REAL, ENLARGED = "real photos", "enlarged 3x, q90"
LEAST_PSNR = 30.0  # of ours on any photo, or it is not timed
Picture = Image.Image | np.ndarray


def run(
    blocks: int = 15,
    photos: int = 40,
    data: Path = DATA,
    measure: Callable[..., Match] = measure,
) -> dict:
    """Measure both sets and the rules.

    Args:
        blocks: rounds of one block for each contestant; half as many for enlarged photos.
        photos: how many photos.
        data: folder of the data.
        measure: times the contestants, as `versus.measure` does.

    Returns:
        The record, with its tables.

    Raises:
        Disagreement: if ours is wrong.
        ValueError: if the photos are not there.
    """
    sets = photo_sets(data, photos)
    matches = {
        name: measure(contestants(name, jpegs), blocks if name == REAL else max(blocks // 2, 1))
        for name, jpegs in sets.items()
    }
    quality = {name: psnrs(jpegs, matches[name].samples) for name, jpegs in sets.items()}
    matches[RULES] = measure(rules(data), blocks)
    outcomes = [goal for name in sets for goal in set_goals(name, matches[name], quality[name])]
    rate = 1 / matches[RULES].median(RULES)
    outcomes.append(goals.Goal("cleaning rules, images/s", rate, 200.0, at_most=False))
    rows = [row for name in sets for row in set_rows(name, matches[name], quality[name])]
    columns = ["", "", "ms", "quartiles", "ours over it", "ours is", "PSNR dB", "worst"]
    title = f"images: JPEG to {SIZE} x {SIZE}, one thread, {photos} photos"
    return {
        **results.provenance(),
        "matches": {name: match.to_dict() for name, match in matches.items()},
        "psnr": quality,
        "goals": [goal.to_dict() for goal in outcomes],
        "tables": [{"title": title, "columns": columns, "rows": rows}, goals.table(outcomes)],
    }


def photo_sets(data: Path, photos: int) -> dict[str, list[bytes]]:
    files = sorted((data / "coco" / "images").glob("*.jpg"))[:photos]
    if not files:
        raise ValueError(f"{data}: found no coco/images/*.jpg, expected photos to decode")
    real = [file.read_bytes() for file in files]
    return {REAL: real, ENLARGED: [enlarged(jpeg) for jpeg in real]}


def enlarged(jpeg: bytes) -> bytes:
    image, file = Image.open(io.BytesIO(jpeg)).convert("RGB"), io.BytesIO()
    size = (3 * image.width, 3 * image.height)
    image.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def contestants(name: str, jpegs: list[bytes]) -> list:
    """Make ours and the peers; each takes the same photos in turn."""

    def verify() -> None:
        worst = min(psnr(decoders()[OURS](jpeg), reference(jpeg)) for jpeg in jpegs)
        if worst < LEAST_PSNR:
            raise Disagreement(f"{name}: found a PSNR of {worst:.1f}, expected {LEAST_PSNR}")

    members = []
    for peer, function in decoders().items():
        call = counted(lambda n, f=function: f(jpegs[n % len(jpegs)]))
        check = verify if peer == OURS else (lambda f=function: f(jpegs[0]))
        members.append(calls(peer, call, len(jpegs), check))
    return members


def rules(data: Path) -> list:
    """Make the cleaning rules on layers of 256 x 256: COCO's panoptic, CIHP's human ones."""
    sources = [open_source(data / name) for name in ("coco", "cihp")]
    samples = [source[n].square(SIZE) for source in sources for n in range(min(20, len(source)))]
    layers = [sample.layers for sample in samples]
    return [calls(RULES, counted(lambda n: layers[n % len(layers)].clean()), len(layers))]


def reference(jpeg: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    size = (SIZE, SIZE)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS, box=middle(*image.size)))


def middle(width: int, height: int) -> tuple[int, int, int, int]:
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def square(pixels: np.ndarray) -> np.ndarray:
    left, top, right, bottom = middle(pixels.shape[1], pixels.shape[0])
    return pixels[top:bottom, left:right]


def psnr(picture: Picture, other: Picture) -> float:
    error = np.mean((np.asarray(picture, np.float64) - np.asarray(other, np.float64)) ** 2)
    return 10 * math.log10(255**2 / max(error, 1e-9))


def psnrs(jpegs: list[bytes], names) -> dict[str, tuple[float, float]]:
    """Return (mean, worst) in dB of each contestant that took part."""
    values = {}
    for name in names:
        each = [psnr(decoders()[name](jpeg), reference(jpeg)) for jpeg in jpegs]
        values[name] = statistics.mean(each), min(each)
    return values


def set_rows(name: str, match: Match, quality: dict[str, tuple[float, float]]) -> list[list]:
    rows = []
    for peer in match.samples:
        low, high = (1e3 * seconds for seconds in match.spread(peer))
        row = [name, peer, 1e3 * match.median(peer), f"{low:.2f}..{high:.2f}"]
        ratio = match.ratio(OURS, peer)
        row += [None, None] if peer == OURS else [ratio.value, ratio.verdict]
        rows.append([*row, *quality[peer]])
    return rows + [[name, peer, None, why, *4 * [None]] for peer, why in match.missing.items()]


def set_goals(name: str, match: Match, quality: dict[str, tuple[float, float]]) -> list:
    """Make the goals of a set.

    They are to be faster than every peer on real photos, than Pillow on large ones, and to make no
    worse a picture than Pillow and the fastest peer do.
    """
    peers = [peer for peer in match.samples if peer != OURS]
    fastest = max(peers, key=lambda peer: match.ratio(OURS, peer).value)
    rival, limit = (fastest, 1.0) if name == REAL else (PILLOW, 1.3)
    ratio = match.ratio(OURS, rival)
    detail = f"{1 / ratio.high:.2f}..{1 / ratio.low:.2f}"
    outcomes = [
        goals.Goal(f"{name}: times as fast as {rival}", 1 / ratio.value, limit, False, detail)
    ]
    for peer in dict.fromkeys([fastest, PILLOW]):
        better = quality[OURS][0] - quality[peer][0]
        outcomes.append(goals.Goal(f"{name}: dB above {peer}", better, 0.0, at_most=False))
    return outcomes


def decoders() -> dict[str, Callable[[bytes], Picture]]:
    """Return the functions by name, ours first.

    Each raises Unavailable, when it is called, for a library that is not there.
    """
    return {
        OURS: ours,
        PILLOW: pillow,
        "simplejpeg + OpenCV linear": lambda jpeg: opencv_resize(simple(jpeg), "INTER_LINEAR"),
        "simplejpeg + OpenCV cubic": lambda jpeg: opencv_resize(simple(jpeg), "INTER_CUBIC"),
        "simplejpeg + OpenCV area": lambda jpeg: opencv_resize(simple(jpeg), "INTER_AREA"),
        "OpenCV, reduced, area": opencv,
        "imagecodecs + OpenCV linear": imagecodecs,
        "kornia_rs, linear": kornia,
        "pyvips thumbnail": vips,
    }


def ours(jpeg: bytes) -> Picture:
    photo = open_photo(jpeg)
    left, top, right, bottom = middle(photo.width, photo.height)
    return cut(photo, top, left, bottom - top, right - left, SIZE, SIZE)


def pillow(jpeg: bytes) -> Picture:
    image = Image.open(io.BytesIO(jpeg))
    side = min(image.size)
    image.draft("RGB", (image.width * SIZE // side, image.height * SIZE // side))
    image = image.convert("RGB")
    size = (SIZE, SIZE)
    return image.resize(size, Image.Resampling.BICUBIC, box=middle(*image.size))


def simple(jpeg: bytes) -> Picture:
    """Decode at the half, the quarter or the eighth, as ours does."""
    simplejpeg = package("simplejpeg")
    height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
    shrink = shrinking(height, width)
    least = {"min_height": -(-height // shrink), "min_width": -(-width // shrink)}
    return simplejpeg.decode_jpeg(jpeg, "RGB", **least)


def shrinking(height: int, width: int) -> int:
    shrink = 1
    while shrink < 8 and min(height, width) >= 2 * shrink * SIZE:
        shrink *= 2
    return shrink


def opencv_resize(pixels: np.ndarray, how: str) -> Picture:
    cv2 = package("cv2")
    cv2.setNumThreads(1)
    return cv2.resize(square(pixels), (SIZE, SIZE), interpolation=getattr(cv2, how))


def opencv(jpeg: bytes) -> Picture:
    cv2 = package("cv2")
    width, height = Image.open(io.BytesIO(jpeg)).size
    shrink = shrinking(height, width)
    flag = cv2.IMREAD_COLOR if shrink == 1 else getattr(cv2, f"IMREAD_REDUCED_COLOR_{shrink}")
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), flag)
    return cv2.cvtColor(opencv_resize(pixels, "INTER_AREA"), cv2.COLOR_BGR2RGB)


def imagecodecs(jpeg: bytes) -> Picture:
    return opencv_resize(package("imagecodecs").jpeg8_decode(jpeg), "INTER_LINEAR")


def kornia(jpeg: bytes) -> Picture:
    library = package("kornia_rs")
    pixels = np.asarray(library.io.decode_image_jpegturbo(jpeg, "rgb"))
    pixels = np.ascontiguousarray(square(pixels))
    return np.asarray(library.imgproc.resize(pixels, (SIZE, SIZE), interpolation="bilinear"))


def vips(jpeg: bytes) -> Picture:
    image = package("pyvips").Image
    return image.thumbnail_buffer(jpeg, SIZE, height=SIZE, crop="centre").numpy()


def package(name: str):
    """Import a module; those with threads of their own get one.

    Args:
        name: the module.

    Returns:
        The module.

    Raises:
        Unavailable: if it cannot be imported.
    """
    for variable in ("RAYON_NUM_THREADS", "VIPS_CONCURRENCY"):
        os.environ.setdefault(variable, "1")
    try:
        return __import__(name)
    except Exception as error:  # pyvips raises what its own loader raises
        raise Unavailable(f"{name}: {error}") from error
