"""vq_settings.py: the settings of VQ-SEG and VQ-IMG, and what is said of those that are unfit."""

from pathlib import Path

import pytest

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
        ({"model": {"preset": "tiny-img", "code": 3}}, r"unknown keys \['code'\].*'codes'"),
        ({"model": {"codes": 3}}, "preset: found None, expected one of"),
        ({"perceptual": "nowhere"}, r"nowhere: 2 weight file\(s\) missing.*\n.*vgg16-397923af.pth"),
        ({"face": "nowhere"}, r"nowhere: 1 weight file.*\n.*vggface2-resnet50.pth from https"),
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
