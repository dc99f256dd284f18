"""storybook.py: a perfect model reaches every goal, one at random none; and `mas-fast eval`."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mas_fast import cli
from mas_fast.bundle import load_vq, save_bpe, save_gpt, save_vq
from mas_fast.data.storybook.source import StorySource
from mas_fast.data.storybook.world import WORLDS
from mas_fast.data.storybook.world1.captions import captions
from mas_fast.data.storybook.world1.story import story
from mas_fast.evaluation import storybook
from mas_fast.evaluation.faithfulness import METRICS, class_map, faithfulness, rates
from mas_fast.evaluation.metrics import psnr, ssim
from mas_fast.evaluation.quality import GOALS, Goal, Row
from mas_fast.evaluation.segmenter import ENTRY, FILE, Recipe, _entry
from mas_fast.evaluation.storybook import _others, evaluate_storybook
from mas_fast.models.gpt import GPT, preset
from mas_fast.models.segmenter import Segmenter
from mas_fast.models.vqvae import VQVAE
from mas_fast.models.vqvae import preset as vq_preset
from mas_fast.pipelines.output import Generation
from mas_fast.pipelines.torch_pipeline import Model, load
from mas_fast.scene import VOID, Scene, square
from mas_fast.streams import Stream, Streams
from mas_fast.text.bpe import BPE

torch.set_num_threads(1)
COUNT = 12
ROWS = (*METRICS, "VQ-SEG mIoU", "VQ-IMG PSNR", "VQ-IMG SSIM", "scene given, mIoU")
ROWS += ("segmenter on true pictures, mIoU", "sharpness", "Frechet distance")
ROWS += ("variety over seeds", "given in part, kept", "given in part, joint")
ROWS += ("edited, outside kept", "edited, colours")


@pytest.fixture(autouse=True)
def few(monkeypatch) -> None:
    """As few pictures as show that they are compared."""
    monkeypatch.setattr(storybook, "TRUE_PICTURES", 20)
    monkeypatch.setattr(storybook, "VARIED", 3)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A model at random: 24 + 64 + 64 tokens, scenes and pictures of 32 pixels."""
    folder = tmp_path_factory.mktemp("bundles") / "random"
    texts = [caption for n in range(40) for caption in captions(story("train", n))]
    file = folder.with_name("captions.txt")
    file.write_text("\n".join(texts))
    bpe = BPE.train([file], vocab_size=300, length=24, progress=False)
    save_bpe(folder, bpe)
    streams = [Stream("text", 24, 300, pad=bpe.pad_id), Stream("seg", 64, 32, (8, 8))]
    streams = Streams([*streams, Stream("img", 64, 64, (8, 8))])
    save_gpt(folder, GPT.create(replace(preset("tiny"), streams=streams)))
    generator = torch.Generator().manual_seed(1)
    for name in ("seg", "img"):
        tokenizer = VQVAE.create(replace(vq_preset(f"tiny-{name}"), resolution=32))
        with torch.no_grad():
            tokenizer.quantize.table.normal_(0, 1, generator=generator)
        save_vq(folder, f"vq_{name}", tokenizer)
    return folder


@pytest.fixture(scope="module")
def model(bundle) -> Model:
    return load(bundle, engine="eager", device="cpu")


@pytest.fixture(scope="module")
def truth(model) -> list[tuple[str, Scene, np.ndarray]]:
    source = StorySource(COUNT, 32, "test", world=1)
    samples = [source[n] for n in range(COUNT)]
    return [(s.captions[0], square(s.scene, model.size), s.pixels) for s in samples]


class Painter:
    """The true scenes and pictures of the captions, whatever the tokenizers do."""

    def __init__(self, model: Model, truth) -> None:
        self.seg, self.img, self.path, self.size = model.seg, model.img, model.path, model.size
        self.streams = model.streams
        self.truth = {
            caption: (n, scene, pixels) for n, (caption, scene, pixels) in enumerate(truth)
        }
        self.given = []

    def generate(self, asked, *, scene=None, seed, progress=False, num_images=1) -> Generation:
        self.given.append(scene)
        asked = [caption for caption in asked for _ in range(num_images)]
        _, scenes, pictures = zip(*(self.truth[caption] for caption in asked), strict=True)
        images = [Image.fromarray(pixels) for pixels in pictures]
        tokens = np.zeros((len(asked), self.streams.length), int)
        return Generation(images, list(scenes), list(asked), tokens, seed, num_images)

    def edit(self, out, *, index, region, caption, what, seed) -> Generation:
        """The same story, painted in the new colour."""
        assert what == "picture"
        number, scene, _ = self.truth[out.captions[index]]
        told = WORLDS[1].story("test", number, 0)
        color = WORLDS[1].read_caption(caption).groups[0].color
        assert color not in (None, told.groups[0].color)
        new = replace(told, groups=(replace(told.groups[0], color=color), *told.groups[1:]))
        image = Image.fromarray(WORLDS[1].paint(new, 32)[0])
        return Generation([image], [scene], [caption], out.tokens[index : index + 1], seed)


