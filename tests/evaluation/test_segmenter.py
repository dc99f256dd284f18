"""segmenter.py: it learns, the same each time, and is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mas_fast.data.storybook.source import StorySource
from mas_fast.evaluation import segmenter as module
from mas_fast.evaluation.faithfulness import class_map
from mas_fast.evaluation.metrics import ConfusionMatrix
from mas_fast.evaluation.segmenter import (
    ENTRY,
    FILE,
    Recipe,
    load_segmenter,
    read_segmenter,
    train,
)
from mas_fast.models.segmenter import to_tensor
from mas_fast.utils.locks import LOCK, lock

torch.set_num_threads(1)
SMALL = Recipe(steps=2, batch=2, size=32)


def test_it_learns() -> None:
    found = train(Recipe(steps=100, batch=4, size=32, lr=1e-2))
    test = StorySource(30, 32, "test", world=1)
    samples = [test[n] for n in range(len(test))]
    guesses = found.segment([sample.pixels for sample in samples])
    true = [class_map(sample.layers.resize(16, 16).clean()) for sample in samples]
    right = np.mean(np.stack(guesses) == np.stack(true))
    commonest = np.mean(np.stack(true) == np.bincount(np.stack(true).ravel()).argmax())
    assert right > commonest + 0.2
    assert right > 0.5
    matrix = ConfusionMatrix(module.CLASSES)
    for guess, labels in zip(guesses, true, strict=True):
        matrix.add(torch.from_numpy(guess), torch.from_numpy(labels))
    assert (matrix.iou() > 0.3).sum() >= 3  # of several classes


def test_what_is_rare_weighs_more() -> None:
    source = StorySource(40, 32, world=1)
    classes, weights = module._classes(source)
    _, labels = module._batch(source, 0, 40)
    assert classes.tolist() == sorted(set(labels.flatten().tolist()))
    weight = dict(zip(classes.tolist(), weights.tolist(), strict=True))
    found = labels.flatten().tolist()
    assert np.mean([weight[label] for label in found]) == pytest.approx(1, abs=1e-3)
    order = sorted(weight, key=found.count)
    assert (np.diff([weight[label] for label in order]) <= 1e-6).all()
    assert weight[0] > 2 * weight[119]  # person, sky


def test_a_class_that_was_not_counted_is_left_out(monkeypatch) -> None:
    monkeypatch.setattr(module, "WEIGHED", 1)
    source = StorySource(4, 32, world=1)
    counted, others = (module._batch(source, *part)[1].unique() for part in ((0, 1), (0, 4)))
    assert len(counted) < len(others)
    found = train(SMALL)
    assert found.classes.tolist() == counted.tolist()
    assert all(value.isfinite().all() for value in found.state_dict().values())


def test_the_same_recipe_gives_the_same_weights() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = train(SMALL).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(6)
    again, other = train(SMALL).state_dict(), train(replace(SMALL, seed=1)).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_half_of_the_pictures_are_blurred() -> None:
    source = StorySource(4, 32, world=1)
    pictures, labels = module._batch(source, 0, 4)
    for n, picture in enumerate(pictures):
        whole = torch.equal(((picture + 1) * 127.5).round().byte(), _bytes(source[n].pixels))
        assert whole == (n % 2 == 1)
        assert abs(float(picture.mean() - to_tensor(source[n].pixels[None]).mean())) < 0.02
        assert torch.equal(labels[n].byte(), _labels(source[n]))


def _bytes(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _labels(sample) -> torch.Tensor:
    return torch.from_numpy(class_map(sample.scene.resize(16, 16)))


def test_it_is_kept_and_made_anew_for_another_recipe(tmp_path, monkeypatch) -> None:
    made = []
    monkeypatch.setattr(module, "train", lambda recipe, **_: made.append(recipe) or train(recipe))
    first = load_segmenter(tmp_path / "kept", SMALL)
    assert not first.training
    again = load_segmenter(tmp_path / "kept", SMALL)
    assert made == [SMALL]
    assert not again.training
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    other = replace(SMALL, steps=1)
    load_segmenter(tmp_path / "kept", other)
    load_segmenter(tmp_path / "kept", other)
    assert made == [SMALL, other]
    assert {file.name for file in (tmp_path / "kept").iterdir()} == {FILE, LOCK}
    kept = read_segmenter(tmp_path / "kept").state_dict()  # of whatever recipe
    assert torch.equal(kept["head.bias"], load_segmenter(tmp_path / "kept", other).head.bias)
    assert made == [SMALL, other]
    with pytest.raises(ValueError, match="nowhere.*found no such file, expected a segmenter's"):
        read_segmenter(tmp_path / "nowhere")


def test_a_training_that_was_stopped_goes_on(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "PARTIAL_EVERY", 2)
    recipe, seen = replace(SMALL, steps=5), []
    whole = train(recipe).state_dict()
    batch = module._batch

    def stopped(source, first, count):
        seen.append(first)
        if len(seen) == 1 + 4:  # the classes are counted first
            raise KeyboardInterrupt
        return batch(source, first, count)

    monkeypatch.setattr(module, "_batch", stopped)
    with pytest.raises(KeyboardInterrupt):
        load_segmenter(tmp_path, recipe)
    assert not module.is_trained(tmp_path, recipe)
    found = load_segmenter(tmp_path, recipe).state_dict()
    assert seen[5:] == [0, 4, 6, 8]  # the classes again, then the third step and what follows
    assert all(torch.equal(whole[name], found[name]) for name in whole)
    assert module.is_trained(tmp_path, recipe)
    assert not module.is_trained(tmp_path, SMALL)
    assert {file.name for file in tmp_path.iterdir()} == {FILE, LOCK}


def test_one_trains_it_at_a_time(tmp_path) -> None:
    with lock(tmp_path, ""), pytest.raises(ValueError, match="wait until it has trained"):
        load_segmenter(tmp_path, SMALL)


def test_it_is_made_anew_for_another_drawing(monkeypatch) -> None:
    before = module._entry(SMALL)
    assert module._entry(SMALL) == before != module._entry(replace(SMALL, size=48))
    read = StorySource.read

    def other(self, index):
        sample = read(self, index)
        return replace(sample, photo=sample.photo // 2) if index == 7 else sample

    monkeypatch.setattr(StorySource, "read", other)
    assert module._entry(SMALL) != before


def test_other_files(tmp_path) -> None:
    (tmp_path / FILE).write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match=f"{FILE}: .*, expected what this command wrote"):
        load_segmenter(tmp_path, SMALL)
    with pytest.raises(ValueError, match=f"{FILE}: .*, expected what this command wrote"):
        read_segmenter(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / FILE, {ENTRY: module._entry(SMALL)})
    with pytest.raises(ValueError, match=f"{FILE}: found other weights than a segmenter's"):
        load_segmenter(tmp_path, SMALL)
