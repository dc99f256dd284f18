"""training/gpt_settings.py, and what `mas-fast train gpt` makes of a config's name and options."""

from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="token shards need pyarrow")
torch = pytest.importorskip("torch")

from gpt_runs import settings  # noqa: E402
from mas_fast.models.gpt import GPT  # noqa: E402
from mas_fast.training.gpt import train  # noqa: E402
from mas_fast.training.gpt_settings import GPTSettings  # noqa: E402
from mas_fast.training.settings import find, plain, read  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


# ------------------------------------------------------------------ a run


def test_the_sparse_config_has_dalles_masks() -> None:
    masks = read(GPTSettings, find("gpt", "mini-270m-sparse")).config().masks
    for number, mask in enumerate(masks[:-1], 1):  # as the paper counts them
        assert mask == ("column" if (number - 2) % 4 == 0 else "row")
    assert masks[-1] == "conv"


# ------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    "name",
    ["tiny", "storybook-1", "storybook-128-1", "mini-270m", "mini-270m-sparse", "make-a-scene-4b"],
)
def test_presets(name) -> None:
    s = read(GPTSettings, find("gpt", name), ["--data", "x"])
    assert s.batch % s.accumulate == 0
    assert s.folder.name == f"gpt-{name}"
    count = GPT(s.config()).parameters_count()
    known = {
        "mini-270m": 271_337_472,
        "mini-270m-sparse": 271_337_472,
        "storybook-1": 9_579_008,
        "storybook-128-1": 6_664_192,
        "make-a-scene-4b": 3_911_480_320,
    }
    assert count == known.get(name, count)
    streams = s.config().streams
    lengths = {"storybook-1": [48, 144, 256], "storybook-128-1": [32, 64, 256]}
    lengths |= {"make-a-scene-4b": [256, 256, 1024]}
    if name in lengths:
        assert [stream.length for stream in streams] == lengths[name]
    text, seg, img = (0.3, 4, 5) if name.startswith("storybook") else (1, 1, 7)
    assert [stream.loss_weight for stream in streams] == [text, seg, img]
    one = read(GPTSettings, find("gpt", name), ["--weights.seg", "2"])  # the others stay
    assert [stream.loss_weight for stream in one.config().streams] == [text, 2, img]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"preset": "tiny", "depth": 3}}, r"found unknown keys \['depth'\].*'layers'"),
        ({"model": {"dim": 32}}, "preset: found None, expected one of"),
        ({"model": {"preset": "tiny", "attention": "rows"}}, "attention: found 'rows', expected"),
        ({"weights": {"image": 7}}, r"weights: found \['image'\], expected some of"),
        ({"bpe_dropout": 0.1}, "bpe_dropout: found 0.1, expected a bundle"),
        ({"caption_drop": 1.5}, "caption_drop: found 1.5, expected a finite number in 0..1"),
        ({"batch": 3, "accumulate": 2}, "batch: found 3, expected a multiple of accumulate = 2"),
        ({"optimizer": "sgd"}, r"found 'sgd', expected one of \['adamw', 'muon'\]"),
        ({"image_every": 0}, "image_every: found 0, expected an integer >= 1"),
        ({"parallel": "tensor"}, r"found 'tensor', expected one of \['ddp', 'fsdp'\]"),
    ],
)
def test_bad_settings(tmp_path, shards, changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        train(settings(shards, tmp_path / "run", **changes))
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_the_config_as_name_file_and_option(tmp_path) -> None:
    from typer.testing import CliRunner

    from mas_fast.cli import app

    assert find("vq-seg", "small") == ROOT / "configs" / "vq-seg-small.yaml"
    for words in (["tiny"], ["--config", "tiny"], [str(ROOT / "configs" / "gpt-tiny.yaml")]):
        for order in (words + ["--seed", "x"], ["--config=tiny", "--seed", "x"]):
            done = CliRunner().invoke(app, ["train", "gpt", *order])
            assert str(done.exception).startswith("--seed: found 'x', expected int")
    with pytest.raises(ValueError, match="huge: found no such file, expected .*'storybook-1'"):
        find("gpt", "huge")
    done = CliRunner().invoke(app, ["train", "gpt", "--seed", "3"])
    assert "train gpt: found no CONFIG, expected a YAML file, or the" in str(done.exception)
    assert "make-a-scene-4b, mini-270m" in str(done.exception)
    assert "weights" in plain(read(GPTSettings, find("gpt", "tiny")))
