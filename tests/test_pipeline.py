"""Everything from nothing to a bundle, in one command that goes on where it was stopped."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("skia")

from mas_fast.bundle import read_config, read_sampling, read_words  # noqa: E402
from mas_fast.training.pipeline import AllSettings, run, stages  # noqa: E402
from mas_fast.training.settings import find, read  # noqa: E402

# A network of nothing, on pictures that are almost none.
SMALL = {
    "scenes": 120,
    "validation": 6,
    "size": 32,
    "vocab_size": 320,
    "workers": 1,
    **{f"{seg}.{k}": v for seg in ("vq_seg", "vq_seg_decoder")
       for k, v in {"model.preset": "tiny-seg", "model.codes": 16}.items()},
    **{f"vq_img.{k}": v for k, v in {"model.preset": "tiny-img", "model.codes": 16}.items()},
    **{f"{vq}.model.{name}": value for vq in ("vq_seg", "vq_seg_decoder", "vq_img")
       for name, value in {
        "resolution": 32, "ch": 32, "ch_mult": [1, 1, 1], "z_channels": 32, "embed_dim": 8
    }.items()},
    "vq_img.model.patch": 1,
    **{f"{gpt}.model.{name}": value for gpt in ("gpt", "gpt_pictures") for name, value in
       {"dim": 32, "layers": 1, "heads": 2, "mlp": 32}.items()},
    **{f"{stage}.{name}": value 
       for stage in ("vq_seg", "vq_seg_decoder", "vq_img", "gpt", "gpt_pictures")
       for name, value in {"steps": 2, "batch": 2, "measure": 4, "precision": "fp32"}.items()},
}  # fmt: skip


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
    assert [line.split()[0] for line in said[:8]] == [stage.name for stage in stages(settings)]
    assert all("about" in line for line in said[:8])
    assert "(8 of 8); left in all: about" in said[-1]

    before = {file.name: file.read_bytes() for file in bundle.iterdir()}
    said.clear()
    run(settings, said.append)  # nothing is left to do
    assert [line.split()[-1] for line in said[:8]] == ["done"] * 8
    assert {file.name: file.read_bytes() for file in bundle.iterdir()} == before


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


def test_settings_that_are_unfit(tmp_path) -> None:
    with pytest.raises(ValueError, match="gpt: found no `config`"):
        AllSettings(
            folder=tmp_path,
            scenes=1,
            vq_seg={"config": "a"},
            vq_seg_decoder={"config": "a"},
            vq_img={"config": "a"},
            gpt={},
            gpt_pictures={"config": "a"},
        )
    with pytest.raises(ValueError, match="nowhere: found no such file"):
        stages(
            read(AllSettings, find("all", "storybook"), [*words(tmp_path), "--gpt.config=nowhere"])
        )
    with pytest.raises(ValueError, match="scenes: found 0"):
        read(AllSettings, find("all", "storybook"), ["--scenes=0"])


def test_the_storybooks_own_settings() -> None:
    settings = read(AllSettings, find("all", "storybook"))
    (seg, decoder), img, (gpt, pictures) = settings.segs(), settings.img(), settings.gpts()
    assert seg.config().codes == 512 and img.config().codes == 2048
    assert decoder.output == img.output == pictures.output == gpt.bundle == settings.bundle
    assert decoder.config() == seg.config() and decoder.decoder_of == seg.output
    assert pictures.start == gpt.output != settings.bundle
    assert gpt.caption_drop > 0 and pictures.caption_drop > 0 and pictures.unseen > 0
    assert {part.stored for part in (seg, decoder, img, gpt, pictures)} == {"bf16"}
    assert json.dumps(settings.sampling)
