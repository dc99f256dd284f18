"""assemble.py: a sample out of its files."""

import io

import pytest
from PIL import Image

from mas_fast.data.sources.assemble import assemble


@pytest.mark.parametrize(
    ("json", "captions"),
    [
        ('{"caption": "a cat"}', ["a cat"]),
        ('{"captions": ["a", " "], "caption": "b"}', ["a"]),
        ('{"captions": [], "caption": "b"}', ["b"]),
        ('{"captions": [""], "caption": " "}', ["beside"]),
        ('{"caption": null}', ["beside"]),
    ],
)
def test_empty_captions_of_a_json_hide_no_others(json, captions):
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    parts = [("png", file.getvalue()), ("txt", b"beside\n"), ("json", json.encode())]
    assert assemble("a", parts).captions == captions
