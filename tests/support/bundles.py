"""Bundles of a GPT, and what they refuse."""

import dataclasses
import json

import pytest
import torch

from mas_fast.bundle import (
    load_gpt,
    read_weights,
    save_gpt,
)
from mas_fast.models.gpt import GPT, preset

TINY = preset("tiny")
GRID = dataclasses.replace(TINY, positions="grid", qk_norm=True)


def make(tmp_path, config=TINY, dtype=torch.float32):
    model = GPT.create(config, dtype=dtype)
    save_gpt(tmp_path / "bundle", model)
    return tmp_path / "bundle", model


def refuses(path, message):
    """Both readers name the file and the trouble, at the call."""
    for reader in (load_gpt, read_weights):
        with pytest.raises(ValueError, match=message) as error:
            reader(path)
        assert str(path) in str(error.value)


def change_config(path, change):
    values = json.loads((path / "config.json").read_text())
    change(values)
    (path / "config.json").write_text(json.dumps(values))


DEEP = b"[" * 100_000 + b"]" * 100_000
