"""eager.py: what is prefilled, what is drawn, and from which logits."""

from types import SimpleNamespace

import pytest
import torch

from mas_fast import ops
from mas_fast.generation.eager import EagerEngine
from mas_fast.generation.request import request
from mas_fast.models.gpt import GPT, preset
from random_gpt import random_model

STREAMS = preset("tiny").streams
PROMPT = [[5, 9, 3], [7, 1]]


@pytest.fixture
def model(monkeypatch) -> GPT:
    """Keeps the arguments of its passes."""
    model = random_model(preset("tiny"))
    model.prefilled, model.decoded = [], []
    prefill, decode = model.prefill, model.decode

    def prefilling(tokens, cache):
        model.prefilled.append(tokens.tolist())
        return prefill(tokens, cache)

    def decoding(tokens, position, cache):
        model.decoded.append((*tokens.shape, position))
        return decode(tokens, position, cache)

    monkeypatch.setattr(model, "prefill", prefilling)
    monkeypatch.setattr(model, "decode", decoding)
    return model


def test_a_prompt_is_prefilled_once_for_all_its_samples(model) -> None:
    run = EagerEngine(model).start(request(STREAMS, PROMPT, num_samples=3))
    assert model.prefilled == [[[5, 9, 3] + [0] * 5, [7, 1] + [0] * 6]]
    run.advance(3)
    assert model.decoded == [(6, 1, 8), (6, 1, 9)]  # the first token is drawn from the prefill


def test_guidance_doubles_the_rows_and_the_second_half_has_the_null_caption(model) -> None:
    how = {"guidance": 2.0, "null": [4]}
    run = EagerEngine(model).start(request(STREAMS, PROMPT, num_samples=3, **how))
    null = [4] + [0] * 7
    assert model.prefilled == [[[5, 9, 3] + [0] * 5, [7, 1] + [0] * 6, null, null]]
    run.advance(2)
    assert model.decoded == [(12, 1, 8)]


def test_what_every_row_forces_is_prefilled_too(model) -> None:
    forced = torch.full((2, 40), -1)
    forced[:, 8:12] = torch.tensor([1, 2, 3, 4])
    forced[0, 12] = 9  # of the first row alone
    run = EagerEngine(model).start(request(STREAMS, PROMPT, forced=forced, guidance=2.0))
    assert run.position == 12
    assert [row[8:] for row in model.prefilled[0]] == [[1, 2, 3, 4]] * 4
    run.advance(1)
    assert run.tokens[0, 12] == 9
    assert run.tokens[1, 12] >= 0


def test_what_is_forced_to_the_end_takes_no_pass(model) -> None:
    forced = torch.full((40,), -1)
    forced[8:12] = 5
    run = EagerEngine(model).start(request(STREAMS, PROMPT, forced=forced, stop=12))
    assert (run.position, run.stop) == (12, 12)
    assert run.tokens[:, 8:].tolist() == [[5] * 4 + [-1] * 28] * 2
    assert run.advance() == 12
    assert not model.prefilled


def test_no_pass_follows_the_last_token(model) -> None:
    EagerEngine(model).start(request(STREAMS, PROMPT, stop=11)).advance()
    assert model.decoded == [(2, 1, 8), (2, 1, 9)]


def test_each_stream_is_drawn_as_it_is_told(model, monkeypatch) -> None:
    asked = []

    def sample(cond, **how):
        asked.append((tuple(cond.shape), cond.dtype, how))
        return cond.argmax(1)

    monkeypatch.setattr(ops, "sample", sample)
    options = {"guidance": {"img": 3.0}, "top_k": {"seg": 5}, "temperature": 0.5}
    what = request(STREAMS, PROMPT, num_samples=2, first_sample=10, seed=6, **options)
    EagerEngine(model).start(what).advance()
    assert len(asked) == 32
    for position, (shape, dtype, how) in enumerate(asked, 8):
        stream = STREAMS.at(position)
        assert shape == (4, stream.vocab)
        assert dtype == torch.float32
        assert (how["seed"], how["temperature"]) == (6, 0.5)
        assert how["position"].tolist() == [position] * 4
        assert how["sample"].tolist() == [10, 11, 10, 11]
        assert (how["top_k"], how["top_p"]) == (5 if stream.name == "seg" else None, None)
        # where guidance is 1, the difference from the unconditional logits would be rounded
        assert (how["uncond"] is None) == (stream.name == "seg")


def test_more_rows_are_drawn_at_once_on_a_gpu(monkeypatch) -> None:
    """As many as have room for their keys and values in half of its memory."""
    model = GPT(preset("mini-270m"))
    assert EagerEngine(GPT.create(preset("tiny"))).rows == 16
    model.bfloat16()
    monkeypatch.setattr(GPT, "device", torch.device("cuda"))
    of_row = 2 * 576 * 2 * 16 * 1024 * 2  # rows of guidance, positions, keys and values, bytes
    for memory, rows in ((141e9, 64), (2 * 64 * of_row, 64), (2 * 64 * of_row - 2, 63), (1e6, 1)):
        properties = SimpleNamespace(total_memory=int(memory))
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, p=properties: p)
        assert EagerEngine(model).rows == rows
