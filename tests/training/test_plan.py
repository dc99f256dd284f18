"""training/plan.py: what is promised, against what PyTorch counts."""

import functools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mas_fast import ops
from mas_fast.cli import app
from mas_fast.models.gpt import GPT, preset
from mas_fast.training.gpt_settings import GPTSettings
from mas_fast.training.optim import optimizer
from mas_fast.training.parallel import parallelize
from mas_fast.training.plan import Machine, memory, parameters, plan
from mas_fast.training.settings import find, read

SETTINGS = GPTSettings(folder=Path("x"), steps=10, batch=4, model={"preset": "storybook"})


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("recompute", [False, True])
def test_activations_are_those_that_torch_saves(precision, recompute, monkeypatch) -> None:
    """On a GPU, where attention keeps no weights."""
    fused = functools.partial(ops.attention, impl="sdpa")
    monkeypatch.setattr(ops, "attention", fused)
    config = replace(preset("storybook"), dim=256, heads=4, mlp=1024, layers=6)
    model = GPT.create(config)
    parallelize(model, model.blocks, device=torch.device("cpu"), recomputed=recompute)
    ids = [torch.randint(s.vocab, (2, s.length)) for s in config.streams]
    tokens, saved = torch.cat(ids, 1), {}

    def keep(tensor):
        if not isinstance(tensor, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    half = precision == "bf16"
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=half),
    ):
        x = model._embed(tokens[:, :-1], 0)
        for block in model.blocks:
            x = block(x)
    found = sum(size for size, _ in saved.values())
    weights = sum(p.numel() for block in model.blocks for p in block.parameters() if p.ndim == 2)
    if not recompute:
        found -= (2 if half else 4) * weights  # transposed, or in bf16: counted by themselves
    settings = replace(SETTINGS, batch=2, precision=precision, recompute=recompute)
    promised = memory(config, settings, 1)["activations of 2 samples"]
    if recompute:  # besides the inputs, one block at a time, while it is recomputed
        promised -= memory(replace(config, layers=1), replace(settings, recompute=False), 1)[
            "activations of 2 samples"
        ]
    assert found == pytest.approx(promised, rel=0.05)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_state_is_that_of_the_trainer(kind) -> None:
    model = GPT.create(preset("tiny"))
    settings = replace(SETTINGS, model={"preset": "tiny"}, optimizer=kind)
    updates = optimizer(model, settings)
    model.loss(torch.randint(30, (2, 40)))[0].backward()
    updates.step()
    size = sum(p.nbytes + p.grad.nbytes + p.nbytes for p in model.parameters())  # and the average
    state = [v for values in updates.state.values() for v in values.values() if v.ndim]
    size += sum(value.nbytes for value in state)
    assert memory(model.config, settings, 1)["weights, gradients, moments, EMA"] == size


def test_fsdp_shares_the_state() -> None:
    s = read(GPTSettings, find("gpt", "make-a-scene-4b"))
    config = s.config()
    alone, shared = (memory(config, s, count) for count in (1, 8))
    name = "weights, gradients, moments, EMA"
    assert shared[name] == alone[name] / 8 == 20 * 3_911_480_320 / 8
    assert memory(config, replace(s, parallel="ddp"), 8)[name] == alone[name]
    assert sum(shared.values()) < 0.9 * 80e9 < sum(alone.values())
    # Several passes add up whole gradients, in fp32, before they are shared out.
    one = memory(config, replace(s, accumulate=1, batch=64), 8)
    assert shared["whole gradients"] == 4 * 3_911_480_320
    assert one["whole gradients"] == 4 * 78_676_480
    assert parameters(config).rows[-1] == ["all", "3,911,480,320"]


def test_the_steps_add_up() -> None:
    s = read(GPTSettings, find("gpt", "mini-270m"))
    rows = {
        row[0].split()[0:2][-1]: row for row in plan(s, Machine.parse("8xH200"), 14_000_000)[2].rows
    }
    assert rows["tokenize"][1] == f"{14e6 * (1152 + 80) / 1e9:.1f} GB"
    flops = s.steps * s.batch * GPT(s.config()).flops_per_sequence()
    assert float(rows["gpt"][2]) == pytest.approx(flops / (0.45 * 8 * 989e12) / 3600, abs=0.06)
    early = replace(s, image_every=2)
    seen = (flops + s.steps * s.batch * GPT(s.config()).flops_per_sequence(64 + 256)) / 2
    hours = float(plan(early, Machine.parse("8xH200"), 14_000_000)[2].rows[-1][2])
    assert hours == pytest.approx(seen / (0.45 * 8 * 989e12) / 3600, abs=0.06)
    few = replace(s, steps=15_000, samples=2_000_000)
    assert "(7.7 epochs;" in plan(few, Machine.parse("8xH200"), 14_000_000)[2].rows[-1][0]
    half = plan(s, Machine.parse("4xH200"), 14_000_000)[2].rows[-1][2]
    assert float(half) == pytest.approx(2 * float(rows["gpt"][2]), abs=0.2)
    single = plan(replace(s, precision="fp32"), Machine.parse("8xH200"), 14_000_000)[2].rows[-1][2]
    assert float(single) == pytest.approx(flops / (0.45 * 8 * 67e12) / 3600, abs=0.06)
    with pytest.raises(ValueError, match="pairs: found 0, expected an integer >= 1"):
        plan(s, Machine.parse("8xH200"), 0)
    with pytest.raises(ValueError, match="batch: found 1024, expected a multiple of accum"):
        plan(s, Machine.parse("3xH200"), 1)


@pytest.mark.parametrize("text", ["8", "H200", "0xH200", "8xTPU", "8 x H200"])
def test_unknown_machines(text) -> None:
    with pytest.raises(ValueError, match=rf"machine: found '{text}', expected COUNTxGPU.*'A100'"):
        Machine.parse(text)


def test_the_command_prints_it_and_does_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "gpt", "make-a-scene-4b", "--plan", "--machine", "8xA100"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    for expected in (
        "48 units of 78,676,480 parameters, and one of 135,009,280, each in 8 parts",
        "14,000,000 pairs on 8 x A100 (80 GB each), at 45% of the peak",
        "data prepare",
        "3,911,480,320",
        "fits",
    ):
        assert expected in text
    assert not list(tmp_path.iterdir())
