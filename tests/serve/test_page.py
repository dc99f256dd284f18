"""The page in a browser: what is painted is what the server reads, and what it draws is shown."""

import base64
import re
import time
import urllib.request

import numpy as np
import pytest

from browser import asked, scene_of
from mas_fast.scene.labels import MINI158
from mas_fast.serve.pictures import scene_of_png

GRASS, SKY, HOUSE = 125, 119, 91
VOID = 255


def counted(server: str, name: str) -> float:
    """A figure of the server."""
    text = urllib.request.urlopen(server + "/metrics").read().decode()
    return float(re.search(rf"^{name} (\S+)$", text, re.M)[1])


def test_a_stroke_reaches_the_server_as_it_was_painted(visit, server):
    page = visit()
    page.choose("grass")
    with page.page.expect_request("**/v1/images/generations") as request:
        page.stroke((5, 50), (40, 52), (60, 40))
    sent, shown = scene_of(request.value), page.labels
    np.testing.assert_array_equal(sent, shown)
    assert request.value.post_data_json["scene_labels"] == "mini158"
    assert set(np.unique(sent)) == {GRASS, VOID}
    assert sent[50, 5] == sent[52, 40] == sent[40, 60] == GRASS
    assert 0.04 < (sent == GRASS).mean() < 0.2
    # What the eye sees says the same: its colour, and nothing where nothing is painted.
    page.drawn()
    colours = page.run(
        "Array.from(document.querySelector('.paint').getContext('2d').getImageData(0,0,64,64).data)"
    )
    seen = np.array(colours, np.uint8).reshape(64, 64, 4)
    np.testing.assert_array_equal(seen[..., 3] == 255, shown == GRASS)
    assert (seen[shown == GRASS][:, :3] == MINI158.colors[GRASS]).all()
    # And so does the server's reader.
    file = base64.b64decode(request.value.post_data_json["scene"])
    np.testing.assert_array_equal(scene_of_png(file, "mini158", 64).labels, shown)


def test_events_are_shown_in_the_order_they_come(visit):
    page = visit()
    page.run("{ window.log = []; window.image = document.querySelector('img.now'); }")
    page.run(
        "p.runs.addEventListener('event', ({ detail: { event: e } }) =>"
        " log.push([e.type, e.share, e.shot.labels !== null, image.src === e.shot.src]))"
    )
    page.draw("a red house beside a lake at dusk")
    log = page.page.evaluate("log")
    kinds = [kind for kind, *_ in log]
    assert kinds == ["image_generation.partial_image"] * 3 + ["image_generation.completed"]
    shares = [share for _, share, *_ in log]
    assert shares == sorted(set(shares))
    assert shares[-1] == 1
    assert all(scene for *_, scene, _ in log), "the first preview comes with the scene"
    assert all(shown for *_, shown in log)


def test_the_next_stroke_ends_the_run(visit, server):
    page = visit()
    page.run("{ window.said = []; for (const name of ['begin', 'abort', 'end', 'fail'])"
             " p.runs.addEventListener(name, () => said.push(name)); }")  # fmt: skip
    page.choose("grass")
    before = counted(server, "mas_fast_pictures_total")
    page.stroke((5, 55), (58, 55))
    page.page.wait_for_function("() => said.includes('begin')")
    page.choose("sky")
    with page.page.expect_request("**/v1/images/generations") as second:
        page.stroke((5, 5), (58, 5))
    page.drawn()
    assert page.page.evaluate("said") == ["begin", "abort", "begin", "end"]
    assert len(page.page.query_selector_all("#history li")) == 1
    body = second.value.post_data_json | {"stream": False, "partial_images": 0}
    assert page.picture == base64.b64decode(asked(server, body)["data"][0]["b64_json"])
    # Of the first run the server made no picture: the second's, and the one just asked for.
    assert counted(server, "mas_fast_pictures_total") == before + 2
    for _ in range(100):  # a worker tells that it has ended after the page has its last event
        if counted(server, "mas_fast_open_requests") == 0:
            break
        time.sleep(0.05)
    assert counted(server, "mas_fast_open_requests") == 0


