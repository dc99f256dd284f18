"""training/dataset.py: token shards as batches."""

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="token shards need pyarrow")
torch = pytest.importorskip("torch")

from gpt_runs import settings  # noqa: E402
from mas_fast.bundle import load_gpt  # noqa: E402
from mas_fast.data.token_shards import TokenShards  # noqa: E402
from mas_fast.training.dataset import Sequences  # noqa: E402
from mas_fast.training.gpt import train  # noqa: E402


def test_sequences_depend_on_seed_epoch_and_index_alone(shards, bpe) -> None:
    tokens = TokenShards(shards)
    one, two = (Sequences(tokens, 3, bpe, 0.5) for _ in range(2))
    places = [(epoch, index) for epoch in range(3) for index in range(22)]
    first = {place: one[place] for place in places}
    for place in reversed(places):
        key, ids, draw, _ = two[place]
        assert key == first[place][0]
        assert (ids == first[place][1]).all()
        assert draw == first[place][2]
    ids = one.collate([first[0, 5], first[1, 5]])["tokens"]
    assert ids.shape == (2, 26)
    assert ids.dtype == torch.int64
    assert torch.equal(ids[0, 6:], torch.from_numpy(np.concatenate(tokens[5][1:]).astype(int)))
    plain = Sequences(tokens, 3)
    seen = {bytes(plain[epoch, 5][1][:6]) for epoch in range(20)}
    assert seen == {bytes(row.astype(np.int64)) for row in tokens[5].text}  # either caption
    assert any((plain[place][1] != first[place][1]).any() for place in places)
    texts = bpe.decode([ids[:6] for _, ids, *_ in first.values()])
    captions = {text for index in range(22) for text in tokens.captions(index)}
    assert all(any(caption.startswith(text) for caption in captions) for text in texts)


def test_the_first_samples_alone(tmp_path, shards) -> None:
    tokens = TokenShards(shards)
    assert [len(Sequences(tokens, 3, samples=n)) for n in (5, 22, 99, None)] == [5, 22, 22, 22]
    short, whole = (
        train(settings(shards, tmp_path / str(n), batch=4, samples=n)) for n in (4, None)
    )
    weights = (load_gpt(bundle).state_dict()["norm.weight"] for bundle in (short, whole))
    assert not torch.equal(*weights)
