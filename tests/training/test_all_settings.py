"""all_settings.py: the settings of each stage, out of those of all."""

import json
from pathlib import Path

import pytest

from mas_fast.bundle import read_vq_config, shipped
from mas_fast.training.all_settings import TOKENIZERS, TRAIN, VALIDATION, AllSettings
from mas_fast.training.settings import configs, find, read
from mas_fast.training.train_all import stages

FOLDER = ["--folder=f"]
NAMES = ("storybook", "storybook-128")


def storybook(*changes: str, name: str = "storybook") -> AllSettings:
    return read(AllSettings, find("all", name), [*FOLDER, *changes])


@pytest.mark.parametrize("name", NAMES)
def test_stages_of_one_model_have_its_shape(name) -> None:
    """configs/ has their settings in the order of the stages."""
    settings = storybook(name=name)
    for part in (settings.segs(), settings.imgs()):
        first, decoder = (stage.config() for stage in part)
        assert first == decoder
    presets = {stage.model["preset"] for stage in settings.gpt_stages().values()}
    assert len(presets) == 1
    named = [values["config"] for values in settings.gpts.values()]
    assert named == sorted(named)
    assert set(named) <= set(configs("gpt"))


def test_the_model_in_the_package_is_that_of_128_pixels() -> None:
    settings = storybook(name="storybook-128")
    for name, part in (("vq_seg", settings.segs()), ("vq_img", settings.imgs())):
        assert part[0].config() == read_vq_config(shipped(), name)


def test_settings_that_are_unfit(tmp_path) -> None:
    fit = {name: {"config": "a"} for name in TOKENIZERS} | {"gpts": {"gpt": {"config": "a"}}}
    for unfit, message in (
        ({"vq_img": {}}, "vq_img: found no `config`"),
        ({"gpts": {"gpt": {}}}, "gpts: gpt: found no `config`"),
        ({"gpts": {"gpt": 3}}, "gpts: gpt: found no `config`"),
        ({"gpts": {}}, "gpts: found none, expected at least one stage"),
        ({"gpts": {"gpt": {"config": "a", "stories": 0}}}, "gpts: gpt: stories: found 0"),
        ({"segmenter": 0}, "segmenter: found 0"),
        ({"world": 0}, "world: found 0"),
    ):
        with pytest.raises(ValueError, match=message):
            AllSettings(**{"folder": tmp_path, "scenes": 1} | fit | unfit)
    with pytest.raises(ValueError, match="nowhere: found no such file"):
        stages(storybook("--gpts.gpt_1.config=nowhere"))
    with pytest.raises(ValueError, match="scenes: found 0"):
        storybook("--scenes=0")
    with pytest.raises(ValueError, match="last: found 'gpt_1', expected one of .*'gpt-1'"):
        stages(storybook("--last=gpt_1"))


@pytest.mark.parametrize("name", NAMES)
def test_the_storybooks_own_settings(name) -> None:
    settings = storybook(name=name)
    segs, imgs, gpts = settings.segs(), settings.imgs(), list(settings.gpt_stages().values())
    for whole, decoder in (segs, imgs):
        assert decoder.decoder_of == whole.output != settings.bundle
        assert decoder.output == settings.bundle
    folders = [part.folder.name.replace("-", "_") for part in gpts]
    assert folders == list(settings.gpts)
    outputs = [part.output for part in gpts]
    assert [part.start for part in gpts] == [None, *outputs[:-1]]
    assert len(set(outputs)) == len(gpts)
    assert outputs[-1] == settings.bundle
    assert {part.bundle for part in gpts} == {settings.bundle}
    assert all(part.caption_drop > 0 for part in gpts)
    assert gpts[-1].masked_share > 0
    assert {part.stored for part in (*segs, *imgs, *gpts)} == {"bf16"}
    assert {part.precision for part in (*segs, *imgs, *gpts)} == {"auto"}
    assert json.dumps(settings.sampling)


def test_what_the_captions_tokenizer_learns_from() -> None:
    assert storybook(name="storybook-128").told == range(80_000)
    few = ["--captions=null", "--scenes=5"]
    assert storybook(*few).told == range(5)


def test_where_everything_lies() -> None:
    settings = storybook()
    assert settings.bundle == Path("f/bundle")
    assert settings.scene_shards("train") == Path("f/scenes/train")
    assert settings.token_shards("validation") == Path("f/tokens/validation")
    folders = {name: settings.folder_of(name) for name in TOKENIZERS}
    assert folders["vq_seg_decoder"] == Path("f/vq-seg-decoder")
    assert len(set(folders.values())) == len(TOKENIZERS)


def test_stages_get_the_data_of_their_own_kind() -> None:
    settings = storybook("--gpts.gpt_2.stories=7", "--seed=3", "--validation=9")
    for part in (*settings.segs(), *settings.imgs()):
        assert part.data == Path("f/scenes/train")
    for name, part in settings.gpt_stages().items():
        assert part.data == Path("f/tokens") / name
        assert part.validation == Path("f/tokens/validation")
    assert settings.painted(TRAIN) == ("train", settings.scenes, 3)
    assert settings.painted(VALIDATION) == ("validation", 9, 3)
    assert settings.painted("gpt_2") == ("train", 7, 5)
    seeds = [settings.painted(name)[2] for name in (TRAIN, *settings.own_stories)]
    assert len(set(seeds)) == len(seeds)  # no story is told twice
    with pytest.raises(ValueError, match="painted: found 'gpt', expected one of"):
        settings.painted("gpt")
    for part in storybook(name="storybook-128").gpt_stages().values():
        assert part.data == Path("f/tokens/train")


def test_pictures_are_compared_by_the_segmenter() -> None:
    assert {part.perceptual for part in storybook().imgs()} == {Path("f/segmenter")}
    assert {part.perceptual for part in storybook("--segmenter=null").imgs()} == {None}


def test_what_is_said_of_a_stage_replaces_its_config() -> None:
    changes = ["--gpts.gpt_1.model.layers=3", "--gpts.gpt_1.lr=0.125", "--gpts.gpt_1.stored=fp32"]
    plain, changed = (list(x.gpt_stages().values()) for x in (storybook(), storybook(*changes)))
    assert (changed[0].model["layers"], changed[0].lr, changed[0].stored) == (3, 0.125, "fp32")
    assert changed[0].model == plain[0].model | {"layers": 3}
    assert changed[1:] == plain[1:]
    assert storybook("--vq_img_decoder.gan_start=null").imgs()[1].gan_start is None


def test_a_mistake_in_a_stage_is_said_of_it() -> None:
    settings = storybook("--gpts.gpt_3.steps=0")
    with pytest.raises(ValueError, match="^gpt_3: .*steps: found 0"):
        settings.gpt_stages()
    assert settings.segs()


@pytest.mark.parametrize("name", ["validation", "size", "vocab_size", "length", "workers"])
def test_counts_are_at_least_one(name) -> None:
    with pytest.raises(
        ValueError, match=f"--{name.replace('_', '-')}: found 0, expected an integer >= 1"
    ):
        storybook(f"--{name}=0")
