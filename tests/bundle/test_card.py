"""The card of a bundle on the hub."""

import json
import shutil

import pytest

pytest.importorskip("huggingface_hub")
from huggingface_hub import ModelCard

from mas_fast.bundle import SHIPPED
from mas_fast.bundle.card import card_text


@pytest.fixture
def folder(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "tiny")


def test_a_bundle_without_a_card_gets_one(folder, capfd) -> None:
    text = card_text(folder, "somebody/tiny", "mit")
    data = ModelCard(text).data.to_dict()
    assert data == {"license": "mit", "library_name": "mas_fast", "pipeline_tag": "text-to-image"}
    assert 'mas_fast.load("somebody/tiny")' in text
    assert f"| `gpt.safetensors` | {(folder / 'gpt.safetensors').stat().st_size:,} |" in text
    assert capfd.readouterr() == ("", "")


def test_the_figures_of_the_shipped_bundle_are_its_results() -> None:
    if not SHIPPED.is_dir():
        pytest.skip("no model comes with this copy")
    text = card_text(SHIPPED, "somebody/storybook", "apache-2.0")
    results = {r.metric_type: r.metric_value for r in ModelCard(text).data.eval_results}
    held = json.loads((SHIPPED / "quality.json").read_text())["metrics"]
    assert results == {name: figures["value"] for name, figures in held.items()}
    assert (SHIPPED / "README.md").read_text() in text


def test_metadata_of_its_own_stay(folder) -> None:
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: gpl\n---\n# Mine, ł\n", "utf-8")
    text = card_text(folder, "somebody/tiny", "mit")
    data = ModelCard(text).data.to_dict()
    assert (data["language"], data["license"]) == ("en", "mit")
    assert text.endswith("# Mine, ł\n")


def test_a_bundle_without_a_gpt_has_no_task(folder) -> None:
    values = json.loads((folder / "config.json").read_text())
    del values["gpt"]
    (folder / "config.json").write_text(json.dumps(values))
    data = ModelCard(card_text(folder, "somebody/tiny", "mit")).data.to_dict()
    assert data == {"license": "mit", "library_name": "mas_fast"}


def test_figures_that_are_missing_are_left_out(folder) -> None:
    figures = {"a": {"value": 0.5}, "b": {"value": None}}
    (folder / "quality.json").write_text(json.dumps({"captions": 3, "metrics": figures}))
    (result,) = ModelCard(card_text(folder, "somebody/tiny", "mit")).data.eval_results
    assert (result.metric_type, result.metric_value) == ("a", 0.5)
    assert result.dataset_name == "storybook, 3 captions"


@pytest.mark.parametrize("metrics", [None, [], {"a": 0.5}, {"a": {}}, {"a": {"value": "x"}}])
def test_other_figures_are_refused(metrics, folder) -> None:
    (folder / "quality.json").write_text(json.dumps({"metrics": metrics}))
    with pytest.raises(ValueError, match="quality.json: found .* eval storybook --json"):
        card_text(folder, "somebody/tiny", "mit")


@pytest.mark.parametrize("text", ["---\n[\n---\n", "---\n- a\n---\n", "\xff"])
def test_a_card_that_cannot_be_read_is_refused(text: str, folder) -> None:
    (folder / "README.md").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="README.md: found metadata that cannot be read"):
        card_text(folder, "somebody/tiny", "mit")
