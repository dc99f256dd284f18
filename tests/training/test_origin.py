"""training/origin.py: a run goes on with what it was made from, and with nothing else."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="token shards need pyarrow")
torch = pytest.importorskip("torch")

from gpt_runs import STREAMS, scalars, settings, write_shards  # noqa: E402
from mas_fast.data.token_shards import TokenShards  # noqa: E402
from mas_fast.training.gpt import train  # noqa: E402


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