def test_undo_and_redo(visit):
    page = visit()
    page.paint_only()
    page.choose("house")
    seen = [page.labels]
    for tool, cells in (
        ("brush", [(10, 10), (30, 12)]),
        ("line", [(5, 60), (60, 40)]),
        ("rectangle", [(40, 10), (55, 30)]),
        ("fill", [(60, 60)]),
        ("eraser", [(45, 20), (50, 20)]),
    ):
        if tool == "fill":
            page.choose("sky")
        page.take(tool)
        page.stroke(*cells)
        seen.append(page.labels)
        assert (seen[-1] != seen[-2]).any(), tool
    assert (seen[3][10:31, 40:56] == HOUSE).all()
    assert set(np.unique(seen[4])) == {HOUSE, SKY}
    assert seen[5][20, 45] == VOID
    for expected in seen[-2::-1]:
        page.page.keyboard.press("Control+z")
        np.testing.assert_array_equal(page.labels, expected)
    assert page.page.is_disabled("[data-do=undo]")
    for expected in seen[1:]:
        page.page.keyboard.press("Control+Shift+z")
        np.testing.assert_array_equal(page.labels, expected)
    assert page.page.is_disabled("[data-do=redo]")


def test_a_hundred_steps_can_be_undone(visit):
    page = visit()
    page.paint_only()
    painting = "p.studio.painting"
    for n in range(105):
        page.run(f"{painting}.replace({painting}.labels.map((l, i) => i === a ? 119 : l))", n)
    undone = 0
    while page.run(f"{painting}.canUndo"):
        page.run("p.studio.undo()")
        undone += 1
    assert undone == 100
    assert (page.labels == SKY).sum() == 5


def test_a_stroke_that_is_taken_back_leaves_nothing(visit):
    page = visit()
    page.paint_only()
    page.page.focus(".overlay")
    for key in (" ", "ArrowRight", "ArrowRight", "Escape"):
        page.page.keyboard.press(key)
    assert (page.labels == VOID).all()
    assert page.page.is_disabled("[data-do=undo]")


def test_the_mirror(visit):
    page = visit()
    page.paint_only()
    for mirror, flips in (("left-right", [1]), ("top-bottom", [0]), ("both", [0, 1])):
        for size in ("4", "5"):  # cells, odd and even: the slider's are 5 and 6
            page.page.click("[data-do=clear]") if page.labels.min() < VOID else None
            page.page.select_option("select[name=mirror]", mirror)
            page.page.fill("input[name=size]", size)
            page.choose("house")
            page.stroke((5, 8), (20, 25))
            for axis in flips:
                np.testing.assert_array_equal(page.labels, np.flip(page.labels, axis))
            assert page.labels[8, 5] == HOUSE
    page.page.check(".rest input")
    page.page.click("[data-do=clear]")
    page.choose("left-arm")
    page.stroke((5, 8), (9, 8))
    left, right = page.labels[8, 5], page.labels[8, 58]
    assert (MINI158.names[left], MINI158.names[right]) == ("left-arm", "right-arm")


def test_the_picker_takes_the_class_under_the_pointer(visit):
    page = visit()
    page.paint_only()
    page.choose("house")
    page.stroke((10, 10), (14, 10))
    page.choose("sky")
    page.stroke((12, 10), button="right")
    assert page.run("p.studio.classes.chosen.name") == "house"
    page.choose("sky")
    page.take("picker")
    page.stroke((12, 10))
    assert page.run("p.studio.classes.chosen.name") == "house"
    assert page.page.is_checked("input[value=brush]")


