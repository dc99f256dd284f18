"""data/annotators/recipe.py: an annotator as text."""

import pickle

import pytest

from mas_fast.data.annotators.recipe import Recipe
from mas_fast.data.annotators.truth import Truth

MINE = """
from mas_fast.data.annotators.base import Annotator

class Mine(Annotator):
    adds = ()
    def __init__(self, name, threshold=0.5, crops=False):
        self.options = name, threshold, crops
    def __call__(self, images, layers):
        return list(layers)

helper = 3
"""


def test_options_are_json_or_text(tmp_path, monkeypatch):
    (tmp_path / "mas_fast_mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    recipe = Recipe.parse("mas_fast_mine:Mine 'name=a b.pth' threshold=0.25 crops=true")
    assert recipe.make().options == ("a b.pth", 0.25, True)
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert recipe.describe() == {
        "name": "mas_fast_mine:Mine",
        "options": {"name": "a b.pth", "threshold": 0.25, "crops": True},
    }
    for text, message in (
        ("mas_fast_mine:Mine", "missing 1 required positional argument: 'name'"),
        ("mas_fast_mine:Mine name=a x=1", "unexpected keyword argument 'x'"),
        ("mas_fast_mine:helper", "found 3, expected an Annotator"),
        ("mas_fast_mine:Yours", "no attribute 'Yours'"),
        ("mas_fast_yours:Mine", "No module named 'mas_fast_yours'"),
    ):
        with pytest.raises(ValueError, match=f"annotator {text.split()[0]}: .*{message}"):
            Recipe.parse(text).make()


def test_the_names_of_the_package():
    assert isinstance(Recipe.parse("truth").make(), Truth)
    with pytest.raises(ValueError, match=r"annotator truth: found options \['x'\]"):
        Recipe.parse("truth x=1").make()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found '', expected detectron2, .*, truth or MODULE:CLASS"),
        ("scph weights=x", "found 'scph', expected"),
        ("schp 'weights", "No closing quotation"),
        ("schp weights", "annotator schp: found 'weights', expected KEY=VALUE"),
        ("schp a=1 a=2", "annotator schp: found 'a=2', expected KEY=VALUE, each once"),
        ("schp 1=2", "found '1=2'"),
    ],
)
def test_what_is_no_recipe(text, message):
    with pytest.raises(ValueError, match=message):
        Recipe.parse(text)


def test_the_device():
    devices = {text: Recipe.parse(f"schp {text}").device for text in ("device=cuda:1", "a=1")}
    assert devices == {"device=cuda:1": "cuda", "a=1": "cpu"}
