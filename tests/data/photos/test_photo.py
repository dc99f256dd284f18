"""data/photos/photo.py: photos of every kind, whole or cut and resized; broken ones."""

import io
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from mas_fast.data.photos import photo as images
from mas_fast.data.photos.photo import Jpeg, cut, open_photo
from mas_fast.data.photos.profiles import is_srgb, to_srgb
from mas_fast.data.prepare import jpeg
from mas_fast.data.sources.base import Sample


def read_image(file) -> Image.Image:
    photo = open_photo(file)
    return Image.fromarray(photo.decode() if isinstance(photo, Jpeg) else photo)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


def smooth(height: int, width: int) -> np.ndarray:
    """uint8 [height, width, 3] without sharp corners, which JPEG keeps well; not symmetrical."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + y / 31), np.cos(y / 7 - x / 40), np.sin((x + 2 * y) / 23 + x / width)]
    return (127 + 100 * np.stack(waves, -1)).astype(np.uint8)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = ((one.astype(float) - other) ** 2).mean()
    return 10 * np.log10(255**2 / max(error, 1e-9))


JPG = encoded(smooth(6, 8), "JPEG")


def bomb() -> bytes:
    """A PNG of 9000 x 9000 pixels in a few bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    head = struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def jpeg_bomb() -> bytes:
    """A JPEG whose header says 65000 x 65000."""
    at = JPG.index(b"\xff\xc0") + 5
    return JPG[:at] + struct.pack(">HH", 65000, 65000) + JPG[at + 4 :]


def with_orientation(pixels: np.ndarray, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(pixels, "JPEG", exif=exif, quality=95)


def test_images_of_every_mode_become_upright_rgb():
    grey = np.full((4, 6), 100, np.uint8)
    color = Image.fromarray(grey).convert("RGB")
    for content in (
        encoded(grey),
        encoded(grey, "JPEG"),
        encoded(color, "JPEG", subsampling="4:2:0", progressive=True),
        encoded(color, "JPEG", keep_rgb=True),
        encoded(color.convert("CMYK"), "JPEG"),
        encoded(grey.astype(np.uint16) * 256 + 77),
        encoded(color.quantize(4)),
        encoded(color.convert("CMYK"), "TIFF"),
        encoded(color, "WEBP", lossless=True),
    ):
        image = read_image(content)
        assert image.mode == "RGB"
        assert image.size == (6, 4)
        assert abs(np.asarray(image).astype(int) - 100).max() <= 2
        part = cut(open_photo(content), 0, 0, 4, 6, 2, 3)
        assert part.shape == (2, 3, 3)
        assert abs(part.astype(int) - 100).max() <= 2
    for mode in ("LA", "RGBA"):
        clear = Image.new(mode, (2, 1), 0)
        assert (np.asarray(read_image(encoded(clear))) == 255).all()


def test_cmyk_is_read_as_pillow_reads_it():
    inks = np.kron(np.random.default_rng(0).integers(0, 256, (6, 5, 4)), np.ones((8, 8, 1)))
    content = encoded(Image.fromarray(inks.astype(np.uint8), "CMYK"), "JPEG", quality=95)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert image.mode == "CMYK"
    assert (np.asarray(read_image(content)) == expected).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_one_pixel(kind):
    content = encoded(np.full((1, 1, 3), 200, np.uint8), kind)
    assert read_image(content).size == (1, 1)
    grown = cut(open_photo(content), 0, 0, 1, 1, 5, 3)
    assert grown.shape == (5, 3, 3)
    assert abs(grown.astype(int) - 200).max() <= 1


def test_a_jpeg_is_not_decoded_until_it_is_needed():
    photo = open_photo(encoded(smooth(60, 80), "JPEG")[:-50])  # cut off
    assert isinstance(photo, Jpeg)
    assert (photo.height, photo.width) == (60, 80)
    for use in (photo.decode, lambda: photo.cut(0, 0, 60, 60, 20, 20)):
        with pytest.raises(ValueError, match="image: found a truncated or damaged JPEG"):
            use()
    assert isinstance(open_photo(encoded(smooth(6, 8))), np.ndarray)


@pytest.mark.parametrize("orientation", [*range(1, 9), 0, 99])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (67, 45), (193, 150)])
def test_orientations(orientation, height, width):
    content = with_orientation(smooth(height, width), orientation)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    photo = open_photo(content)
    assert (photo.height, photo.width) == expected.shape[:2]
    assert abs(photo.decode().astype(int) - expected).max() <= 2
    top, left, rows, columns = 5, 9, photo.height - 8, photo.width - 12
    part = photo.cut(top, left, rows, columns, 20, 30)  # of the large ones, the half is decoded
    whole = cut(expected, top, left, rows, columns, 20, 30)
    assert psnr(part, whole) > 38
    other = cut(expected, top + 1, left + 1, rows, columns, 20, 30)
    assert psnr(part, whole) > psnr(part, other) + 6


