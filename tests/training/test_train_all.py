"""Everything from nothing to a bundle, in one command that goes on where it was stopped."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("skia")

from mas_fast.bundle import (  # noqa: E402
    read_config,
    read_sampling,
    read_words,
)
from mas_fast.data.token_shards import TokenShards  # noqa: E402
from mas_fast.text.hints import knows_hints  # noqa: E402
from mas_fast.training.all_settings import TOKENIZERS, AllSettings  # noqa: E402
from mas_fast.training.settings import find, read  # noqa: E402
from mas_fast.training.train_all import FINISHED, run, stages  # noqa: E402
from mas_fast.utils.locks import lock  # noqa: E402

# Networks of nothing, on pictures that are almost none.
VQ = {"codes": 16, "resolution": 32, "patch": 1, "ch": 32, "ch_mult": [1, 1, 1]}
VQ |= {"z_channels": 32, "embed_dim": 8}
MODELS = {
    "vq_seg": VQ | {"preset": "tiny-seg"},
    "vq_img": VQ | {"preset": "tiny-img"},
    "gpt": {"dim": 32, "layers": 1, "heads": 2, "mlp": 32},
}
GPTS = ("gpt", "gpt_pictures", "gpt_scenes")
SMALL = {"scenes": 120, "validation": 6, "size": 32, "vocab_size": 320, "workers": 1}
SMALL |= {"segmenter": 2, "hints": 1, "length": 128, "gpts.gpt_scenes.stories": 10}
for stage in (*TOKENIZERS, *(f"gpts.{name}" for name in GPTS)):
    kind = stage.removeprefix("gpts.")
    model = next(model for name, model in MODELS.items() if kind.startswith(name))
    SMALL |= {f"{stage}.model.{name}": value for name, value in model.items()}
    run_of_it = {"steps": 2, "batch": 2, "metric_samples": 4, "precision": "fp32"}
    SMALL |= {f"{stage}.{name}": value for name, value in run_of_it.items()}
STAGES = ["scenes", "captions", "segmenter", "vq-seg", "vq-seg-decoder", "vq-img", "vq-img-decoder"]
STAGES += ["gpt-tokens", "gpt", "gpt-pictures", "gpt-scenes-tokens", "gpt-scenes"]


def words(folder) -> list[str]:
    return [f"--{name}={value}" for name, value in ({"folder": folder} | SMALL).items()]


def small(folder, *changes: str) -> AllSettings:
    return read(AllSettings, find("all", "storybook-128"), [*words(folder), *changes])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """All of it, up to VQ-SEG's decoder and then on, and what was said."""
    folder = tmp_path_factory.mktemp("all") / "run"
    said, more = [], []
    run(small(folder, "--last=vq-seg-decoder"), said.append)
    assert run(small(folder), more.append) == folder / "bundle"
    return folder, said, more


def test_from_nothing_to_a_bundle(finished) -> None:
    folder, said, more = finished
    settings, bundle = small(folder), folder / "bundle"
    names = {"config.json", "tokenizer.json", "words.txt", "sampling.json"}
    names |= {f"{name}.safetensors" for name in ("gpt", "vq_seg", "vq_img")}
    assert {file.name for file in bundle.iterdir()} == names
    streams = {s.name: (s.length, s.vocab) for s in read_config(bundle).streams}
    assert streams == {"text": (128, 320), "seg": (64, 16), "img": (64, 16)}
    assert {"house", "dusk"} <= read_words(bundle)
    assert knows_hints(read_words(bundle))
    told = TokenShards(settings.token_shards("gpt_scenes")).captions(0)
    assert ["; given " in caption for caption in told] == [False] * (len(told) - 1) + [True]
    assert read_sampling(bundle) == settings.sampling != {}
    assert [line.split()[0] for line in said[:5]] == STAGES[:5]
    assert [line.split()[0] for line in more[:12]] == STAGES
    assert [stage.name for stage in stages(settings)] == STAGES
    assert all("about" in line for line in said[:5])
    assert [line.split()[-1] for line in more[:5]] == ["done"] * 5
    assert all("about" in line for line in more[5:12])
    assert "(12 of 12); left in all: about" in more[-1]
    assert "vq-img (6 of 12)" in more[12]  # what was done is not run again


def test_a_finished_run_is_left_as_it_is(finished) -> None:
    folder, said = finished[0], []
    before = {file.name: file.read_bytes() for file in (folder / "bundle").iterdir()}
    run(small(folder), said.append)
    assert [line.split()[-1] for line in said] == ["done"] * 12
    assert {file.name: file.read_bytes() for file in (folder / "bundle").iterdir()} == before


def parts(folder: Path, copy: Path, stages: list[str]) -> None:
    """Copy what another machine needs to go on after these stages."""
    shutil.copytree(folder / "bundle", copy / "bundle")
    for stage in stages:
        (copy / stage).mkdir()
        shutil.copy(folder / stage / FINISHED, copy / stage)
        if (folder / stage / "bundle").exists():
            shutil.copytree(folder / stage / "bundle", copy / stage / "bundle")


def test_another_machine_goes_on_from_the_parts(finished, tmp_path) -> None:
    """Of the stages that are finished it has the bundles alone."""
    parts(finished[0], tmp_path, [*STAGES[3:7], "gpt", "gpt-pictures"])
    (tmp_path / "bundle" / "gpt.safetensors").unlink()
    said = []
    run(small(tmp_path), said.append)
    assert [line.split()[-1] for line in said[:10]] == ["done"] * 10
    assert {folder.name for folder in (tmp_path / "scenes").iterdir()} == {
        "gpt_scenes",
        "validation",
    }
    for file in (finished[0] / "bundle").iterdir():
        assert file.read_bytes() == (tmp_path / "bundle" / file.name).read_bytes(), file.name


def test_a_stage_of_other_settings_is_not_taken(finished, tmp_path) -> None:
    parts(finished[0], tmp_path, ["vq-img"])
    with pytest.raises(ValueError, match=r"vq-img/finished.json: .*\['lr'\].*train it anew"):
        run(small(tmp_path, "--vq_img.lr=0.5"), print)
    told = json.loads((tmp_path / "vq-img" / FINISHED).read_text())
    assert not {"folder", "data", "output", "perceptual", "workers"} & set(told)
    assert told["steps"] == 2


def test_one_run_at_a_time(tmp_path) -> None:
    settings = small(tmp_path / "run")
    with lock(tmp_path / "run", ""), pytest.raises(ValueError, match="found another run.*wait for"):
        run(settings, lambda line: None)


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(tmp_path) -> None:
    main = "from mas_fast.cli import main; main()"
    command = [sys.executable, "-c", main, "train", "all", "storybook-128"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for seconds in (6, 9, 12):
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(
                [*command, *words(tmp_path / "run"), "--gpts.gpt.steps=100000"],
                env=environment, timeout=seconds, capture_output=True, check=True,
            )  # fmt: skip
    steps = ["--gpts.gpt.steps=2"]
    for name in ("run", "whole"):
        if name == "run":  # its GPT was another one
            subprocess.run(["rm", "-rf", tmp_path / "run" / "gpt"], check=True)
        subprocess.run([*command, *words(tmp_path / name), *steps], env=environment, check=True)
    one, two = (tmp_path / name / "bundle" for name in ("run", "whole"))
    for file in one.iterdir():
        assert file.read_bytes() == (two / file.name).read_bytes(), file.name
