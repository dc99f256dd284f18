"""`mas-fast train gpt`: on made-up tokens, and on those of real photos with captions and scenes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="token shards need pyarrow")
torch = pytest.importorskip("torch")

from gpt_runs import STREAMS, config, run, scalars, settings, write_shards  # noqa: E402
from killed import train_killed  # noqa: E402
from mas_fast.bundle import load_gpt, load_vq, save_bpe, save_vq  # noqa: E402
from mas_fast.data.prepare import Rules, prepare  # noqa: E402
from mas_fast.data.token_shards import TokenShards  # noqa: E402
from mas_fast.data.tokenize import tokenize  # noqa: E402
from mas_fast.generation import generate_tokens  # noqa: E402
from mas_fast.models.gpt import GPT  # noqa: E402
from mas_fast.models.vqvae import VQVAE  # noqa: E402
from mas_fast.models.vqvae import preset as vq_preset  # noqa: E402
from mas_fast.text.bpe import BPE  # noqa: E402
from mas_fast.training.dataset import Sequences  # noqa: E402
from mas_fast.training.gpt import make_trainer, measure, train  # noqa: E402
from mas_fast.training.gpt_settings import GPTSettings  # noqa: E402
from mas_fast.training.settings import find, read  # noqa: E402

# ------------------------------------------------------------------ a run


def test_a_run_leaves_curves_sheets_and_a_bundle(tmp_path, shards, bundle) -> None:
    s = settings(shards, tmp_path / "run", bundle=str(bundle), validation=str(shards))
    assert train(s) == tmp_path / "run" / "bundle"
    for name in ("gpt/loss", "gpt/text", "gpt/seg", "gpt/img", "tokens/s", "mfu", "skipped"):
        assert list(scalars(s.folder, name)) == [1, 2, 3, 4, 5, 6]
    found = {n: scalars(s.folder, f"measured/{n}") for n in ("loss", "text", "seg", "img")}
    assert all(list(values) == [4, 6] for values in found.values())
    mean = (found["text"][6] + found["seg"][6] + 7 * found["img"][6]) / 9
    assert found["loss"][6] == pytest.approx(mean, rel=1e-5)
    speed, share = scalars(s.folder, "tokens/s")[6], scalars(s.folder, "mfu")[6]
    flops = GPT(s.config(STREAMS)).flops_per_sequence() / STREAMS.length
    assert share == pytest.approx(speed * flops / 1e10, rel=1e-4)
    sheets = sorted(file.name for file in (s.folder / "sheets").iterdir())
    assert sheets == ["step-00000004.png", "step-00000006.png"]
    model = load_gpt(s.folder / "bundle")
    assert model.config.streams["img"].loss_weight == 7
    assert model.config.streams["img"].vocab == 64
    assert load_vq(s.folder / "bundle", "vq_seg").config.codes == 32
    assert measure(model, Sequences(TokenShards(shards), 0), s)["measured/img"] == pytest.approx(
        found["img"][6], rel=1e-6
    )


def test_the_measured_loss_is_the_mean_over_targets(tmp_path, shards) -> None:
    s = settings(shards, tmp_path, metric_samples=22, batch=5)
    model = GPT.create(s.config(STREAMS))
    data = Sequences(TokenShards(shards), 0)
    whole = data.collate([data[0, i] for i in range(22)])["tokens"]
    loss, by_stream = model.loss(whole)
    found = measure(model, data, s)
    for name, value in {"loss": loss.detach(), **by_stream}.items():
        assert found[f"measured/{name}"] == pytest.approx(float(value), rel=1e-5)


@pytest.mark.parametrize("changes", [{"accumulate": 2}, {"recompute": True}, {"workers": 1}])
def test_what_changes_no_loss(tmp_path, shards, changes) -> None:
    """Passes of different padding add up to the batch."""
    curves = []
    for name, more in (("one", {}), ("two", changes)):
        s = settings(shards, tmp_path / name, caption_drop=0.3, **more)
        train(s)
        curves.append([list(scalars(s.folder, n).values()) for n in ("gpt/loss", "gpt/text")])
    np.testing.assert_allclose(*curves, rtol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("attention", ["row", "[conv, column]"])
def test_masks_reach_the_bundle(tmp_path, shards, attention, precision) -> None:
    file = config(tmp_path, precision=precision)
    options = {"data": shards, "folder": tmp_path / "run", "model.attention": attention}
    words = [str(word) for key, value in options.items() for word in (f"--{key}", value)]
    model = load_gpt(train(read(GPTSettings, file, words)))
    expected = {"row": "row"}.get(attention, ("conv", "column"))
    assert model.config.attention == expected
    assert scalars(tmp_path / "run")[6] < scalars(tmp_path / "run")[1]
    assert generate_tokens(model, [[3, 5]]).min() >= 0


def test_bf16_is_close(tmp_path, shards) -> None:
    for precision in ("fp32", "bf16"):
        train(settings(shards, tmp_path / precision, precision=precision))
    one, two = (list(scalars(tmp_path / name).values()) for name in ("fp32", "bf16"))
    np.testing.assert_allclose(one, two, rtol=0.02)
    assert one != two


@pytest.mark.slow
def test_compiled_blocks(tmp_path, shards) -> None:
    for name, compiled in (("plain", False), ("compiled", True)):
        train(settings(shards, tmp_path / name, compile=compiled, recompute=compiled))
    one, two = (list(scalars(tmp_path / name).values()) for name in ("plain", "compiled"))
    np.testing.assert_allclose(one, two, rtol=1e-4)


# ------------------------------------------------------------------ real photos


def tokenize_coco(coco: Path, captions: Path, folder: Path, count: int) -> tuple[Path, Path]:
    """(token shards of `count` captioned photos with their scenes, the bundle that made them)."""
    scenes, bundle = folder / "scenes", folder / "bundle"
    prepare(coco, scenes, rules=Rules(32), progress=False)
    save_bpe(bundle, BPE.train([captions], vocab_size=512, length=16, progress=False))
    for name in ("seg", "img"):
        model = VQVAE.create(vq_preset(f"tiny-{name}"))
        with torch.no_grad():  # random codes lie far apart from random features: use more of them
            model.quantize.embedding.weight.mul_(0.05)
        save_vq(bundle, f"vq_{name}", model)
    tokenize(scenes, bundle, folder / "all", progress=False)
    tokens = TokenShards(folder / "all")
    numbers = [i for i in range(len(tokens)) if tokens.captions(i)][:count]
    assert len(numbers) == count
    rows = {"keys": [tokens.key(i) for i in numbers], "text": [tokens[i].text for i in numbers]}
    rows |= {n: np.stack([getattr(tokens[i], n) for i in numbers]) for n in ("seg", "img")}
    rows["captions"] = [tokens.captions(i) for i in numbers]
    return write_shards(folder / "tokens", tokens.streams, rows), bundle


@pytest.mark.slow
def test_tiny_learns_real_photos_by_heart(tmp_path, coco, coco_captions) -> None:
    """The preset as it is, on 15 photos: then greedy decoding knows them from their captions, and
    both engines draw the same."""
    torch.set_num_threads(1)
    data, bundle = tokenize_coco(coco, coco_captions, tmp_path, 15)
    words = ["--data", data, "--bundle", bundle, "--folder", tmp_path / "run", "--log_every", 1]
    words += ["--batch", 15]
    out = train(read(GPTSettings, find("gpt", "tiny"), [*map(str, words)]))
    losses = scalars(tmp_path / "run", "gpt/img")
    assert losses[1] > 3
    assert losses[300] <= 0.5
    assert scalars(tmp_path / "run", "measured/img")[300] <= 0.5
    assert len(list((tmp_path / "run" / "sheets").iterdir())) == 6

    tokens = TokenShards(data)
    img = np.stack([tokens[i].img for i in range(15)])
    assert (img[:, None] == img[None]).mean(-1)[~np.eye(15, dtype=bool)].mean() < 0.2
    text = np.stack([tokens[i].text[0] for i in range(15)]).astype(int)
    model = load_gpt(out)
    drawn = generate_tokens(model, text, temperature=0.0)
    found = drawn[:, model.streams.slice("img")]
    assert (found == torch.from_numpy(img.astype(int))).float().mean() >= 0.95
    for options in ({"temperature": 0.0}, {"seed": 3, "top_k": 20, "guidance": 2.0}):
        eager = generate_tokens(model, text, **options)
        cpp = generate_tokens(out, text, engine="cpp", dtype="fp32", kv_dtype="fp32", **options)
        assert torch.equal(eager, cpp)


# ------------------------------------------------------------------ killed, and several processes


def test_kill_and_continue(tmp_path, shards, bundle) -> None:
    """With everything random: captions, their dropout, and those that are dropped."""
    changes = {
        "optimizer": "muon",
        "image_every": 3,
        "caption_drop": 0.5,
        "bpe_dropout": 0.3,
        "bundle": str(bundle),
        "sheet_every": 100,
    }
    file = config(tmp_path, **changes, steps=40, checkpoint_every=4, keep_checkpoints=100)
    arguments = [file, "--data", shards, "--folder"]
    folders = tmp_path / "whole", tmp_path / "killed"
    assert run(*arguments, folders[0]).stdout.strip() == str(folders[0] / "bundle")
    train_killed("gpt", *arguments, folders[1])
    assert [file.name for file in (folders[1] / "checkpoints").iterdir()] == ["step-00000004"]
    assert not (folders[1] / "bundle").exists()
    run(*arguments, folders[1])
    for name in ("gpt/loss", "gpt/text", "measured/img"):
        assert scalars(folders[0], name) == scalars(folders[1], name)
    files = [folder / "bundle" / "gpt.safetensors" for folder in folders]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes(tmp_path, shards, kind, optimizer) -> None:
    """Their curve is that of one process, and, continued, that of two which ran through. Another
    number of processes can go on from their checkpoint."""
    options = {"steps": 12, "accumulate": 2, "caption_drop": 0.3, "checkpoint_every": 6}
    options |= {"optimizer": optimizer, "image_every": 2 if optimizer == "muon" else 1}
    file = config(tmp_path, **options)
    arguments = [file, "--data", shards, "--parallel", kind, "--folder"]
    one, two, single = (tmp_path / name for name in ("one", "two", "single"))
    run(*arguments, one)
    run(*arguments, two, processes=2)
    curves = ("gpt/loss", "gpt/text", "gpt/seg", "gpt/img", "measured/loss")
    away = distance(one, two, curves)
    if optimizer == "adamw":
        assert away < 1e-5
    else:  # rounding decides what Muon does without a gradient: no further than other sums lead
        run(*arguments, single, "--accumulate", 4)
        bound = distance(one, single, curves)
        assert away < 4 * max(bound, 1e-5)
        assert bound < 1e-3
    models = [load_gpt(folder / "bundle").state_dict() for folder in (one, two)]
    for name, weight in models[0].items():
        if optimizer == "adamw":
            torch.testing.assert_close(weight, models[1][name], rtol=1e-4, atol=1e-5)
        else:  # Muon makes directions without a gradient, which rounding decides, as long as others
            assert (weight - models[1][name]).norm() <= 0.01 * weight.norm(), name

    (two / "checkpoints" / "step-00000012").rename(tmp_path / "last")
    before = scalars(two)
    bundle = (two / "bundle" / "gpt.safetensors").read_bytes()
    run(*arguments, two, processes=2)
    assert scalars(two) == before
    assert (two / "bundle" / "gpt.safetensors").read_bytes() == bundle
    for scrap in (two / "checkpoints" / "step-00000012").iterdir():
        scrap.unlink()
    (two / "checkpoints" / "step-00000012").rmdir()
    run(*arguments, two)
    np.testing.assert_allclose(list(scalars(two).values()), list(before.values()), rtol=1e-5)


def distance(one: Path, two: Path, curves: Sequence[str]) -> float:
    """The largest relative difference of the two runs' curves."""
    both = [[list(scalars(folder, name).values()) for name in curves] for folder in (one, two)]
    assert [len(values) for values in both[0]] == [len(values) for values in both[1]]
    a, b = (np.concatenate(curves) for curves in both)
    return float(np.abs(b / a - 1).max())