def test_orientation_after_other_segments():
    content = with_orientation(smooth(8, 16), 6)
    note = b"\xff\xfe" + struct.pack(">H", 2 + 40000) + bytes(40000)
    assert open_photo(content[:2] + note + content[2:]).height == 16
    for cut_off in range(2, 60):  # a header that ends anywhere is no error of its own kind
        try:
            open_photo(content[:cut_off])
        except ValueError:
            pass


def with_segment(content: bytes, marker: int, data: bytes) -> bytes:
    """A JPEG with another segment in front."""
    return content[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + content[2:]


@pytest.mark.parametrize(
    "block",
    [b"", b"no tiff here", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0" * 3]
    + [b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x03\0\0\0ab\0\0\0\0\0\0"],  # a text for a number
)
def test_exif_that_cannot_be_read_is_upright(tmp_path, block):
    pixels = smooth(6, 8)
    jpg = with_segment(encoded(pixels, "JPEG"), 0xE1, b"Exif\0\0" + block)
    others = [encoded(pixels, "PNG", exif=block), encoded(pixels, "WEBP", exif=block)]
    for content in (jpg, *others):
        assert read_image(content).size == (8, 6)
    assert (np.asarray(read_image(jpg)) == np.asarray(read_image(encoded(pixels, "JPEG")))).all()
    sample = Sample("a", open_photo(jpg), file=jpg)
    assert Image.open(io.BytesIO(jpeg(sample))).size == (8, 6)


def test_orientation_behind_fill_bytes_and_junk():
    content = with_orientation(smooth(8, 16), 6)
    assert open_photo(content[:2] + b"\xff\xff" + content[2:]).height == 16
    assert open_photo(content[:2] + b"junk" + content[2:]).height == 16


PROGRESSIVE = encoded(smooth(60, 80), "JPEG", progressive=True)
BASELINE = encoded(smooth(60, 80), "JPEG")


def scan_header(content: bytes, parameters: bytes) -> bytes:
    """Other last three bytes of the first scan's header."""
    start = content.index(b"\xff\xda") + 2
    stop = start + int.from_bytes(content[start : start + 2], "big")
    return content[: stop - 3] + parameters + content[stop:]


HARMLESS = {
    "junk before the end": lambda c: c[:-2] + b"\x7f" * 16 + c[-2:],
    "zeros before the end": lambda c: c[:-2] + bytes(300) + c[-2:],
    "junk behind the end": lambda c: c + b"\r\n<html>",
    "another picture behind it": lambda c: c + JPG,
    "junk in the header": lambda c: c[:20] + b"junk" + c[20:],
    "junk in the header and before the end": lambda c: (
        c[:20] + b"junk" + c[20:-2] + b"x" * 9 + c[-2:]
    ),
    "another JFIF revision": lambda c: c[:11] + b"\x05\x09" + c[13:],
    "an unknown code for colours": lambda c: with_segment(c, 0xEE, b"Adobe\0\x64\0\0\0\0\x07"),
    "half a profile": lambda c: with_segment(c, 0xE2, b"ICC_PROFILE\0\1\2" + b"half of it"),
}


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("content", [BASELINE, PROGRESSIVE], ids=["baseline", "progressive"])
def test_what_costs_no_pixel_costs_no_picture(name, content):
    photo, sound = open_photo(HARMLESS[name](content)), open_photo(content)
    assert (photo.decode() == sound.decode()).all()
    assert (photo.cut(3, 5, 48, 64, 12, 16) == sound.cut(3, 5, 48, 64, 12, 16)).all()
    cut_off = HARMLESS[name](content[: len(content) * 2 // 3])
    with pytest.raises(ValueError, match="found a truncated or damaged JPEG"):
        open_photo(cut_off).decode()


def test_parameters_of_a_scan():
    for parameters in (b"\0\0\0", b"\1\x3f\0", b"\0\x3e\x11"):
        spoilt = scan_header(BASELINE, parameters)
        assert spoilt != BASELINE
        assert (open_photo(spoilt).decode() == open_photo(BASELINE).decode()).all()
        with pytest.raises(ValueError, match="found a truncated or damaged JPEG"):
            open_photo(spoilt[:-300]).decode()


def test_lost_pixels_are_an_error():
    restart = io.BytesIO()
    Image.fromarray(smooth(60, 80)).save(restart, "JPEG", restart_marker_blocks=4)
    restart = restart.getvalue()
    at = restart.index(b"\xff\xd2")
    for content in (
        restart[:at] + b"\x7f" * 9 + restart[at:],  # a part of a row is decoded from other bytes
        restart[: at - 8] + restart[at:],
        BASELINE[:-2],
        BASELINE[:-30] + BASELINE[-2:],
        encoded(Image.fromarray(smooth(60, 80)).convert("CMYK"), "JPEG")[:-30] + b"\xff\xd9",
    ):
        with pytest.raises(ValueError, match="found a truncated or damaged JPEG"):
            open_photo(content).decode()


def profile_of(change: str = "") -> bytes:
    """sRGB's profile, or one whose red and blue are exchanged ("swap") or greys are darker
    ("gamma")."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    place = {}
    for number in range(struct.unpack(">I", content[128:132])[0]):
        entry = content[132 + 12 * number : 144 + 12 * number]
        name, at, size = struct.unpack(">4sII", entry)
        place[name] = slice(at, at + size)
    if change == "swap":
        red, blue = content[place[b"rXYZ"]], content[place[b"bXYZ"]]
        content[place[b"rXYZ"]], content[place[b"bXYZ"]] = blue, red
    elif change == "gamma":  # the first parameter of the curve that all three share
        curve = place[b"rTRC"]
        content[curve.start + 12 : curve.start + 16] = struct.pack(">i", int(3.0 * 65536))
    return bytes(content)


SWAPPED = profile_of("swap")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_profiles_are_honoured(kind):
    pixels = np.full((64, 64, 3), (200, 30, 30), np.uint8)
    content = encoded(
        pixels, kind, icc_profile=SWAPPED, **({"lossless": True} if kind == "WEBP" else {})
    )
    assert abs(np.asarray(read_image(content))[0, 0].astype(int) - (30, 30, 200)).max() <= 6
    part = cut(open_photo(content), 0, 0, 64, 64, 8, 8)  # of a JPEG, decoded at an eighth
    assert abs(part.astype(int) - (30, 30, 200)).max() <= 6


def test_profiles_of_palettes_and_of_what_is_transparent():
    red = Image.new("RGB", (4, 4), (200, 30, 30))
    clear = red.convert("RGBA")
    clear.putpixel((0, 0), (200, 30, 30, 0))
    deep = encoded(red.quantize(4), icc_profile=SWAPPED)
    for content in (deep, encoded(clear, icc_profile=SWAPPED)):
        found = read_image(content)
        assert np.abs(np.subtract(found.getpixel((3, 3)), (30, 30, 200))).max() <= 6
    assert found.getpixel((0, 0)) == (255, 255, 255)


def test_a_profile_in_parts_of_any_order():
    half = len(SWAPPED) // 2
    parts = [b"ICC_PROFILE\0\2\2" + SWAPPED[half:], b"ICC_PROFILE\0\1\2" + SWAPPED[:half]]
    content = encoded(np.full((16, 16, 3), (200, 30, 30), np.uint8), "JPEG")
    for part in parts:
        content = with_segment(content, 0xE2, part)
    assert open_photo(content).profile == SWAPPED
    content = with_segment(
        content, 0xE1, b"Exif\0\0" + b"\xff\xe2\0\x10ICC_PROFILE"
    )  # a thumbnail's
    assert open_photo(content).profile == SWAPPED


def test_srgb_is_left_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    for kind in ("PNG", "JPEG"):
        plain, told = encoded(pixels, kind), encoded(pixels, kind, icc_profile=profile_of())
        assert (np.asarray(read_image(told)) == np.asarray(read_image(plain))).all()
    assert to_srgb(profile_of(), "RGB") is None
    assert is_srgb(profile_of(), "RGB")


def test_a_profile_of_other_pixels_or_a_broken_one_is_ignored():
    grey = encoded(np.full((8, 8), 90, np.uint8), "JPEG", icc_profile=SWAPPED)
    assert read_image(grey).getpixel((0, 0)) == (90, 90, 90)
    broken = encoded(np.full((8, 8, 3), 90, np.uint8), "JPEG", icc_profile=b"no profile at all")
    with pytest.warns(UserWarning, match=r"17 bytes that cannot be read .*: pictures with it are"):
        assert read_image(broken).getpixel((0, 0)) == (90, 90, 90)
    assert not is_srgb(b"no profile at all", "RGB")


def test_our_scenes_are_no_pictures(tmp_path, scene):
    scene.save(tmp_path / "a.scene.png")
    for file in (tmp_path / "a.scene.png", scene.to_pngs()[0]):
        with pytest.raises(ValueError, match="found a scene that mas_fast saved, expected a pictu"):
            read_image(file)


def test_stored_pictures_mean_the_same_to_any_reader():
    """A file is copied only where nobody needs its profile; what is written anew has none."""
    pixels = np.full((16, 16, 3), (200, 30, 30), np.uint8)
    color = Image.fromarray(pixels)
    for options, copied in (
        ({}, True),
        ({"icc_profile": profile_of()}, True),
        ({"icc_profile": SWAPPED}, False),
        ({"icc_profile": b"broken", "comment": "once"}, False),
    ):
        content = encoded(pixels, "JPEG", **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = jpeg(Sample("a", open_photo(content), file=content))
        assert (stored == content) == copied
        with Image.open(io.BytesIO(stored)) as image:
            assert copied or "icc_profile" not in image.info
            want = np.asarray(read_image(content)).astype(int)
            assert abs(np.asarray(image.convert("RGB")) - want).max() <= 3
    for content in (encoded(color.convert("CMYK"), "JPEG"), with_orientation(pixels, 3)):
        assert jpeg(Sample("a", open_photo(content), file=content)) != content
    several = io.BytesIO()
    color.save(several, "MPO", save_all=True, append_images=[color])
    photo = open_photo(several.getvalue())
    assert photo.height == 16
    stored = jpeg(Sample("a", photo, file=several.getvalue()))
    assert Image.open(io.BytesIO(stored)).format == "JPEG"


@pytest.mark.parametrize("shrink", [1, 2, 4, 8])
def test_decoding_smaller(shrink, monkeypatch):
    """The least size that is large enough is decoded, and gives the same picture."""
    pixels = smooth(258 * shrink // 2, 300 * shrink // 2)
    photo = open_photo(encoded(pixels, "JPEG", quality=95))
    decoded = []
    decode = Jpeg._decode
    monkeypatch.setattr(
        Jpeg, "_decode", lambda self, *a: decoded.append(decode(self, *a)) or decoded[-1]
    )
    size = 128
    part = photo.cut(0, 0, photo.height, photo.height, size, size)
    assert decoded[0].shape[0] == -(-photo.height // shrink)
    assert psnr(part, cut(pixels, 0, 0, photo.height, photo.height, size, size)) > 35


@pytest.mark.parametrize("to", [(64, 200), (200, 64)])
def test_the_longer_way_of_a_result_counts(to):
    pixels = smooth(256, 256)
    photo = open_photo(encoded(pixels, "JPEG", quality=95))
    assert (photo.cut(0, 0, 256, 256, *to) == cut(photo.decode(), 0, 0, 256, 256, *to)).all()


def test_threads_have_buffers_of_their_own():
    photos = [np.full((300, 300, 3), value, np.uint8) for value in (0, 255)]
    jpegs = [open_photo(encoded(pixels, "JPEG")) for pixels in photos]
    wrong = []

    def work(number: int) -> None:
        for _ in range(50):
            part = jpegs[number].cut(0, 0, 300, 300, 64, 64)
            wrong.append(abs(part.astype(int) - 255 * number).max() > 3)

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 100
    assert not any(wrong)


def test_a_picture_larger_than_the_buffer(monkeypatch):
    photo = open_photo(encoded(smooth(80, 90), "JPEG", quality=95))
    expected = photo.cut(0, 0, 80, 90, 40, 45)
    monkeypatch.setattr(images, "KEPT", 1000)
    monkeypatch.setattr(images, "_kept", threading.local())
    assert (photo.cut(0, 0, 80, 90, 40, 45) == expected).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found data that is no image"),
        (b"GIF89a", "image: "),
        (JPG[: len(JPG) * 3 // 4], "(?i)truncated"),
        (JPG[:20], "(?i)truncated"),
        (b"\xff\xd8\xff", "(?i)truncated"),
        (encoded(smooth(40, 40))[:700], "(?i)truncated"),
        (bomb(), "found 9000 x 9000 pixels, expected at most"),
        (jpeg_bomb(), "found 65000 x 65000 pixels, expected at most"),
        (encoded(Image.new("F", (2, 2)), "TIFF"), "floating-point"),
    ],
)
def test_images_that_cannot_be_read(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_image(content)
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.jpg: "):
        read_image(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="b.jpg: found no such file"):
        read_image(tmp_path / "b.jpg")


def test_random_damage_is_an_error_or_a_picture():
    content = with_orientation(smooth(40, 60), 6)
    rng = np.random.default_rng(0)
    for _ in range(300):
        spoilt = bytearray(content[: rng.integers(1, len(content) + 1)])
        for position in rng.integers(0, len(spoilt), rng.integers(0, 8)):
            spoilt[position] = rng.integers(256)
        try:
            photo = open_photo(bytes(spoilt))
            assert cut(photo, 0, 0, 1, 1, 3, 3).shape == (3, 3, 3)
        except ValueError:
            pass


def test_real_photos(coco):
    files = sorted((coco / "val2017").glob("*.jpg"))[:10]
    assert len(files) == 10
    for file in files:
        photo, image = open_photo(file), Image.open(file).convert("RGB")
        assert abs(photo.decode().astype(int) - np.asarray(image)).max() <= 2
        size = min(image.size)
        part = photo.cut(0, 0, size, size, 256, 256)
        best = image.resize((256, 256), Image.Resampling.LANCZOS, (0, 0, size, size))
        peer = image.resize((256, 256), Image.Resampling.BICUBIC, (0, 0, size, size))
        assert psnr(part, np.asarray(best)) > max(psnr(np.asarray(peer), np.asarray(best)), 40)
