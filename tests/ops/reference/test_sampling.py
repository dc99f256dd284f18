"""reference/sampling.py: random bits and arithmetic. test_functional_sampling.py: what it draws."""

import math

import pytest
import torch

from mas_fast.ops import reference

INF = math.inf


@pytest.mark.parametrize(
    "counter, key, words",
    [  # Random123, kat_vectors: philox4x32 10
        ("00000000 00000000 00000000 00000000", "00000000 00000000",
         "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
         "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
         "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)  # fmt: skip
def test_philox_known_answers(counter, key, words):
    counter, key, words = ([int(x, 16) for x in text.split()] for text in (counter, key, words))
    assert reference.philox4x32(tuple(key), torch.tensor(counter)).tolist() == words


def worst_ulps(function, exact, points):
    import mpmath

    with mpmath.workprec(160):
        worst = 0.0
        for x, got in zip(points.tolist(), function(points).tolist(), strict=True):
            want = exact(mpmath.mpf(x))
            worst = max(worst, abs(float((mpmath.mpf(got) - want) / math.ulp(float(want)))))
    return worst


def test_exact_exp():
    mpmath = pytest.importorskip("mpmath")
    g = torch.Generator().manual_seed(0)
    x = [-708 * torch.rand(2000, generator=g, dtype=torch.float64) ** k for k in (1, 4, 16)]
    x += [torch.arange(-2040, 1).double() * (math.log(2) / 2)]  # where the reduction changes k
    assert worst_ulps(reference.exact_exp, mpmath.exp, torch.cat(x)) < 1
    edges = torch.tensor([0.0, -0.0, -708.5, -1e300, -INF], dtype=torch.float64)
    assert reference.exact_exp(edges).tolist() == [1, 1, 0, 0, 0]


def test_exact_log():
    mpmath = pytest.importorskip("mpmath")
    g = torch.Generator().manual_seed(0)
    random = torch.randint(0, 1 << 32, (3000,), generator=g)
    random = torch.cat([random, torch.arange(500), (1 << 32) - 1 - torch.arange(500)])
    u = (random.double() + 0.5) * 2.0**-32
    assert worst_ulps(reference.exact_log, mpmath.log, u) < 1
    assert worst_ulps(reference.exact_log, mpmath.log, -u.log()) < 1
    assert reference.exact_log(torch.ones(1, dtype=torch.float64)).item() == 0


def test_weights_are_monotone():
    """A larger logit never has a smaller weight, also where exp changes its reduction."""
    near = torch.arange(1, 42).double()[:, None] * (math.log(2) / 2)
    x = -(near + torch.arange(-2000, 2000).double() * 2.0**-44)
    assert (reference.exact_exp(x).diff(dim=1) <= 0).all()
