"""vq_settings.py: the settings of VQ-SEG and VQ-IMG, and what is said of those that are unfit."""

from dataclasses import replace
from pathlib import Path

import pytest

from mas_fast.evaluation.segmenter import FILE as SEGMENTER_FILE
from mas_fast.models.perceptual import FACE_FILE, LPIPS_FILE, VGG16_FILE
from mas_fast.models.vqvae_config import preset
from mas_fast.training.settings import read
from mas_fast.training.vq import train
from vq_runs import KINDS, settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", ["seg", "img"])
def test_configs_build(tmp_path, kind) -> None:
    file = ROOT / "configs" / f"vq-{kind}-small.yaml"
    found = read(KINDS[kind], file, ["--data", "x"])
    assert found.config().f == 8
    assert found.config().input == {"seg": "labels", "img": "image"}[kind]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"preset": "tiny-seg"}}, "found input 'labels', expected 'image'"),
        ({"model": {"preset": "tiny-img", "code": 3}}, r"found unknown keys \['code'\].*'codes'"),
        ({"model": {"codes": 3}}, "preset: found None, expected one of"),
        (
            {"perceptual": "nowhere"},
            r"nowhere: found 0 of 2 weight files, expected these too.*\n.*vgg16-397923af.pth",
        ),
        (
            {"face": "nowhere"},
            r"nowhere: found 0 of 1 weight files.*\n.*vggface2-resnet50.pth from https",
        ),
        (
            {"gan_start": 9, "model": {"preset": "tiny-img", "resolution": 16}},
            "resolution: found 16, expected at least 24 for the discriminator",
        ),
        ({"object_weight": 1.0}, "object_weight: found 1.0 without `perceptual`"),
        ({"face_weight": -1.0}, "face_weight: found -1.0, expected a finite number >= 0"),
        ({"lr": 0}, "lr: found 0"),
        ({"lr": float("inf")}, "lr: found inf, expected a finite number > 0"),
        ({"clip": float("inf")}, "clip: found inf, expected a finite number > 0"),
        ({"samples": 0}, "samples: found 0, expected an integer >= 1"),
        ({"betas": [0.9]}, r"betas: found \[0.9\], expected tuple\[float, float\]"),
        ({"betas": [0.9, 1.5]}, r"betas: found 1.5, expected a finite number in 0..1"),
        ({"batch": 3, "accumulate": 2}, "batch: found 3, expected a multiple of accumulate = 2"),
    ],
)
def test_bad_settings(tmp_path, photos, changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        train(settings("img", photos, tmp_path / "run", **changes))
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_fields_of_the_model_replace_those_of_its_preset() -> None:
    model = {"preset": "tiny-img", "codes": 48, "ch_mult": [1, 2]}
    found = settings("img", "x", "y", model=model).config()
    assert found == replace(preset("tiny-img"), codes=48, ch_mult=(1, 2))


@pytest.mark.parametrize(("kind", "file"), [("seg", "vq_seg"), ("img", "vq_img")])
def test_what_a_run_is_made_from(kind, file) -> None:
    assert settings(kind, "x", "y").made_from() == {"data": Path("x"), "decoder_of": None}
    found = settings(kind, "x", "y", decoder_of="b").made_from()
    assert found == {"data": Path("x"), "decoder_of": Path("b") / f"{file}.safetensors"}


def test_weights_of_other_networks_are_what_a_run_is_made_from(tmp_path) -> None:
    for file in (VGG16_FILE, LPIPS_FILE, FACE_FILE):
        (tmp_path / file.name).touch()
    found = settings("img", "x", "y", perceptual=str(tmp_path), face=str(tmp_path)).made_from()
    assert found == {
        "data": Path("x"),
        "decoder_of": None,
        "perceptual/vgg16": tmp_path / VGG16_FILE.name,
        "perceptual": tmp_path / LPIPS_FILE.name,
        "face": tmp_path / FACE_FILE.name,
    }


def test_a_segmenter_stands_in_for_lpips(tmp_path) -> None:
    (tmp_path / SEGMENTER_FILE).touch()
    found = settings("img", "x", "y", perceptual=str(tmp_path)).made_from()
    assert found["perceptual"] == tmp_path / SEGMENTER_FILE
    assert "perceptual/vgg16" not in found


def test_what_a_continuation_may_change() -> None:
    free = settings("img", "x", "y", lr_end=1.0).free()
    assert {"steps", "sheet_every", "metric_samples", "output", "stored", "workers"} <= free
    assert not free & {"lr", "batch", "seed", "model", "data", "decoder_of", "augment"}
    cooling = {"preset": "tiny-img", "quantizer": "gumbel"}
    assert settings("img", "x", "y", lr_end=1.0, model=cooling).free() == free - {"steps"}


@pytest.mark.parametrize(
    ("changes", "boxes"),
    [
        ({}, []),
        ({"thing_weight": 2.0}, ["object_boxes"]),
        ({"object_weight": 0.5, "perceptual": "p"}, ["object_boxes"]),
        ({"face": "f"}, ["face_boxes"]),
        ({"face": "f", "face_weight": 0.0}, []),
        ({"face": "f", "thing_weight": 0.5}, ["object_boxes", "face_boxes"]),
    ],
)
def test_boxes_are_only_those_that_a_loss_looks_at(changes, boxes) -> None:
    assert settings("img", "x", "y", **changes).boxes() == boxes


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("seg", {"face_weight": -1.0}, "face_weight: found -1.0, expected a finite number >= 0"),
        ("seg", {"thing_weight": -0.5}, "thing_weight: found -0.5, expected a finite number >= 0"),
        ("img", {"gan_weight": -1.0}, "gan_weight: found -1.0, expected a finite number >= 0"),
        ("img", {"quantizer_weight": -1}, "quantizer_weight: found -1"),
        ("img", {"sheet_every": 0}, "sheet_every: found 0, expected an integer >= 1"),
        ("img", {"metric_samples": 0}, "metric_samples: found 0, expected an integer >= 1"),
    ],
)
def test_unfit_values_are_found_without_data(kind, changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        settings(kind, "nowhere", "y", **changes)