class Eye:
    """Knows the true pictures; of all else it sees nothing. Its features are colours' means."""

    def __init__(self, truth) -> None:
        self.known = {pixels.tobytes(): class_map(scene) for _, scene, pixels in truth}

    def segment(self, pictures):
        unknown = np.full((32, 32), 70, np.uint8)  # a toaster
        return [self.known.get(pixels.tobytes(), unknown) for pixels in pictures]

    def means(self, pictures):
        return torch.tensor(np.stack([pixels.mean((0, 1)) for pixels in pictures])).float()


def test_a_perfect_model_reaches_what_is_its_own(model, truth) -> None:
    painter = Painter(model, truth)
    found = evaluate_storybook(painter, Eye(truth), 1, count=COUNT, seed=3)
    rows = {row.name: row for row in found.rows}
    assert tuple(rows) == ROWS
    assert set(GOALS[1]) < set(rows)
    assert set(GOALS[2]) < set(rows)
    expected = rates(faithfulness(*one, WORLDS[1]) for one in truth)
    assert {name: rows[name].value for name in METRICS} == pytest.approx(expected, nan_ok=True)
    for name in ("recall", "precision", "counts", "left, right", "colours"):
        assert rows[name].value > 0.85, name
        assert rows[name].reached(found.goal(rows[name])), name
        assert rows[name].floor < 0.4, name
        assert rows[name].ceiling < rows[name].value, name
    assert rows["scene given, mIoU"].value == rows["segmenter on true pictures, mIoU"].value == 1
    assert rows["scene given, mIoU"].floor < 0.5
    assert rows["scene given, mIoU"].ceiling == 0
    assert rows["VQ-SEG mIoU"].reached(found.goal(rows["VQ-SEG mIoU"])) is False
    assert found.goal(rows["recall, seen"]) is None
    assert rows["sharpness"].value == 1
    assert rows["sharpness"].ceiling != 1
    assert rows["Frechet distance"].value < rows["Frechet distance"].ceiling
    assert rows["variety over seeds"].value == 0  # one picture for all seeds
    assert rows["variety over seeds"].ceiling > 0
    assert rows["given in part, kept"].value == 1
    assert rows["given in part, kept"].ceiling < 0.5
    assert rows["given in part, joint"].value == rows["joint"].value > 0.6
    assert rows["edited, outside kept"].value == 1
    assert rows["edited, colours"].value > 0.7
    assert painter.given[0] is None
    assert painter.given[1] == [scene for _, scene, _ in truth]
    parts = painter.given[3]
    for part, (_, whole, _) in zip(parts, truth, strict=True):
        kept = part.labels != VOID
        assert 0.1 < kept.mean() < 0.6
        assert np.array_equal(part.labels[kept], whole.labels[kept])
    assert found.seed == 3
    assert found.drawn.captions == [caption for caption, *_ in truth]


def test_floors_are_of_other_captions(model, truth) -> None:
    found = evaluate_storybook(Painter(model, truth), Eye(truth), 1, count=COUNT)
    others = _others(COUNT)
    assert sorted(others) == list(range(COUNT))
    assert (others != np.arange(COUNT)).all()
    scores = [faithfulness(truth[m][0], *truth[n][1:], WORLDS[1]) for n, m in enumerate(others)]
    floors = {row.name: row.floor for row in found.rows if row.name in METRICS}
    assert floors == pytest.approx(rates(scores), nan_ok=True)


