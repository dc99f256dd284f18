"""Everything from nothing to a bundle, in one command that goes on where it was stopped."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("skia")

from mas_fast.bundle import (  # noqa: E402
    read_config,
    read_sampling,
    read_words,
)
from mas_fast.training.all_settings import TRAINED, AllSettings  # noqa: E402
from mas_fast.training.settings import find, read  # noqa: E402
from mas_fast.training.train_all import run, stages  # noqa: E402
from mas_fast.utils.locks import lock  # noqa: E402

# Networks of nothing, on pictures that are almost none.
VQ = {"codes": 16, "resolution": 32, "patch": 1, "ch": 32, "ch_mult": [1, 1, 1]}
VQ |= {"z_channels": 32, "embed_dim": 8}
MODELS = {
    "vq_seg": VQ | {"preset": "tiny-seg"},
    "vq_img": VQ | {"preset": "tiny-img"},
    "gpt": {"dim": 32, "layers": 1, "heads": 2, "mlp": 32},
}
SMALL = {"scenes": 120, "validation": 6, "size": 32, "vocab_size": 320, "workers": 1}
for stage in TRAINED:
    model = next(model for name, model in MODELS.items() if stage.startswith(name))
    SMALL |= {f"{stage}.model.{name}": value for name, value in model.items()}
    run_of_it = {"steps": 2, "batch": 2, "metric_samples": 4, "precision": "fp32"}
    SMALL |= {f"{stage}.{name}": value for name, value in run_of_it.items()}


def words(folder) -> list[str]:
    return [f"--{name}={value}" for name, value in ({"folder": folder} | SMALL).items()]


def test_from_nothing_to_a_bundle(tmp_path) -> None:
    settings = read(AllSettings, find("all", "storybook"), words(tmp_path / "run"))
    said = []
    bundle = run(settings, said.append)
    assert bundle == tmp_path / "run" / "bundle"
    names = {"config.json", "tokenizer.json", "words.txt", "sampling.json"}
    names |= {f"{name}.safetensors" for name in ("gpt", "vq_seg", "vq_img")}
    assert {file.name for file in bundle.iterdir()} == names
    streams = {s.name: (s.length, s.vocab) for s in read_config(bundle).streams}
    assert streams == {"text": (32, 320), "seg": (64, 16), "img": (64, 16)}
    assert {"house", "dusk"} <= read_words(bundle)
    assert read_sampling(bundle) == settings.sampling != {}
    assert [line.split()[0] for line in said[:10]] == [stage.name for stage in stages(settings)]
    assert all("about" in line for line in said[:10])
    assert "(10 of 10); left in all: about" in said[-1]

    before = {file.name: file.read_bytes() for file in bundle.iterdir()}
    said.clear()
    run(settings, said.append)  # nothing is left to do
    assert [line.split()[-1] for line in said[:10]] == ["done"] * 10
    assert {file.name: file.read_bytes() for file in bundle.iterdir()} == before


def test_one_run_at_a_time(tmp_path) -> None:
    settings = read(AllSettings, find("all", "storybook"), words(tmp_path / "run"))
    with lock(tmp_path / "run", ""), pytest.raises(ValueError, match="found another run.*wait for"):
        run(settings, lambda line: None)


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(tmp_path) -> None:
    main = "from mas_fast.cli import main; main()"
    command = [sys.executable, "-c", main, "train", "all", "storybook"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for seconds in (6, 9, 12):
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(
                [*command, *words(tmp_path / "run"), "--gpt.steps=100000"],
                env=environment, timeout=seconds, capture_output=True, check=True,
            )  # fmt: skip
    steps = ["--gpt.steps=2"]
    for name in ("run", "whole"):
        if name == "run":  # its GPT was another one
            subprocess.run(["rm", "-rf", tmp_path / "run" / "gpt"], check=True)
        subprocess.run([*command, *words(tmp_path / name), *steps], env=environment, check=True)
    one, two = (tmp_path / name / "bundle" for name in ("run", "whole"))
    for file in one.iterdir():
        assert file.read_bytes() == (two / file.name).read_bytes(), file.name
