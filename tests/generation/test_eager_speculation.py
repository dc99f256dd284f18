"""eager.py: tokens are the same however many positions a pass draws, where rounding lets them."""

import numpy as np
import pytest
import torch

from mas_fast.generation.eager import EagerEngine
from mas_fast.generation.request import WIDEST, request
from random_gpt import GUIDED, PARTS, PROMPT, peaked

WIDTHS = [2, 3, 5, 8, WIDEST]
HOW = {
    "plain": {},
    "greedy": {"temperature": 0.0},
    "guided picture": {"guidance": {"img": 3.0}, "temperature": 0.5},
    "samples": {"num_samples": 3, "seed": 5, **GUIDED},
    "forced": {"forced": PARTS, "num_samples": 2, **GUIDED},
    "stopped": {"forced": PARTS, "stop": 27, "top_k": 3},
}


def drawn(engine: EagerEngine, **how) -> tuple[torch.Tensor, list[int]]:
    """The tokens, and the positions that passes reached."""
    run = engine.start(request(engine.streams, PROMPT, **how))
    positions = []
    assert run.advance(progress=lambda position, _: positions.append(position)) == run.stop
    assert positions == sorted(set(positions))
    assert positions[-1] == run.stop
    return run.tokens, positions


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize(
    "changes",
    [{}, {"attention": "conv", "conv_kernel": 3}, {"attention": ("row", "column")}],
    ids=str,
)
def test_tokens_are_those_of_one_position_a_pass(changes, dtype, how) -> None:
    engine = EagerEngine(peaked(dtype, **changes))
    expected, one = drawn(engine, speculate=1, **how)
    assert one == [*range(9, len(one) + 9)]
    for speculate in WIDTHS:
        tokens, positions = drawn(engine, speculate=speculate, **how)
        assert torch.equal(tokens, expected), speculate
        assert len(positions) < len(one)


def test_auto_is_one_position_a_pass() -> None:
    engine = EagerEngine(peaked())
    _, positions = drawn(engine)
    assert positions == [*range(9, 41)]


def test_a_window_ends_with_its_stream() -> None:
    """A pass has one head; here guesses would be right beyond it."""
    forced = np.full(40, -1)
    forced[9:30] = 5
    _, positions = drawn(EagerEngine(peaked()), forced=forced, speculate=WIDEST)
    assert positions[:2] == [9, 24]
    assert positions[2] > 30


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_run_may_pause_anywhere(count) -> None:
    engine = EagerEngine(peaked())
    expected, _ = drawn(engine, **GUIDED)
    run = engine.start(request(engine.streams, PROMPT, speculate=8, **GUIDED))
    while run.position < run.stop:
        reached = min(run.position + count, 40)
        assert run.advance(count) == reached  # no further than asked for
        assert torch.equal(run.tokens[:, :reached], expected[:, :reached])
        assert (run.tokens[:, reached:] == -1).all()


def test_a_pass_reads_the_last_token_and_guesses(monkeypatch) -> None:
    model, read = peaked(), []
    decode = model.decode

    def decoding(tokens, start, cache):
        read.append((start, tokens.clone()))
        return decode(tokens, start, cache)

    monkeypatch.setattr(model, "decode", decoding)
    how = {"guidance": 2.0, "temperature": 0.0, "speculate": 4}
    run = EagerEngine(model).start(request(model.streams, PROMPT, **how))
    run.advance(1)
    assert not read  # the first token is drawn from the prefill
    run.advance()
    start, tokens = read[0]
    assert start == 8
    assert tokens.tolist() == [[int(token)] * 4 for token in run.tokens[:, 8].repeat(2)]


def test_a_wrong_guess_may_have_no_numbers() -> None:
    """The first guess of a picture is token 0, which makes NaN of all that follows it."""
    model = peaked()
    with torch.no_grad():
        model.embed["img"].weight[0] = torch.nan
        model.head["img"].weight[0] = 0.0
    engine = EagerEngine(model)
    how = {"temperature": 0.5, "top_k": 4, "num_samples": 4}
    expected, _ = drawn(engine, speculate=1, **how)
    assert (expected[:, 24:] > 0).all()
    for speculate in WIDTHS:
        assert torch.equal(drawn(engine, speculate=speculate, **how)[0], expected)
    forced = np.full((1, 40), -1)
    forced[:, 30] = 0
    errors = set()
    for speculate in (1, *WIDTHS):
        run = engine.start(request(engine.streams, PROMPT, forced=forced, speculate=speculate))
        with pytest.raises(ValueError, match="found NaN") as error:
            run.advance()
        assert run.position == 31
        errors.add(str(error.value))
    assert len(errors) == 1
