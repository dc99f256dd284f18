"""training/settings.py: a YAML file and `--key value` overrides."""

import json

import pytest

from mas_fast.training.settings import plain, read
from mas_fast.training.trainer import Settings
from toy_runs import TOY


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--stesp", "3"], "^--stesp: found no such setting, expected one of .*'--steps'"),
        (["--steps", "many"], "steps: found 'many', expected int"),
        (["--steps", "0"], "steps: found 0, expected an integer >= 1"),
        (["--steps"], "found no value after --steps"),
        (["steps=3"], "found the argument 'steps=3'"),
        (["--precision", "fp8"], r"found 'fp8', expected one of \['fp32', 'bf16', 'auto'\]"),
        (["--ema-decay", "1.5"], r"ema-decay: found 1.5, expected a finite number in 0..1"),
        (["--steps.more", "3"], "^--steps.more: steps: found 12, expected a mapping"),
    ],
)
def test_bad_settings(tmp_path, overrides, message) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text(json.dumps(TOY | {"folder": "x"}))
    with pytest.raises(ValueError, match=message):
        read(Settings, file, overrides)


def test_settings(tmp_path) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text("folder: runs/toy\nsteps: 5\n")
    found = read(Settings, file, ["--batch=16", "--clip", "1e-2", "--log-every", "7"])
    assert (found.steps, found.batch, found.clip, found.log_every) == (5, 16, 0.01, 7)
    assert plain(found)["folder"] == "runs/toy"
    with pytest.raises(ValueError, match=r"found no keys \['folder'\], expected them"):
        read(Settings, None, ["--steps", "3"])
    with pytest.raises(ValueError, match="absent.yaml: found no readable YAML: No such file"):
        read(Settings, tmp_path / "absent.yaml")
    file.write_text("- a list\n")
    with pytest.raises(ValueError, match="found list, expected `key: value` lines"):
        read(Settings, file)