def test_ceilings_and_tokenizers(model, bundle, truth) -> None:
    found = evaluate_storybook(Painter(model, truth), Eye(truth), 1, count=COUNT)
    rows = {row.name: row for row in found.rows}
    img = load_vq(bundle, "vq_img")
    x = torch.from_numpy(np.stack([p for *_, p in truth])).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        y = img.decode(img.encode(x)).clamp(-1, 1)
    assert rows["VQ-IMG PSNR"].value == pytest.approx(float(psnr(x, y).mean()), abs=0.02)
    assert rows["VQ-IMG SSIM"].value == pytest.approx(float(ssim(x, y).mean()), abs=0.002)
    scenes = model.seg.decode(model.seg.encode([s for _, s, _ in truth]))
    pictures = ((y + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    told = zip((c for c, *_ in truth), scenes, pictures, strict=True)
    ceilings = rates(faithfulness(*one, WORLDS[1]) for one in told)
    found = {name: rows[name].ceiling for name in METRICS}
    assert found == pytest.approx(ceilings, nan_ok=True)


def test_a_model_at_random_reaches_nothing(model, tmp_path) -> None:
    eye = Segmenter(range(133)).eval()
    found = evaluate_storybook(model, eye, 1, count=COUNT, seed=1)
    assert not any(row.reached(found.goal(row)) for row in found.rows)
    rows = {row.name: row for row in found.rows}
    assert rows["variety over seeds"].value > 0
    again = evaluate_storybook(model, eye, 1, count=COUNT, seed=1)
    assert repr(found.rows) == repr(again.rows)
    out = model.generate(found.truth.captions, seed=1)
    assert found.drawn.scenes == out.scenes
    out = model.generate(found.truth.captions, seed=1, scene=found.truth.scenes)
    assert all(np.array_equal(a, b) for a, b in zip(found.given.pictures, out.images, strict=True))

    found.save(tmp_path / "kept")  # the figures come from these files alone
    told = (tmp_path / "kept" / "captions.txt").read_text().splitlines()
    scores = []
    for n, caption in enumerate(told):
        scene = Scene.load(tmp_path / "kept" / f"{n:03}.scene.png")
        picture = np.asarray(Image.open(tmp_path / "kept" / f"{n:03}.png"))
        scores.append(faithfulness(caption, scene, picture, WORLDS[1]))
    kept = {row.name: row.value for row in found.rows if row.name in METRICS}
    assert kept == pytest.approx(rates(scores), nan_ok=True)
    assert found.sheet().width > found.sheet().height / 3


def test_command(bundle, tmp_path, monkeypatch, capsys) -> None:
    folder = tmp_path / "segmenter"
    folder.mkdir()
    entry = {ENTRY: _entry(Recipe())}  # else it would be trained
    weights = {
        name: value.contiguous() for name, value in Segmenter(range(133)).state_dict().items()
    }
    save_file(weights, folder / FILE, entry)
    texts, values = [], []
    for name in "ab":
        words = [
            bundle,
            "--captions",
            4,
            "--segmenter",
            folder,
            "--json",
            tmp_path / f"{name}.json",
        ]
        words += ["--keep", tmp_path / name, "--sheet", tmp_path / f"{name}.png"]
        words = ["mas-fast", "eval", "storybook", *map(str, words)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code
        table, *written = capsys.readouterr().out.split("written: ")
        assert {Path(file.strip()).stem for file in written} == {name}
        texts.append(table)
        values.append(json.loads((tmp_path / f"{name}.json").read_text()))
        assert len(list((tmp_path / name).iterdir())) == 9
    assert texts[0] == texts[1]
    assert values[0] == values[1]
    assert "recall, unseen" in texts[0]
    assert "0.800" in texts[0]
    assert "no" in texts[0]
    metrics = values[0]["metrics"]
    assert tuple(metrics) == ROWS
    assert values[0]["captions"] == 4
    assert metrics["recall"]["goal"] == 0.9
    assert metrics["VQ-SEG mIoU"]["ceiling"] is None
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_mistakes(model) -> None:
    with pytest.raises(ValueError, match="count: found 1, expected"):
        evaluate_storybook(model, None, 1, count=1)
    with pytest.raises(ValueError, match=r"world: found 3, expected one of \[1, 2\]"):
        evaluate_storybook(model, None, 3)
    flat = Painter(model, [])
    flat.seg = None
    with pytest.raises(ValueError, match="found a GPT without scenes, expected one with them"):
        evaluate_storybook(flat, None, 1)


def test_goals_have_two_sides() -> None:
    sharp, near = Goal(0.9, 1.1), Goal(most=2.0, ceilings=True)
    assert Row("sharpness", 1.0).reached(sharp)
    assert not Row("sharpness", 1.2).reached(sharp)
    assert not Row("sharpness", 0.8).reached(sharp)
    assert not Row("sharpness", float("nan")).reached(sharp)
    assert sharp.text(float("nan")) == "0.900..1.100"
    assert Row("Frechet distance", 3.9, 2.0).reached(near)
    assert not Row("Frechet distance", 4.1, 2.0).reached(near)
    assert near.text(2.0) == "<= 4.0"
