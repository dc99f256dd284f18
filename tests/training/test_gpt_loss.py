"""training/gpt_loss.py: what is counted, dropped and hidden in a step's passes."""

import pytest

pytest.importorskip("pyarrow", reason="token shards need pyarrow")
torch = pytest.importorskip("torch")

from gpt_runs import STREAMS, scalars, settings  # noqa: E402
from mas_fast.data.token_shards import TokenShards  # noqa: E402
from mas_fast.models.gpt import GPT  # noqa: E402
from mas_fast.training.dataset import Sequences  # noqa: E402
from mas_fast.training.gpt import train  # noqa: E402
from mas_fast.training.gpt_loss import GPTLoss, targets  # noqa: E402


def test_hidden_tokens(tmp_path, shards) -> None:
    """Of the last stream in sight alone; they do not depend on what else is drawn."""
    tokens = TokenShards(shards)
    data, same = (Sequences(tokens, 3, masked_share=0.6) for _ in range(2))
    places = [(epoch, index) for epoch in range(40) for index in range(22)]
    batch = data.collate([data[place] for place in places])
    again = same.collate([same[place] for place in reversed(places)])
    assert torch.equal(batch["masked"], again["masked"].flip(0))
    plain = Sequences(tokens, 3)
    bare = plain.collate([plain[place] for place in places])
    assert torch.equal(batch["tokens"], bare["tokens"])
    assert torch.equal(batch["draw"], bare["draw"])
    assert "masked" not in bare
    assert not batch["masked"][:, :6].any()  # captions
    shares = batch["masked"][:, 6:].double().mean(1)
    assert float((shares == 1).double().mean()) == pytest.approx(0.32, abs=0.06)
    assert float((shares > 0).double().mean()) == pytest.approx(0.6, abs=0.06)
    assert float(shares.mean()) == pytest.approx(0.45, abs=0.05)

    s = settings(shards, tmp_path / "run", masked_share=0.6, image_every=2)
    model = GPT.create(s.config(STREAMS))
    loss = GPTLoss(model, s)
    loss.prepare([batch], 1)
    for step, names, seen in ((1, ["text", "seg", "img"], 10), (0, ["text", "seg"], 6)):
        found = loss(batch, step)[1]
        assert list(found) == names
        last = names[-1]
        stop = STREAMS.slice(last).stop
        tokens, unseen = (batch[name][:, :stop].clone() for name in ("tokens", "masked"))
        unseen[:, :seen] = False
        assert float(found[last]) == pytest.approx(
            float(model.loss(tokens, masked=unseen)[1][last])
        )
        assert float(found[last]) != float(model.loss(tokens)[1][last])
    train(s)
    assert list(scalars(s.folder, "gpt/img")) == [2, 4, 6]


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
    s = settings(shards, tmp_path, image_every=3)
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