def test_a_pen_and_a_finger_paint(visit):
    page = visit(has_touch=True)
    page.paint_only()
    page.choose("house")
    box = page.page.locator(".overlay").bounding_box()
    page.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert page.labels[32, 32] == HOUSE
    erase = """([x, y]) => { const o = document.querySelector('.overlay');
        for (const [type, buttons] of [['pointerdown', 32], ['pointerup', 0]])
          o.dispatchEvent(new PointerEvent(type, { pointerId: 1, isPrimary: true, button: 5,
            pointerType: 'pen', buttons, clientX: x, clientY: y, bubbles: true })); }"""
    page.page.evaluate("() => { Element.prototype.setPointerCapture = () => {}; }")
    page.page.evaluate(erase, [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    assert page.labels[32, 32] == VOID, "the other end of a pen erases"


def test_by_keyboard_alone(visit):
    page = visit()
    keys = page.page.keyboard

    def tab_to(selector: str) -> None:
        for _ in range(60):
            keys.press("Tab")
            if page.page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"Tab does not lead to {selector}")

    tab_to("#caption")
    keys.press("Control+a")
    keys.type("a house on the grass")
    keys.press("Enter")
    page.page.wait_for_function("() => shown.runs.running")
    page.drawn()
    tab_to("input[type=search]")
    keys.type("hou")
    keys.press("Enter")
    assert page.run("p.studio.classes.chosen.name") == "house"
    tab_to(".overlay")
    with page.page.expect_request("**/v1/images/generations") as request:
        for key in ("r", " ", *["ArrowRight"] * 9, *["Shift+ArrowDown"], " "):
            keys.press(key)
    expected = np.full((64, 64), VOID, np.uint8)
    expected[32:41, 32:42] = HOUSE
    np.testing.assert_array_equal(page.labels, expected)
    np.testing.assert_array_equal(scene_of(request.value), expected)
    page.drawn()
    keys.press("Control+z")
    assert (page.labels == VOID).all()
    page.drawn()
    keys.press("2")
    assert page.run("p.studio.classes.chosen.name") != "house"
    page.record_edits()
    tab_to("#redraw")
    keys.press("Enter")
    with page.page.expect_request("**/v1/images/edits"):
        for key in (" ", "ArrowRight", "ArrowDown", " "):
            keys.press(key)
    assert page.edit["region"] == "64,64,80,80"
    page.drawn()


def test_a_first_look(visit):
    """One line invites; no choice is cut off."""
    page = visit().page
    height = "e => e.getBoundingClientRect().height"
    invitation = page.locator(".invitation > span")
    assert invitation.text_content() == "Press Draw, or paint a scene: the picture appears here."
    assert invitation.evaluate(height) < 30
    page.evaluate("document.getElementById('redraw-what').hidden = false")
    widest = "s => { const free = s.cloneNode(true); free.style.maxWidth = 'none';"
    widest += " s.after(free); const width = free.offsetWidth; free.remove(); return width; }"
    for select in page.locator("select").all():
        assert select.evaluate("s => s.offsetWidth") == select.evaluate(widest)


def test_a_phone_has_no_horizontal_scroll(visit):
    phone = {"viewport": {"width": 375, "height": 812}, "is_mobile": True, "has_touch": True}
    page = visit(**phone)
    width = "() => [document.documentElement.scrollWidth, innerWidth]"
    assert page.page.evaluate(width) == [375, 375]
    page.page.select_option("select[name=count]", "4")
    page.draw("a red house beside a lake at dusk, with a dragonwithaverylongnameindeed" * 2)
    for summary in page.page.query_selector_all("summary"):
        summary.click()
    page.page.click("#redraw")
    page.page.check(".rest input")
    assert page.page.evaluate(width) == [375, 375]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe: pip install axe-playwright-python"
    ).Axe()
    page = visit(color_scheme=scheme, reduced_motion="reduce")

    def check(where: str) -> None:
        found = axe.run(page.page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert not serious, (where, [(one["id"], one["nodes"][0]["html"]) for one in serious])

    check("at first")
    page.page.select_option("select[name=count]", "2")
    page.draw("a dragon beside a lake")
    page.draw("a house beside a lake")
    page.page.click("#compare")
    page.page.check(".rest input")
    for summary in page.page.query_selector_all("summary"):
        summary.click()
    check("with pictures")
    page.page.click("#redraw")
    check("with a region to choose")
    for dialog in ("keys", "facts"):
        page.page.click(f"[data-dialog={dialog}-dialog]")
        check(dialog)
        page.page.keyboard.press("Escape")
