"""The page in a browser over a model without scenes, as minDALL-E: the caption alone."""

import shutil
from dataclasses import replace

import pytest

from browser import Visit
from mas_fast.bundle import load_gpt, save_gpt
from mas_fast.models.gpt import GPT
from mas_fast.streams import Streams
from served import serving


@pytest.fixture(scope="module")
def address(tiny_bundle, tmp_path_factory):
    folder = shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("bundles") / "sceneless")
    config = load_gpt(folder).config
    streams = Streams([config.streams["text"], config.streams["img"]])
    save_gpt(folder, GPT.create(replace(config, streams=streams)))
    with serving(str(folder), "--runtime", "torch", "--device", "cpu") as address:
        yield address


def test_the_caption_alone(browser, address):
    visit = Visit(browser, address).ready()
    page = visit.page
    assert page.is_hidden("#scene")
    assert "nothing to paint" in page.text_content(".without-scenes")
    assert page.is_visible(".without-scenes")
    visit.draw("a red house beside the lake")
    picture, link = visit.picture, page.evaluate("location.hash")
    page.click("summary:text('Download')")
    assert page.is_hidden("#save-painting")
    with page.expect_download() as download:
        page.click("#save-picture")
    assert open(download.value.path(), "rb").read() == picture
    page.click("#redraw")
    assert page.is_hidden("#redraw-what")
    visit.drag("#region", 4, [(0, 0), (3, 1)])
    page.wait_for_function("() => document.querySelectorAll('#history li').length === 2")
    visit.drawn()
    edit, its_link = visit.picture, page.evaluate("location.hash")
    assert edit != picture
    visit.close()
    for fragment, expected in ((link, picture), (its_link, edit)):
        again = Visit(browser, address, fragment).ready()
        again.drawn()
        assert again.picture == expected
        again.close()


def test_a_scene_that_is_dropped_is_refused(browser, address):
    visit = Visit(browser, address).ready()
    visit.page.evaluate(
        "() => { const files = new DataTransfer(); files.items.add(new File(['x'], 'a.png'));"
        " dispatchEvent(new DragEvent('drop', { dataTransfer: files, cancelable: true })); }"
    )
    assert visit.problem == "This model knows no scenes: there is nothing to open"
    visit.close()
