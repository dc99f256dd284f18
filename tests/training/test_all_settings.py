"""all_settings.py: the settings of each stage, out of those of all."""

import json
from pathlib import Path

import pytest

from mas_fast.bundle import read_vq_config, shipped
from mas_fast.training.all_settings import GPTS, TRAINED, AllSettings
from mas_fast.training.settings import configs, find, read
from mas_fast.training.train_all import stages


def test_stages_of_one_model_have_its_shape() -> None:
    """That of the model in the package; configs/ has their settings in the order of the stages."""
    settings = read(AllSettings, find("all", "storybook"))
    for name, stages_of_it in (("vq_seg", settings.segs()), ("vq_img", settings.imgs())):
        shapes = [stage.config() for stage in stages_of_it]
        assert shapes == [read_vq_config(shipped(), name)] * 2
    names = [getattr(settings, stage)["config"] for stage in GPTS]
    assert names == sorted(names)
    assert set(names) <= set(configs("gpt"))


def test_settings_that_are_unfit(tmp_path) -> None:
    with pytest.raises(ValueError, match="gpt: found no `config`"):
        AllSettings(
            folder=tmp_path, scenes=1, **({name: {"config": "a"} for name in TRAINED} | {"gpt": {}})
        )
    with pytest.raises(ValueError, match="nowhere: found no such file"):
        changes = [f"--folder={tmp_path}", "--gpt.config=nowhere"]
        stages(read(AllSettings, find("all", "storybook"), changes))
    with pytest.raises(ValueError, match="scenes: found 0"):
        read(AllSettings, find("all", "storybook"), ["--scenes=0"])


def test_the_storybooks_own_settings() -> None:
    settings = read(AllSettings, find("all", "storybook"))
    segs, imgs, gpts = settings.segs(), settings.imgs(), settings.gpts()
    for codes, (whole, decoder) in ((512, segs), (2048, imgs)):
        assert whole.config() == decoder.config()
        assert whole.config().codes == codes
        assert decoder.decoder_of == whole.output != settings.bundle
        assert decoder.output == settings.bundle
    assert [part.folder.name for part in gpts] == ["gpt", "gpt-pictures", "gpt-scenes"]
    assert [part.start for part in gpts] == [None, gpts[0].output, gpts[1].output]
    assert len({part.output for part in gpts}) == 3
    assert gpts[-1].output == settings.bundle
    assert {part.bundle for part in gpts} == {settings.bundle}
    assert all(part.caption_drop > 0 for part in gpts)
    assert all(part.masked_share for part in gpts[1:])
    assert {part.stored for part in (*segs, *imgs, *gpts)} == {"bf16"}
    assert settings.told == range(80_000)
    few = ["--captions=null", "--scenes=5"]
    assert read(AllSettings, find("all", "storybook"), few).told == range(5)
    assert json.dumps(settings.sampling)


FOLDER = ["--folder=f"]


def storybook(*changes: str) -> AllSettings:
    return read(AllSettings, find("all", "storybook"), [*FOLDER, *changes])


def test_where_everything_lies() -> None:
    settings = storybook()
    assert settings.bundle == Path("f/bundle")
    assert settings.scene_shards("train") == Path("f/scenes/train")
    assert settings.token_shards("validation") == Path("f/tokens/validation")
    folders = {name: settings.folder_of(name) for name in TRAINED}
    assert folders["vq_seg_decoder"] == Path("f/vq-seg-decoder")
    assert len(set(folders.values())) == len(TRAINED)


def test_stages_get_the_data_of_their_own_kind() -> None:
    settings = storybook()
    for part in (*settings.segs(), *settings.imgs()):
        assert part.data == Path("f/scenes/train")
    for part in settings.gpts():
        assert (part.data, part.validation) == (
            Path("f/tokens/train"),
            Path("f/tokens/validation"),
        )


def test_what_is_said_of_a_stage_replaces_its_config() -> None:
    plain = storybook().gpts()
    changed = storybook("--gpt.model.layers=3", "--gpt.lr=0.125", "--gpt.stored=fp32").gpts()
    assert (changed[0].model["layers"], changed[0].lr, changed[0].stored) == (3, 0.125, "fp32")
    assert changed[0].model == plain[0].model | {"layers": 3}
    assert changed[1:] == plain[1:]


def test_a_mistake_in_a_stage_is_said_of_it() -> None:
    settings = storybook("--gpt_scenes.steps=0")
    with pytest.raises(ValueError, match="^gpt_scenes: .*steps: found 0"):
        settings.gpts()
    assert settings.segs()


@pytest.mark.parametrize("name", ["validation", "size", "vocab_size", "length", "workers"])
def test_counts_are_at_least_one(name) -> None:
    with pytest.raises(
        ValueError, match=f"--{name.replace('_', '-')}: found 0, expected an integer >= 1"
    ):
        storybook(f"--{name}=0")
