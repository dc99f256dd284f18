"""bundle/config.py: every corruption of a config.json is named."""

import pytest

from bundles import DEEP, change_config, make, refuses
from mas_fast.bundle import (
    shipped,
)

# ---------------------------------------------------------------------- corruption


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=2), "format: found 2, expected 1"),
        (lambda c: c.update(kind="other"), "kind: found 'other', expected 'mas_fast bundle'"),
        (lambda c: c.pop("gpt"), r"found the models \[\], expected gpt too .*`mas-fast train gpt"),
        (lambda c: c.update(extra=1), r"found unknown keys \['extra'\]"),
        (lambda c: c["gpt"].update(dropout=0), r"GPT config: found unknown keys \['dropout'\]"),
        (lambda c: c["gpt"].pop("dim"), r"found no keys \['dim'\]"),
        (lambda c: c["gpt"].update(dim="32"), "dim: found '32', expected an integer"),
        (lambda c: c["gpt"].update(streams={}), "streams: found dict, expected a list"),
        (lambda c: c["gpt"].update(attention=["row"]), "attention: found a list of 1, expected 2"),
        (lambda c: c["gpt"]["streams"][0].update(vocab=-1), "vocab: found -1"),
        (lambda c: c["gpt"]["streams"][0].update(x=1), r"stream: found unknown keys \['x'\]"),
        (lambda c: c.update(gpt=[1]), "GPT config: found list, expected a mapping"),
        (lambda c: c["gpt"].update(layers=10**6), "layers: found 1000000, expected .* 1..1024"),
        (lambda c: c["gpt"].update(dim=float("inf")), "found Infinity, which JSON has not"),
    ],
)
def test_a_wrong_config_is_named(tmp_path, change, message):
    path, _ = make(tmp_path)
    change_config(path, change)
    refuses(path, rf"config\.json: .*{message}")


@pytest.mark.parametrize("text", [b"", b"{", b"[1, 2]", b"7", b"\xff\xfe", b'{"format": ', DEEP])
def test_a_config_that_is_not_json_is_named(tmp_path, text):
    path, _ = make(tmp_path)
    (path / "config.json").write_bytes(text)
    refuses(path, r"config\.json: ")


def test_what_is_not_a_bundle_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        refuses(path, "not a bundle: found no config.json")
    path, _ = make(tmp_path)
    (path / "gpt.safetensors").unlink()
    refuses(path, r"gpt\.safetensors: found no such file")


# ---------------------------------------------------------------------- what may be missing


def test_the_shipped_bundle(tmp_path, monkeypatch):
    monkeypatch.setattr("mas_fast.bundle.config.SHIPPED", tmp_path / "storybook")
    with pytest.raises(ValueError, match="storybook: found no such folder: no trained model comes"):
        shipped()
    (tmp_path / "storybook").mkdir()
    assert shipped() == tmp_path / "storybook"