# ------------------------------------------------------------------ the parts


def test_a_poisoned_step_is_left_out(tmp_path, shards) -> None:
    s = settings(shards, tmp_path / "run", steps=8, checkpoint_every=100)
    data = Sequences(TokenShards(shards), 0)
    trainer = make_trainer(s.config(STREAMS), data, s)
    loss, seen = trainer.losses["gpt"], []

    class Poison(torch.nn.Module):
        def forward(self, batch, step):
            value, terms = loss(batch, step)
            seen.append(batch["keys"])
            return value * (float("nan") if step in (2, 5) else 1), terms

    trainer.losses["gpt"] = Poison()
    trainer.run()
    assert trainer.skipped == 2
    lines = (s.folder / "skipped.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == ["2", "5"]
    assert all(key in lines[0] for key in seen[2])
    assert all(p.isfinite().all() for p in trainer.parts[0].model.parameters())


# ------------------------------------------------------------------ settings


def test_data_that_does_not_fit(tmp_path, shards, bundle, bpe) -> None:
    with pytest.raises(ValueError, match=r"data: found nothing, expected a folder of token shards"):
        train(replace(settings(shards, tmp_path), data=None))
    rows = {"keys": [], "captions": [], "text": []}
    rows |= {name: np.empty((0, STREAMS[name].length)) for name in ("seg", "img")}
    empty = write_shards(tmp_path / "empty", STREAMS, rows)
    with pytest.raises(ValueError, match="empty: found no samples, expected at least one"):
        train(settings(shards, tmp_path / "run", validation=str(empty)))
    longer = BPE.load(bundle, length=9)
    with pytest.raises(
        ValueError, match="tokenizer: found 9 tokens of 280, padding 0; .* has 6 of"
    ):
        Sequences(TokenShards(shards), 0, longer, 0.1)
    save_bpe(tmp_path, bpe)
    for name in ("seg", "img"):
        config = replace(vq_preset(f"tiny-{name}"), codes=16)
        save_vq(tmp_path, f"vq_{name}", VQVAE.create(config))
    with pytest.raises(ValueError, match="vq_seg: found 16 codes, expected 32"):
        train(settings(shards, tmp_path / "run", bundle=str(tmp_path)))


def test_the_bundle_to_start_from_is_not_replaced(shards, tmp_path) -> None:
    for options in (
        {"start": str(tmp_path / "b"), "output": str(tmp_path / "." / "b")},
        {"start": str(tmp_path / "run" / "bundle")},
    ):
        with pytest.raises(ValueError, match="output: found the bundle .*, which `start` reads"):
            train(settings(shards, tmp_path / "run", **options))
