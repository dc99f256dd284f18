"""how_long.py: seconds of a step, from a few that are timed."""

import pytest
import torch

pytest.importorskip("skia")

from mas_fast.training import how_long, vq  # noqa: E402
from mas_fast.training.all_settings import AllSettings  # noqa: E402
from mas_fast.training.settings import find, read  # noqa: E402

torch.set_num_threads(1)
SMALL = {"preset": "tiny-img", "resolution": 32, "patch": 1, "ch": 32, "ch_mult": [1, 1, 1]}
SMALL |= {"z_channels": 32, "embed_dim": 8, "codes": 16}


def settings(*changes: str) -> AllSettings:
    words = [f"--vq_img_decoder.model.{name}={value}" for name, value in SMALL.items()]
    words += ["--vq_img_decoder.batch=2", "--vq_img_decoder.precision=fp32"]
    return read(AllSettings, find("all", "storybook"), [*words, "--folder=f", *changes])


@pytest.fixture
def clock(monkeypatch):
    """A call takes a second and a half for each network that learns in it."""
    seen = []

    def step(parts, batch, precision, number):
        seen.append((len(parts), number))
        for part in parts:
            if part.prepare:
                part.prepare([batch], number)
        for part in parts:
            part.loss(batch, number)[0].backward()
        return 1.5 * len(parts)

    monkeypatch.setattr(how_long, "_step", step)
    return seen


def test_the_discriminators_share_of_the_steps(clock) -> None:
    """It learns from a quarter of them on; the segmenter is not there yet."""
    changes = ["--vq_img_decoder.steps=8", "--vq_img_decoder.gan_start=2"]
    part = settings(*changes).imgs()[1]
    assert part.perceptual is not None
    assert not part.perceptual.exists()
    assert how_long.tokenizer(part) == pytest.approx(0.25 * 1.5 + 0.75 * 3.0)
    assert clock == [(1, 0), (2, 2)]
    never = settings("--vq_img_decoder.steps=2", "--vq_img_decoder.gan_start=9").imgs()[1]
    assert how_long.tokenizer(never) == 1.5
    without = settings("--vq_img_decoder.gan_start=null", "--segmenter=null").imgs()[1]
    assert how_long.tokenizer(without) == 1.5


def test_the_discriminator_is_as_wide_as_it_is_asked_to_be() -> None:
    part = settings("--vq_img_decoder.gan_width=8", "--segmenter=null").imgs()[1]
    _, critic = vq.parts(vq.VQVAE.create(part.config()), part)
    assert critic.model.main[0].weight.shape[0] == 8


def test_what_encodes_a_story() -> None:
    part = settings().imgs()[1]
    assert how_long.encoding([(part, lambda: 6.0), (part, lambda: 12.0)]) == pytest.approx(1.5)


def test_a_mean_leaves_the_first_call_out(monkeypatch) -> None:
    times, calls = iter([10.0, 14.0]), []
    monkeypatch.setattr(how_long.time, "perf_counter", lambda: next(times))
    assert how_long.mean(calls.append, 4) == 1.0
    assert calls == [0, 1, 2, 3, 4]
