"""The page in a browser: what it keeps and gives back, and what it says."""

import base64
import io
import json
import zlib

import numpy as np
import pytest
from PIL import Image

from browser import Visit, asked, scene_of
from mas_fast.pipelines.png_tokens import Painted
from mas_fast.scene import Scene
from mas_fast.scene.png import open_image
from served import serving

GRASS, VOID = 125, 255
CAPTION = "a red house beside a lake at dusk"


def tokens(picture: bytes) -> np.ndarray:
    """Those in the PNG of a picture."""
    return Painted.of(open_image(picture, "picture"), "picture").tokens


def test_a_link_gives_the_same_bytes(visit, server):
    page = visit()
    page.paint_only()
    page.choose("grass")
    page.stroke((5, 50), (58, 50))
    page.page.select_option("select[name=count]", "2")
    page.page.click("summary:text('Settings')")
    page.page.fill("input[name=guidance]", "3.5")
    page.page.fill("input[name=seed]", "1234567890123")
    page.draw(CAPTION)
    page.page.check("input[name=candidate][value='1']", force=True)
    page.drawn()
    link = page.page.evaluate("location.hash")
    assert len(link) < 600
    again = visit(link)
    again.drawn()
    assert again.picture == page.picture
    np.testing.assert_array_equal(again.labels, page.labels)
    assert again.page.input_value("#caption") == CAPTION
    assert again.page.input_value("input[name=guidance]") == "3.5"
    assert again.page.evaluate("location.hash") == link
    body = {"prompt": CAPTION, "seed": 1234567890123, "n": 2, "guidance": 3.5}
    file = io.BytesIO()
    Image.fromarray(page.labels).save(file, "PNG")
    body |= {"scene": base64.b64encode(file.getvalue()).decode(), "scene_labels": "mini158"}
    assert again.picture == base64.b64decode(asked(server, body)["data"][1]["b64_json"])


def link_of(**state) -> str:
    text = zlib.compress(json.dumps(state).encode(), wbits=-15)
    return "#1." + base64.urlsafe_b64encode(text).decode().rstrip("=")


WHOLE = {"bundle": "storybook", "caption": CAPTION, "seed": 1, "side": 64, "count": 1, "chosen": 0}
DAMAGED = [{"count": 10**9}, {"chosen": 1}, {"edits": []}, {"edits": {}}, {"seed": "1"}]


@pytest.mark.parametrize(
    "damage", ["#1.AAAA", "#1.%%%", "cut", *(link_of(**WHOLE | change) for change in DAMAGED)]
)
def test_a_damaged_link_says_so(visit, damage):
    if damage == "cut":
        page = visit()
        page.draw(CAPTION)
        damage = page.page.evaluate("location.hash")[:-9]
    page = visit(damage)
    assert page.problem == "This link is damaged: it was not copied as a whole"


def test_the_history_leads_back(visit):
    page = visit()
    page.draw(CAPTION)
    first, link = page.picture, page.page.evaluate("location.hash")
    page.draw("two dogs on a beach")
    second = page.picture
    assert first != second
    page.page.click("#compare")
    assert page.page.is_visible("img.before")
    before = page.page.get_attribute("img.before", "src").partition(",")[2]
    assert base64.b64decode(before) == first
    page.page.click("#history li:last-child a")
    assert page.picture == first
    assert page.page.input_value("#caption") == CAPTION
    assert page.page.evaluate("location.hash") == link


def test_the_seed_is_kept_or_rolled(visit):
    page = visit()
    page.page.fill("input[name=seed]", "7")
    page.draw(CAPTION)
    first = page.picture
    page.draw(CAPTION)
    assert (page.page.input_value("input[name=seed]"), page.picture) == ("7", first)
    page.page.uncheck("input[name=locked]")
    page.draw(CAPTION)
    assert page.page.input_value("input[name=seed]") != "7"
    page.page.check("input[name=locked]")
    page.page.fill("input[name=seed]", "-1")
    page.page.click("#ask button[type=submit]")
    assert page.problem == "Seed: found -1, expected a whole number from 0"


def test_the_models_scene_is_taken_over(visit):
    page = visit()
    page.draw(CAPTION)
    file = page.run(
        "p.pictures.chosen.sceneBlob.arrayBuffer().then(b => Array.from(new Uint8Array(b)))"
    )
    drawn = Scene.load(bytes(file)).labels
    assert (page.labels == VOID).all()
    page.page.click("[data-do=take-over]")
    np.testing.assert_array_equal(page.labels, drawn)
    assert page.page.is_disabled("[data-do=take-over]")
    page.choose("grass")
    with page.page.expect_request("**/v1/images/generations") as request:
        page.stroke((5, 5), (58, 5))
    sent = scene_of(request.value)
    np.testing.assert_array_equal(sent[20:], drawn[20:])
    assert (sent[5, 5:59] == GRASS).all()
    page.drawn()


