"""`mas-fast train gpt`: on made-up tokens, and on those of real photos with captions and scenes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="token shards need pyarrow")
torch = pytest.importorskip("torch")

from mas_fast.bundle import load_gpt, load_vq, save_bpe, save_vq  # noqa: E402
from mas_fast.data.prepare import Rules, prepare  # noqa: E402
from mas_fast.data.shards import TOKENS, ShardFolder  # noqa: E402
from mas_fast.data.token_shards import TokenShards, token_batch, write_tokens  # noqa: E402
from mas_fast.data.tokenize import tokenize  # noqa: E402
from mas_fast.generation import generate_tokens  # noqa: E402
from mas_fast.models.gpt import GPT, preset  # noqa: E402
from mas_fast.models.vqvae import VQVAE  # noqa: E402
from mas_fast.models.vqvae import preset as vq_preset  # noqa: E402
from mas_fast.streams import Stream, Streams  # noqa: E402
from mas_fast.text.bpe import BPE  # noqa: E402
from mas_fast.training.dataset import Sequences  # noqa: E402
from mas_fast.training.gpt import make_trainer, measure, train  # noqa: E402
from mas_fast.training.gpt_loss import GPTLoss, targets  # noqa: E402
from mas_fast.training.gpt_settings import GPTSettings  # noqa: E402
from mas_fast.training.optim import optimizer  # noqa: E402
from mas_fast.training.settings import build, find, plain, read  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
STREAMS = Streams([Stream("text", 6, 280, pad=0), Stream("seg", 4, 32, (2, 2))])
STREAMS = Streams([*STREAMS, Stream("img", 16, 64, (4, 4))])
WORDS = "a red house beside the lake two dogs on a long road at dusk".split()
TINY = {"model": {"preset": "tiny"}, "steps": 6, "batch": 4, "lr": 1e-3, "log_every": 1}
TINY |= {"sheet_every": 4, "measure": 8, "peak_tflops": 0.01}


def write_shards(path: Path, streams: Streams, rows: dict) -> Path:
    kind = {"format": "arrow", "streams": streams.to_list()}
    folder = ShardFolder(path, TOKENS, "arrow", kind, 1)
    folder.begin()
    folder.commit(0, lambda file: write_tokens(file, token_batch(streams, **rows)))
    folder.finish()
    return path


@pytest.fixture(scope="module")
def bpe(tmp_path_factory) -> BPE:
    file = tmp_path_factory.mktemp("captions") / "captions.txt"
    file.write_text("a red house beside the lake\ntwo dogs on a long road at dusk\n" * 4)
    return BPE.train([file], vocab_size=280, length=6, progress=False)


@pytest.fixture(scope="module")
def shards(tmp_path_factory, bpe) -> Path:
    """22 samples with one or two captions of one to six words."""
    random = np.random.default_rng(0)
    captions = [
        [" ".join(random.choice(WORDS, random.integers(1, 5))) for _ in range(1 + i % 2)]
        for i in range(22)
    ]
    ids = {
        n: random.integers(STREAMS[n].vocab, size=(22, STREAMS[n].length)) for n in ("seg", "img")
    }
    rows = {"keys": [f"sample-{i}" for i in range(22)], "captions": captions}
    rows |= {"text": [bpe.encode(texts).ids for texts in captions], **ids}
    return write_shards(tmp_path_factory.mktemp("tokens") / "tokens", STREAMS, rows)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, bpe) -> Path:
    """The tokenizers of `shards`, at random."""
    folder = tmp_path_factory.mktemp("bundle")
    save_bpe(folder, bpe)
    for name, resolution in (("seg", 8), ("img", 16)):
        config = replace(vq_preset(f"tiny-{name}"), resolution=resolution)
        save_vq(folder, f"vq_{name}", VQVAE.create(config))
    return folder


def settings(data, folder, **changes) -> GPTSettings:
    torch.set_num_threads(1)
    return build(GPTSettings, TINY | changes | {"data": str(data), "folder": str(folder)}, "test")


def scalars(folder, name: str = "gpt/loss") -> dict[int, float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(name)}


def command(*arguments, processes: int = 0) -> list[str]:
    launch = [sys.executable]
    if processes:
        launch += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        launch += [str(processes)]
    script = Path(sys.executable).with_name("mas-fast")
    return [*launch, str(script), "train", "gpt", *map(str, arguments)]


def run(*arguments, processes: int = 0) -> subprocess.CompletedProcess:
    words = command(*arguments, processes=processes)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    return done


def config(tmp_path, **changes) -> Path:
    import yaml

    file = tmp_path / "gpt.yaml"
    file.write_text(yaml.safe_dump(TINY | changes))
    return file


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
    assert model.config.streams["img"].loss_weight == 7 and model.config.streams["img"].vocab == 64
    assert load_vq(s.folder / "bundle", "vq_seg").config.codes == 32
    assert measure(model, Sequences(TokenShards(shards), 0), s)["measured/img"] == pytest.approx(
        found["img"][6], rel=1e-6
    )


def test_the_measured_loss_is_the_mean_over_targets(tmp_path, shards) -> None:
    s = settings(shards, tmp_path, measure=22, batch=5)
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


def test_the_sparse_config_has_dalles_masks() -> None:
    masks = read(GPTSettings, find("gpt", "mini-270m-sparse")).config().masks
    for number, mask in enumerate(masks[:-1], 1):  # as the paper counts them
        assert mask == ("column" if (number - 2) % 4 == 0 else "row")
    assert masks[-1] == "conv"


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
    assert losses[1] > 3 and losses[300] <= 0.5
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


# ------------------------------------------------------------------ what a run is made from


def other_tokens(path: Path) -> None:
    """As `shards` in everything but the ids."""
    old = TokenShards(path)
    rows = {"keys": [old.key(i) for i in range(22)], "text": [old[i].text for i in range(22)]}
    rows |= {n: np.stack([getattr(old[i], n) for i in range(22)])[::-1] for n in ("seg", "img")}
    rows["captions"] = [old.captions(i) for i in range(22)]
    del old
    shutil.rmtree(path)
    write_shards(path, STREAMS, rows)


def forget(folder: Path) -> None:
    """Make the checkpoint one of before digests."""
    for file in folder.glob("checkpoints/*/values.json"):
        values = json.loads(file.read_text())
        del values["made_from"]
        file.write_text(json.dumps(values))


def test_the_same_tokens_by_another_path_continue(tmp_path, shards, monkeypatch, capfd) -> None:
    run = tmp_path / "run"
    train(settings(shards, run, steps=2))
    shutil.copytree(shards, tmp_path / "moved")  # with other times of change
    os.utime(tmp_path / "moved" / "00000.arrow", (1, 1))
    monkeypatch.chdir(tmp_path)
    train(settings("moved", run, steps=3))
    train(settings("./moved/", run, steps=4, verify=True))
    forget(run)
    capfd.readouterr()
    train(settings(shards, run, steps=6))
    assert "data: the run in" in (said := capfd.readouterr().err)
    assert (
        f"began with moved, of which its checkpoint remembers nothing but the path; it goes on "
        f"with {shards}" in said
    )
    train(settings(shards, tmp_path / "whole"))
    assert list(scalars(run).values()) == list(scalars(tmp_path / "whole").values())


def test_other_tokens_under_the_same_path_are_refused(tmp_path, shards) -> None:
    data = tmp_path / "tokens"
    shutil.copytree(shards, data)
    train(settings(data, tmp_path / "run", steps=1))
    content = bytearray((data / "00000.arrow").read_bytes())
    other_tokens(data)
    words = r"data: .*tokens: found other contents .* run in .*run began with: bring those back, or"
    with pytest.raises(ValueError, match=words):
        train(settings(data, tmp_path / "run", steps=2))
    shutil.rmtree(data)
    shutil.copytree(shards, data)
    train(settings(data, tmp_path / "run", steps=2))
    content[-200] ^= 1  # behind the manifest's back
    (data / "00000.arrow").write_bytes(content)
    with pytest.raises(ValueError):
        train(settings(data, tmp_path / "run", steps=3, verify=True))


def test_another_start_or_tokenizer_is_refused(tmp_path, shards, bundle, bpe) -> None:
    first = train(settings(shards, tmp_path / "first", steps=1))
    other = train(settings(shards, tmp_path / "other", steps=1, seed=1))
    more = {"bpe_dropout": 0.1, "bundle": str(tmp_path / "bundle"), "sheet_every": 99}
    shutil.copytree(bundle, tmp_path / "bundle")
    train(settings(shards, tmp_path / "run", steps=1, start=str(first), **more))
    with pytest.raises(ValueError, match="start: .*other contents"):
        train(settings(shards, tmp_path / "run", steps=2, start=str(other), **more))
    shutil.copytree(first, tmp_path / "moved")
    train(settings(shards, tmp_path / "run", steps=2, start=str(tmp_path / "moved"), **more))
    file = tmp_path / "bundle" / "tokenizer.json"
    file.write_text(file.read_text() + "\n")
    with pytest.raises(ValueError, match="bundle: .*tokenizer.json: found 1 files of"):
        train(settings(shards, tmp_path / "run", steps=3, **more))
    with pytest.raises(ValueError, match="start: found .* began without one: leave it out"):
        train(settings(shards, tmp_path / "first", steps=2, start=str(other)))


# ------------------------------------------------------------------ killed, and several processes


def test_kill_and_continue(tmp_path, shards, bundle) -> None:
    """With everything random: captions, their dropout, and those that are dropped."""
    changes = {
        "optimizer": "muon",
        "picture_every": 3,
        "caption_drop": 0.5,
        "bpe_dropout": 0.3,
        "bundle": str(bundle),
        "sheet_every": 100,
    }
    file = config(tmp_path, **changes, steps=40, checkpoint_every=4, keep=100)
    arguments = [file, "--data", shards, "--folder"]
    folders = tmp_path / "whole", tmp_path / "killed"
    assert run(*arguments, folders[0]).stdout.strip() == str(folders[0] / "bundle")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command(*arguments, folders[1]), env=environment, stderr=subprocess.DEVNULL
    )
    while not list(folders[1].glob("checkpoints/step-000000*")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
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
    options |= {"optimizer": optimizer, "picture_every": 2 if optimizer == "muon" else 1}
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
        assert away < 4 * max(bound, 1e-5) and bound < 1e-3
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


def test_sequences_depend_on_seed_epoch_and_index_alone(shards, bpe) -> None:
    tokens = TokenShards(shards)
    one, two = (Sequences(tokens, 3, bpe, 0.5) for _ in range(2))
    places = [(epoch, index) for epoch in range(3) for index in range(22)]
    first = {place: one[place] for place in places}
    for place in reversed(places):
        key, ids, draw, _ = two[place]
        assert key == first[place][0] and (ids == first[place][1]).all() and draw == first[place][2]
    ids = one.collate([first[0, 5], first[1, 5]])["tokens"]
    assert ids.shape == (2, 26) and ids.dtype == torch.int64
    assert torch.equal(ids[0, 6:], torch.from_numpy(np.concatenate(tokens[5][1:]).astype(int)))
    plain = Sequences(tokens, 3)
    seen = {bytes(plain[epoch, 5][1][:6]) for epoch in range(20)}
    assert seen == {bytes(row.astype(np.int64)) for row in tokens[5].text}  # either caption
    assert any((plain[place][1] != first[place][1]).any() for place in places)
    texts = bpe.decode([ids[:6] for _, ids, *_ in first.values()])
    captions = {text for index in range(22) for text in tokens.captions(index)}
    assert all(any(caption.startswith(text) for caption in captions) for text in texts)


def test_hidden_tokens(tmp_path, shards) -> None:
    """Of the last stream in sight alone; they do not depend on what else is drawn."""
    tokens = TokenShards(shards)
    data, same = (Sequences(tokens, 3, unseen=0.6) for _ in range(2))
    places = [(epoch, index) for epoch in range(40) for index in range(22)]
    batch = data.collate([data[place] for place in places])
    again = same.collate([same[place] for place in reversed(places)])
    assert torch.equal(batch["unseen"], again["unseen"].flip(0))
    plain = Sequences(tokens, 3)
    bare = plain.collate([plain[place] for place in places])
    assert torch.equal(batch["tokens"], bare["tokens"]) and torch.equal(batch["draw"], bare["draw"])
    assert "unseen" not in bare
    assert not batch["unseen"][:, :6].any()  # captions
    shares = batch["unseen"][:, 6:].double().mean(1)
    assert float((shares == 1).double().mean()) == pytest.approx(0.32, abs=0.06)
    assert float((shares > 0).double().mean()) == pytest.approx(0.6, abs=0.06)
    assert float(shares.mean()) == pytest.approx(0.45, abs=0.05)

    s = settings(shards, tmp_path / "run", unseen=0.6, picture_every=2)
    model = GPT.create(s.config(STREAMS))
    loss = GPTLoss(model, s)
    loss.prepare([batch], 1)
    for step, names, seen in ((1, ["text", "seg", "img"], 10), (0, ["text", "seg"], 6)):
        found = loss(batch, step)[1]
        assert list(found) == names
        last = names[-1]
        stop = STREAMS.slice(last).stop
        tokens, unseen = (batch[name][:, :stop].clone() for name in ("tokens", "unseen"))
        unseen[:, :seen] = False
        assert float(found[last]) == pytest.approx(
            float(model.loss(tokens, unseen=unseen)[1][last])
        )
        assert float(found[last]) != float(model.loss(tokens)[1][last])
    train(s)
    assert list(scalars(s.folder, "gpt/img")) == [2, 4, 6]


def test_the_first_samples_alone(tmp_path, shards) -> None:
    tokens = TokenShards(shards)
    assert [len(Sequences(tokens, 3, samples=n)) for n in (5, 22, 99, None)] == [5, 22, 22, 22]
    short, whole = (
        train(settings(shards, tmp_path / str(n), batch=4, samples=n)) for n in (4, None)
    )
    weights = (load_gpt(bundle).state_dict()["norm.weight"] for bundle in (short, whole))
    assert not torch.equal(*weights)


def test_dropped_captions(tmp_path, shards) -> None:
    s = settings(shards, tmp_path, steps=100, caption_drop=0.25, caption_drop_last=10)
    model = GPT.create(s.config(STREAMS))
    data = Sequences(TokenShards(shards), 0)
    for step, expected in ((89, False), (90, True)):
        batch = data.collate([data[e, i] for e in range(40) for i in range(22)])
        before = batch["tokens"].clone()
        GPTLoss(model, s).prepare([batch], step)
        dropped = (batch["tokens"][:, :6] == 0).all(1)
        assert torch.equal(batch["tokens"][~dropped], before[~dropped])
        assert torch.equal(batch["tokens"][:, 6:], before[:, 6:])
        share = float(dropped.double().mean())
        assert share == pytest.approx(0.25, abs=0.06) if expected else share == 0


def test_a_pass_without_text(tmp_path, shards) -> None:
    """Its loss, and its share of the gradients, come from the other streams."""
    s = settings(shards, tmp_path, weights={"text": 1, "seg": 0, "img": 0})
    model = GPT.create(s.config(STREAMS))
    tokens = torch.randint(1, 30, (4, 26))
    tokens[:2, :6] = 0
    batches = [{"tokens": half, "draw": torch.ones(2)} for half in tokens.chunk(2)]
    loss = GPTLoss(model, s)
    loss.prepare(batches, 0)
    halves = [loss(batch, 0) for batch in batches]
    whole, by_stream = model.loss(tokens)
    torch.testing.assert_close((halves[0][0] + halves[1][0]) / 2, whole)
    for name, value in by_stream.items():
        torch.testing.assert_close((halves[0][1][name] + halves[1][1][name]) / 2, value)


def test_steps_without_pictures(tmp_path, shards) -> None:
    """They teach the rest what whole sequences do, and nothing leaps when pictures come."""
    s = settings(shards, tmp_path, picture_every=3)
    model = GPT.create(s.config(STREAMS))
    loss, (tokens,) = GPTLoss(model, s), torch.randint(1, 30, (1, 4, 26))
    gradients, values = [], []
    for step in (1, 2):
        batch = {"tokens": tokens.clone(), "draw": torch.ones(4)}
        loss.prepare([batch], step)
        value, by_stream = loss(batch, step)
        assert list(by_stream) == ["text", "seg", "img"][: step + 1]
        value.backward()
        gradients.append(model.head["seg"].weight.grad.clone())
        assert (model.head["img"].weight.grad is None) == (step == 1)
        model.zero_grad()
        values.append(float(value.detach()))
    torch.testing.assert_close(*gradients)
    assert values[0] == pytest.approx(values[1], rel=0.01)  # it guesses at first
    train(s)
    assert list(scalars(s.folder, "gpt/img")) == [3, 6]
    assert list(scalars(s.folder, "gpt/seg")) == [1, 2, 3, 4, 5, 6]
    speed, share = scalars(s.folder, "tokens/s")[6], scalars(s.folder, "mfu")[6]
    flops = [GPT(model.config).flops_per_sequence(length) for length in (10, 10, 26)]
    assert share / speed == pytest.approx(sum(flops) / (10 + 10 + 26) / 1e10, rel=1e-4)


def test_targets_are_counted(shards) -> None:
    tokens = torch.ones(2, 26, dtype=torch.int64)
    tokens[0, 3:6] = 0
    assert targets(STREAMS, tokens).tolist() == [2 + 5, 8, 32]


def test_only_matrices_decay(tmp_path, shards) -> None:
    model = GPT.create(preset("tiny"))
    found = optimizer(model, settings(shards, tmp_path, decay=0.5))
    names = {parameter: name for name, parameter in model.named_parameters()}
    decaying, rest = ({names[p] for p in group["params"]} for group in found.param_groups)
    assert decaying | rest == set(names.values()) and not decaying & rest
    assert all(name.endswith(".weight") and "norm" not in name for name in decaying)
    assert not any(name.startswith(("embed", "position")) for name in decaying)
    assert {"head.img.weight", "blocks.0.mlp.up.weight"} <= decaying
    assert [group["weight_decay"] for group in found.param_groups] == [0.5, 0]


def test_schedules(tmp_path, shards) -> None:
    s = settings(shards, tmp_path, steps=100, warmup=10, drop_at=40, lr_end=0.25)
    found = [s.rate(step) for step in (0, 4, 9, 39, 40, 99)]
    assert found == [0.1, 0.5, 1, 1, 0.25, 0.25]
    cosine = replace(s, drop_at=None)
    assert cosine.rate(55) == pytest.approx(0.625) and cosine.rate(99) < 0.26


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


@pytest.mark.parametrize(
    "name", ["tiny", "storybook-1", "mini-270m", "mini-270m-sparse", "make-a-scene-4b"]
)
def test_presets(name) -> None:
    s = read(GPTSettings, find("gpt", name), ["--data", "x"])
    assert s.batch % s.accumulate == 0 and s.folder.name == f"gpt-{name}"
    count = GPT(s.config()).parameters_count()
    known = {
        "mini-270m": 271_337_472,
        "mini-270m-sparse": 271_337_472,
        "storybook-1": 6_664_192,
        "make-a-scene-4b": 3_911_480_320,
    }
    assert count == known.get(name, count)
    streams = s.config().streams
    lengths = {"storybook-1": [32, 64, 256], "make-a-scene-4b": [256, 256, 1024]}
    if name in lengths:
        assert [stream.length for stream in streams] == lengths[name]
    text, seg, img = {"storybook-1": (0.3, 4, 5)}.get(name, (1, 1, 7))
    assert [stream.loss_weight for stream in streams] == [text, seg, img]
    one = read(GPTSettings, find("gpt", name), ["--weights.seg", "2"])  # the others stay
    assert [stream.loss_weight for stream in one.config().streams] == [text, 2, img]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"preset": "tiny", "depth": 3}}, r"unknown keys \['depth'\].*'layers'"),
        ({"model": {"dim": 32}}, "preset: found None, expected one of"),
        ({"model": {"preset": "tiny", "attention": "rows"}}, "attention: found 'rows', expected"),
        ({"weights": {"image": 7}}, r"weights: found \['image'\], expected some of"),
        ({"bpe_dropout": 0.1}, "bpe_dropout: found 0.1, expected a bundle"),
        ({"caption_drop": 1.5}, "caption_drop: found 1.5, expected a finite number in 0..1"),
        ({"batch": 3, "accumulate": 2}, "batch: found 3, expected a multiple of accumulate = 2"),
        ({"optimizer": "sgd"}, r"found 'sgd', expected one of \['adamw', 'muon'\]"),
        ({"picture_every": 0}, "picture_every: found 0, expected an integer >= 1"),
        ({"parallel": "tensor"}, r"found 'tensor', expected one of \['ddp', 'fsdp'\]"),
    ],
)
def test_bad_settings(tmp_path, shards, changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        train(settings(shards, tmp_path / "run", **changes))
    assert not (tmp_path / "run" / "checkpoints").exists()


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


def test_the_config_as_name_file_and_option(tmp_path) -> None:
    from typer.testing import CliRunner

    from mas_fast.cli import app

    assert find("vq-seg", "small") == ROOT / "configs" / "vq-seg-small.yaml"
    for words in (["tiny"], ["--config", "tiny"], [str(ROOT / "configs" / "gpt-tiny.yaml")]):
        for order in (words + ["--seed", "x"], ["--config=tiny", "--seed", "x"]):
            done = CliRunner().invoke(app, ["train", "gpt", *order])
            assert str(done.exception).startswith("--seed: found 'x', expected int")
    with pytest.raises(ValueError, match="huge: found no such file, expected .*'storybook'"):
        find("gpt", "huge")
    done = CliRunner().invoke(app, ["train", "gpt", "--seed", "3"])
    assert "train gpt: found no CONFIG, expected a YAML file, or the" in str(done.exception)
    assert "make-a-scene-4b, mini-270m" in str(done.exception)
    assert "weights" in plain(read(GPTSettings, find("gpt", "tiny")))
