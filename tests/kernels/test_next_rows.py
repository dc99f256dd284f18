"""next_rows.py under the interpreter, against a definition that takes one position at a time."""

import importlib.util
import os

import pytest
import torch

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

from mas_fast.kernels.next_rows import next_rows

# Streams of 5, 6 and 9 tokens.
OFFSET = torch.tensor([0] * 5 + [7] * 6 + [20] * 9, dtype=torch.int32)
LENGTH, CHANNELS = 20, 300
GENERATOR = torch.Generator().manual_seed(0)
EMBEDDING = torch.randn(30, CHANNELS, generator=GENERATOR)
POSITION = torch.randn(LENGTH, CHANNELS, generator=GENERATOR)


def defined(drawn, tokens, first, end, window):
    """tokens, first, failed, advanced, x: of one sequence."""
    tokens, known, failed = list(tokens), first, -1
    right = True
    for i in range(window):
        p = first + 1 + i
        if p >= end:
            break
        draw = drawn[i]
        if right and draw < 0:
            failed, right = draw, False
        guessed = draw == tokens[p]
        if draw >= 0:
            tokens[p] = draw
        if right:
            known, right = p, guessed
    x = []
    for i in range(window):
        p, token = known + i, 0
        if p < end or i == 0:
            if tokens[p] < 0:
                tokens[p] = 0 if OFFSET[p] != OFFSET[p - 1] else tokens[p - 1]
            token = tokens[p]
        p = min(p, LENGTH - 1)
        x.append(EMBEDDING[OFFSET[p] + token] + POSITION[p])
    return tokens, known, failed, known - first, torch.stack(x)


def check(drawn, tokens, first, end, window):
    """Of sequences that are lists; with half as many draws as sequences they share them."""
    count = len(drawn)
    ints = {"drawn": drawn, "tokens": tokens, "first": first, "end": end}
    found = {name: torch.tensor(value, dtype=torch.int32) for name, value in ints.items()}
    found |= {name: torch.full((count,), 99, dtype=torch.int32) for name in ("failed", "advanced")}
    x = torch.full((len(tokens) * window, CHANNELS), torch.nan)
    next_rows(**found, x=x, embedding=EMBEDDING, offset=OFFSET, position=POSITION, window=window)
    for q in range(len(tokens)):
        b = q % count
        want = defined(drawn[b], tokens[q], first[q], end[b], window)
        assert found["first"][q] == want[1]
        assert torch.equal(x[q * window : (q + 1) * window], want[4])
        reached = slice(0, min(want[1] + window, end[b]))  # later guesses are never looked at
        assert found["tokens"][q, reached].tolist() == want[0][reached]
        assert found["tokens"][q, end[b] :].tolist() == tokens[q][end[b] :]
        if q < count:
            assert (found["failed"][q], found["advanced"][q]) == want[2:4]
    return found


KNOWN = [1, 2, 3, 4, 0]  # of the first stream
NONE = -1


@pytest.mark.interpreted
def test_one_position_a_pass() -> None:
    tokens = KNOWN + [NONE] * 15
    check([[3]], [tokens], [4], [20], 1)
    check([[NONE]], [tokens], [4], [20], 1)  # nothing was drawn
    check([[3]], [tokens], [4], [5], 1)  # idle
    check([[-2 - 7]], [tokens], [4], [20], 1)  # NaN
    check([[NONE] * 2], [[1] * 20], [19], [20], 2)  # the last position


@pytest.mark.interpreted
def test_a_window_counts_up_to_its_first_wrong_guess() -> None:
    tokens = KNOWN + [2, 2, 3, 3, NONE, NONE] + [NONE] * 9
    for drawn, count in (
        ([2, 2, 3, 3], 4),
        ([2, 2, 3, 1], 4),
        ([2, 2, 1, 3], 3),
        ([1, 2, 3, 3], 1),
        ([2, 2, -9, 3], 2),
        ([2, 1, -9, 3], 2),  # a NaN that comes of a wrong guess
        ([-9, 2, 3, 3], 0),
    ):
        found = check([drawn], [tokens], [4], [20], 4)
        assert found["advanced"].tolist() == [count]
    assert check([[2, 2, -9, 3]], [tokens], [4], [20], 4)["failed"].tolist() == [-9]


@pytest.mark.interpreted
def test_a_window_ends_with_its_stream() -> None:
    tokens = KNOWN + [2, 2, 3, 3, 1, NONE] + [NONE] * 9
    check([[3, 1, 5, NONE]], [tokens], [8], [11], 4)  # the last one is not of this stream
    tokens[10] = 5
    check([[NONE] * 4], [tokens], [10], [11], 4)
    check([[NONE] * 4], [tokens[:11] + [4] + [NONE] * 8], [11], [20], 4)
    check([[1, 2, NONE, NONE]], [[1] * 18 + [NONE] * 2], [17], [20], 4)


@pytest.mark.interpreted
@pytest.mark.parametrize("window", [1, 2, 3, 5, 8])
def test_any_sequences(window) -> None:
    """Each goes on by itself; the second half has other captions and the same draws."""
    generator = torch.Generator().manual_seed(window)

    def integers(low, high, *shape):
        return torch.randint(low, high, shape, generator=generator).tolist()

    for _ in range(6):
        first = integers(4, 19, 3)
        half = [KNOWN + row for row in integers(-1, 2, 3, 15)]
        for row, known in zip(half, first, strict=True):
            row[5 : known + 1] = [abs(token) for token in row[5 : known + 1]]
        drawn = integers(-1, 2, 3, window)
        drawn = [[token if token >= 0 else -5 for token in row] for row in drawn]
        end = [min(known + 1 + n, 20) for known, n in zip(first, integers(0, 9, 3), strict=True)]
        other = [[6, 6, 6, 6, 6, *row[5:]] for row in half]
        check(drawn, half + other, first * 2, end, window)


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="it starts this pytest")
def test_under_the_interpreter(run_interpreted) -> None:
    run_interpreted(__file__, "interpreted")
