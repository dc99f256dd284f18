"""A browser on the page of the server: Debian's chromium, driven by Playwright."""

import base64
import contextlib
import io
import json
import shutil
import urllib.request
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextlib.contextmanager
def browsing() -> Iterator:
    """A browser. The test is skipped where there is none."""
    library = pytest.importorskip(
        "playwright.sync_api", reason="no Playwright drives a browser: pip install playwright"
    )
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no chromium to open the page in: apt-get install chromium")
    with library.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


class Visit:
    """The page, opened, and what a person does there.

    Args:
        browser: see browsing.
        address: of the server.
        fragment: of a link.
        options: of Playwright's contexts: viewport, color_scheme, ...
    """

    def __init__(self, browser, address: str, fragment: str = "", **options) -> None:
        # The tests' own scripts are evaluated, which the page's policy forbids others to do.
        self.context = browser.new_context(
            bypass_csp=True, **{"viewport": {"width": 1280, "height": 860}, **options}
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{address}/{fragment}")

    def ready(self) -> "Visit":
        self.page.wait_for_selector("body.ready")
        self.run("window.shown = p")
        return self

    def close(self) -> None:
        self.context.close()
        assert not self.errors, self.errors

    def run(self, script: str, argument=None):
        """Evaluate an expression of `p`, the page's own object, and `a`, the argument."""
        text = f"a => import('/page/main.js').then(m => m.page).then(p => {script})"
        return self.page.evaluate(text, argument)

    def paint_only(self) -> None:
        """No stroke draws."""
        self.page.uncheck("input[name=follow]")

    def choose(self, name: str) -> None:
        self.page.click(f".class:has(.class-name:text-is('{name}'))")

    def take(self, tool: str) -> None:
        self.page.check(f"input[name=tool][value={tool}]", force=True)

    def stroke(self, *cells: tuple[int, int], button: str = "left") -> None:
        """Draw with the mouse over the middles of cells (x, y) of the scene."""
        self.drag(".overlay", 64, cells, button)

    def drag(self, selector: str, side: int, cells, button: str = "left") -> None:
        box = self.page.locator(selector).bounding_box()
        for n, (x, y) in enumerate(cells):
            place = (
                box["x"] + (x + 0.5) * box["width"] / side,
                box["y"] + (y + 0.5) * box["height"] / side,
            )
            self.page.mouse.move(*place, steps=1 if n == 0 else 5)
            if n == 0:
                self.page.mouse.down(button=button)
        self.page.mouse.up(button=button)

    def drawn(self) -> None:
        """Wait until no run is under way and its pictures are kept."""
        self.page.wait_for_function("() => !shown.runs.running && shown.shown !== null")
        self.page.wait_for_function("() => location.hash === shown.shown.link")

    def draw(self, caption: str) -> None:
        """Draw a caption."""
        self.page.fill("#caption", caption)
        self.page.click("#ask button[type=submit]")
        self.page.wait_for_function("() => shown.shown !== null && !shown.runs.running")
        self.drawn()

    def record_edits(self) -> None:
        """Have `edit` say what is asked: of forms with files a browser shows no body."""
        self.run(
            "{ const edit = p.api.edit.bind(p.api);"
            " p.api.edit = (asked, ...rest) => edit((window.edited = asked), ...rest); }"
        )

    @property
    def edit(self) -> dict:
        """The fields of the last edit."""
        return self.page.evaluate("edited")

    @property
    def labels(self) -> np.ndarray:
        """The painting's: uint8 [64, 64]."""
        found = self.run("Array.from(p.studio.painting.labels)")
        return np.array(found, np.uint8).reshape(64, 64)

    @property
    def picture(self) -> bytes:
        """The file of the picture that is shown."""
        return base64.b64decode(self.page.get_attribute("img.now", "src").partition(",")[2])

    @property
    def state(self) -> str:
        return self.page.text_content("#state")

    @property
    def problem(self) -> str:
        self.page.wait_for_selector("#problem", state="visible")
        return self.page.text_content("#problem-text")


def scene_of(request) -> np.ndarray:
    """The labels that a request of the page brings the server."""
    image = Image.open(io.BytesIO(base64.b64decode(request.post_data_json["scene"])))
    assert (image.format, image.mode) == ("PNG", "L")
    return np.array(image)


def asked(address: str, body: dict) -> dict:
    """What the server says, without a page."""
    request = urllib.request.Request(
        f"{address}/v1/images/generations",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)
