"""Draws docs/page-*.png, the page of the server with the model that comes with mas_fast.

Run `mas-fast serve`, then: python docs/page.py http://127.0.0.1:8000   (needs Playwright, chromium)
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

WIDE = {"viewport": {"width": 1280, "height": 860}}
PHONE = {"viewport": {"width": 375, "height": 812}, "is_mobile": True, "has_touch": True}


def drawn(page: Page) -> None:
    page.wait_for_function("() => state.textContent.startsWith('drawn')")


def stroke(page: Page, name: str, *places: tuple[float, float], size: int = 6) -> None:
    """Paint a class over places, shares of the scene's width and height."""
    page.click(f".class:has(.class-name:text-is('{name}'))")
    page.fill("input[name=size]", str(size))
    box = page.locator(".overlay").bounding_box()
    assert box
    for n, (x, y) in enumerate(places):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=6)
        if n == 0:
            page.mouse.down()
    page.mouse.up()


def small(image: Image.Image, pictures: list[tuple[int, int, int, int]]) -> Image.Image:
    """With a palette: what is flat keeps its colours, pictures are dithered."""
    flat = image.copy()
    for box in pictures:
        flat.paste((255, 255, 255), box)
    counts = sorted(flat.getcolors(image.width * image.height), reverse=True)
    colours = [channel for _, colour in counts[:96] for channel in colour]
    if pictures:
        colours += image.crop(pictures[0]).quantize(256 - len(colours) // 3).getpalette()
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours[:768])
    made = image.quantize(palette=palette, dither=Image.Dither.NONE)
    for box in pictures:
        inside = image.crop(box).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        made.paste(inside, box[:2])
    return made


def save(page: Page, name: str) -> None:
    page.mouse.move(2, 2)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(300)
    file = Path(__file__).with_name(f"page-{name}.png")
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    scale = image.width / page.viewport_size["width"]
    boxes = [page.locator(f"#picture {part}").bounding_box() for part in (".stage", ".thumbs")]
    sides = [
        tuple(round(scale * n) for n in (b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]))
        for b in filter(None, boxes)
        if b["y"] < page.viewport_size["height"]
    ]
    small(image, sides).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size} bytes")


def main(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))

        def opened(caption: str, **options) -> Page:
            page = browser.new_context(bypass_csp=True, **options).new_page()
            page.goto(address)
            page.wait_for_selector("body.ready")
            page.fill("#caption", caption)
            page.fill("input[name=seed]", "7")
            return page

        page = opened("a red house beside a lake at dusk", **WIDE)
        page.click("#ask button[type=submit]")
        drawn(page)
        save(page, "scene")

        page = opened("an elephant and a zebra on the grass on a sunny day", **WIDE)
        page.uncheck("input[name=follow]")
        stroke(page, "elephant", (0.66, 0.62), (0.84, 0.62), (0.84, 0.7), (0.66, 0.7), size=7)
        stroke(page, "zebra", (0.16, 0.66), (0.32, 0.66), (0.32, 0.72), (0.18, 0.72), size=5)
        page.select_option("select[name=count]", "4")
        page.check("input[name=follow]")
        stroke(page, "grass", (0.03, 0.92), (0.97, 0.92), size=7)
        drawn(page)
        save(page, "painted")

        page = opened("two dogs on a beach on a sunny day", color_scheme="dark", **PHONE)
        page.click("#ask button[type=submit]")
        drawn(page)
        save(page, "phone")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
