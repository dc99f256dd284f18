"""A step looks at nothing on the device: to look would be to wait for it, with nothing queued."""

import pytest

pytest.importorskip("pyarrow", reason="token shards need pyarrow")
torch = pytest.importorskip("torch")

from gpt_runs import STREAMS, settings  # noqa: E402
from host_reads import reads  # noqa: E402
from mas_fast.data.token_shards import TokenShards  # noqa: E402
from mas_fast.training.dataset import Sequences  # noqa: E402
from mas_fast.training.gpt import make_trainer  # noqa: E402
from toy_runs import toy  # noqa: E402

LOOKS = {
    "item": lambda x: x[0].item(),
    "float": lambda x: float(x[0]),
    "if": lambda x: bool((x > 2).any()),
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "a mask": lambda x: x[x > 1],
    "a masked assignment": lambda x: x.index_put_((x > 1,), torch.zeros(())),
    "nonzero": lambda x: x.nonzero(),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_look_is_noticed(monkeypatch, look) -> None:
    with reads(monkeypatch) as seen:
        look(torch.ones(3))
    assert seen


def turns(trainer, monkeypatch) -> list[list[str]]:
    """What each turn of a run looks at, with its update."""
    taken, turn = [], trainer._turn

    def watched(part, batches):
        with reads(monkeypatch) as seen:
            turn(part, batches)
        taken.append(seen)

    trainer._turn = watched
    trainer.run()
    return taken


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_no_turn_of_a_gpt_looks(tmp_path, shards, monkeypatch, optimizer) -> None:
    changes = {"caption_drop": 0.3, "masked_share": 0.5, "image_every": 2, "accumulate": 2}
    s = settings(shards, tmp_path / "run", steps=4, optimizer=optimizer, **changes)
    data = Sequences(TokenShards(shards), 0, masked_share=s.masked_share)
    trainer = make_trainer(s.config(STREAMS), data, s)
    checked = "mas_fast.ops.cross_entropy_chunked.check_targets"
    monkeypatch.setattr(checked, lambda *_: None)  # as on a GPU, whose targets are trusted
    assert turns(trainer, monkeypatch) == [[]] * 4


def test_no_turn_of_a_toy_looks(tmp_path, monkeypatch) -> None:
    taken = turns(toy(tmp_path, steps=8), monkeypatch)
    assert taken == [[]] * (8 + 3)  # the critic starts at step 5


def test_the_host_looks_when_something_is_due(tmp_path, monkeypatch) -> None:
    trainer, looks = toy(tmp_path, steps=12, log_every=4, checkpoint_every=6), []
    trainer.hooks = [(5, lambda step: looks.append("hook"))]
    told = trainer.verdicts.told
    monkeypatch.setattr(trainer.verdicts, "told", lambda: looks.append(trainer.step) or told())
    trainer.run()
    assert looks == [4, 5, "hook", 6, 8, 10, "hook", 12, "hook"]


def test_batches_are_prepared_on_the_host(tmp_path, monkeypatch) -> None:
    trainer, seen = toy(tmp_path, steps=2), []
    trainer.parts[0].prepare = lambda batches, step: seen.append((step, batches[0]["x"]))
    monkeypatch.setattr(
        "mas_fast.training.trainer._put", lambda batch, _: seen.append("put") or dict(batch)
    )
    trainer.run()
    assert [s if s == "put" else s[0] for s in seen] == [0, "put", 1, "put"]
