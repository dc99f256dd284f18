"""training/checkpoints.py as a run meets it: damaged checkpoints, strays, what a kill left."""

import json
import os
import shutil
from pathlib import Path

import pytest

from toy_runs import same, state, toy

DAMAGES = {
    "half of the tensors": lambda f: os.truncate(f / "__0_0.distcp", 5000),
    "bytes of the tensors": lambda f: flip(f / "__0_0.distcp", *range(500, 2000, 7)),
    "no tensors": lambda f: (f / "__0_0.distcp").unlink(),
    "half of the index": lambda f: os.truncate(f / ".metadata", 900),
    "a bit of the index": lambda f: flip(f / ".metadata", 90),
    "no index": lambda f: (f / ".metadata").unlink(),
    "half of the values": lambda f: os.truncate(f / "values.json", 90),
    "deep values": lambda f: (f / "values.json").write_text("[" * 100_000),
    "other values": lambda f: (f / "values.json").write_text('{"step": 6, "recent": []}'),
    "values of another kind": lambda f: edit(f / "values.json", recent={"a": 1}),
    "no values": lambda f: (f / "values.json").unlink(),
    "nothing": lambda f: [file.unlink() for file in f.iterdir()],
    "a file": lambda f: (shutil.rmtree(f), f.write_text("x")),
    "a pipe": lambda f: ((f / "values.json").unlink(), os.mkfifo(f / "values.json")),
    "another step's": lambda f: (
        shutil.rmtree(f),
        shutil.copytree(f.with_name("step-00000003"), f),
    ),
}


def flip(file: Path, *places: int) -> None:
    content = bytearray(file.read_bytes())
    for at in places:
        content[at] ^= 4
    file.write_bytes(content)


def edit(file: Path, **values) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A run of six steps, with the checkpoints 3 and 6."""
    folder = tmp_path_factory.mktemp("half")
    toy(folder, steps=6, lr_end=1.0, keep_checkpoints=9).run()
    return folder


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_newest_whole_checkpoint_is_used_and_the_damaged_named(
    half, tmp_path, capfd, damage
) -> None:
    shutil.copytree(half, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    damage(folder / "step-00000006")
    trainer = toy(tmp_path / "run", steps=6, lr_end=1.0, keep_checkpoints=2)
    said = capfd.readouterr().err
    assert trainer.step == 3
    assert "step-00000006: damaged (" in said
    assert "now step-00000006.damaged" in said
    assert "step-00000003: continued from this one" in said
    trainer.run()
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["step-00000003", "step-00000006", "step-00000006.damaged"]
    assert same(state(tmp_path / "run"), state(half))


def test_no_run_begins_anew_where_all_checkpoints_are_damaged(half, tmp_path) -> None:
    shutil.copytree(half, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    for step in folder.iterdir():
        (step / ".metadata").unlink()
    before = sorted(folder.rglob("*"))
    for _ in range(2):
        with pytest.raises(
            ValueError, match=r"2 damaged .* no whole one \(step-00000006: .metadata: No such file"
        ):
            toy(tmp_path / "run", steps=6, lr_end=1.0)
    assert sorted(folder.rglob("*")) == before


def test_strays_are_left_alone(half, tmp_path) -> None:
    shutil.copytree(half, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    strays = ["step-00000006-backup", "step-00000007.bak", "step-x", "step-9", "step-000000008"]
    for name in strays:
        shutil.copytree(folder / "step-00000006", folder / name)
    toy(tmp_path / "run", steps=9, lr_end=1.0, keep_checkpoints=1).run()
    assert sorted(path.name for path in folder.iterdir()) == sorted([*strays, "step-00000009"])


def test_what_a_kill_left_too_many_is_swept_at_the_next_start(half, tmp_path) -> None:
    shutil.copytree(half, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    shutil.copytree(folder / "step-00000006", folder / ".step-00000009.tmp")
    toy(tmp_path / "run", steps=6, lr_end=1.0, keep_checkpoints=1)
    assert [path.name for path in folder.iterdir()] == ["step-00000006"]


def test_equal_runs_write_equal_files(half, tmp_path) -> None:
    """Also one that was continued, whose optimizer was filled from a checkpoint."""
    shutil.copytree(half, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000006")
    toy(tmp_path / "run", steps=6, lr_end=1.0, keep_checkpoints=9).run()
    for name in ("__0_0.distcp", ".metadata"):
        one, two = (
            (run / "checkpoints" / "step-00000006" / name).read_bytes()
            for run in (half, tmp_path / "run")
        )
        assert one == two