def test_a_region_is_drawn_anew_and_the_rest_is_kept(visit):
    page = visit()
    page.page.fill("input[name=seed]", "7")
    page.draw(CAPTION)
    before = tokens(page.picture)
    page.page.click("#redraw")
    page.page.select_option("select[name=what]", "picture")
    page.record_edits()
    page.drag("#region", 16, [(1, 1), (6, 4)])
    page.page.wait_for_function("() => document.querySelectorAll('#history li').length === 2")
    assert page.edit["region"] == "8,8,56,40"
    assert page.edit["what"] == "picture"
    after = tokens(page.picture)
    changed = np.flatnonzero(before != after)
    assert changed.size > 5
    rows, columns = np.divmod(changed - (len(before) - 256), 16)
    assert set(rows) <= set(range(1, 5))
    assert set(columns) <= set(range(1, 7))


def test_the_link_of_an_edit_gives_the_edited_picture(visit):
    """Of the second of two pictures, redrawn twice, once by another caption."""
    page = visit()
    page.choose("grass")
    page.paint_only()
    page.stroke((5, 50), (58, 50))
    page.page.select_option("select[name=count]", "2")
    page.draw(CAPTION)
    page.page.check("input[name=candidate][value='1']", force=True)
    page.drawn()
    pictures = [page.picture]
    page.page.click("#redraw")
    for caption, cells in ((CAPTION, [(1, 1), (6, 4)]), ("a house at night", [(8, 8), (12, 12)])):
        page.page.fill("#caption", caption)
        count = len(pictures) + 1
        page.drag("#region", 16, cells)
        script = "n => document.querySelectorAll('#history li').length === n"
        page.page.wait_for_function(script, arg=count)
        page.drawn()
        pictures.append(page.picture)
    assert len(set(pictures)) == 3
    links = page.page.eval_on_selector_all("#history a", "all => all.map(a => a.hash)")[::-1]
    assert links[-1] == page.page.evaluate("location.hash")
    for link, picture in zip(links, pictures, strict=True):
        again = visit(link)
        again.drawn()
        assert again.picture == picture
        assert again.page.evaluate("location.hash") == link
    assert again.page.input_value("#caption") == "a house at night"
    page.page.click("#history li:nth-child(2) a")
    assert page.picture == pictures[1]
    assert page.page.evaluate("location.hash") == links[1]


def test_words_that_it_has_not_learned(visit):
    page = visit()
    page.page.fill("#caption", "A Dragon beside a lake, and a dragon\u2019s egg")
    said = page.page.text_content("#unknown")
    assert (
        said
        == "The model has not learned \u201cdragon\u201d, \u201cdragon's\u201d, \u201cegg\u201d."
    )
    page.page.fill("#caption", CAPTION)
    assert page.page.text_content("#unknown") == ""


@pytest.mark.parametrize("status", [400, 429, 503])
def test_what_the_server_refuses_is_said_in_a_line(visit, status):
    page = visit()
    body = json.dumps({"error": {"message": "found 9,\nexpected 1", "type": "x"}})
    page.page.route("**/v1/images/generations", lambda r: r.fulfill(status=status, body=body))
    page.page.click("#ask button[type=submit]")
    assert page.problem == "Found 9,"
    page.page.unroute("**/v1/images/generations")
    page.draw(CAPTION)
    assert page.page.is_hidden("#problem")


def test_a_server_that_is_gone(visit):
    page = visit()
    page.page.route("**/v1/images/generations", lambda route: route.abort())
    page.page.click("#ask button[type=submit]")
    assert page.problem == "The server does not answer"


def test_the_key_is_asked_for(browser):
    with serving(MAS_FAST_API_KEY="sesame") as address:
        visit = Visit(browser, address)
        page = visit.page
        page.fill("#key-dialog input", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector(".refused", state="visible")
        page.fill("#key-dialog input", "sesame")
        page.keyboard.press("Enter")
        visit.ready().draw(CAPTION)
        assert page.evaluate("sessionStorage.getItem('mas_fast.key')") == "sesame"
        visit.close()
        visit = Visit(browser, address)
        visit.page.wait_for_selector("#key-dialog[open]")
        visit.page.keyboard.press("Escape")
        assert visit.problem == "The server wants a key"
        visit.close()
