"""gpt_config.py: round trips, checks (test_gpt.py compares its weight shapes with the model)."""

import dataclasses

import pytest

from mas_fast.models.gpt_config import GPTConfig, preset

TINY = preset("tiny")
GRID = dataclasses.replace(TINY, positions="grid", qk_norm=True)


@pytest.mark.parametrize("config", [TINY, GRID], ids=["flat", "grid"])
def test_config_round_trip_and_strictness(config):
    values = config.to_dict()
    assert GPTConfig.from_dict(values) == config
    with pytest.raises(ValueError, match=r"unknown keys \['dropout'\]"):
        GPTConfig.from_dict(values | {"dropout": 0.1})
    with pytest.raises(ValueError, match=r"missing keys \['heads'\]"):
        GPTConfig.from_dict({key: value for key, value in values.items() if key != "heads"})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"heads": 5}, "heads: found 5, expected a divisor of dim = 32"),
        ({"layers": 0}, "layers: found 0, expected an integer in 1..1024"),
        ({"mlp": 8.0}, "mlp: found 8.0"),
        ({"positions": "rotary"}, r"found 'rotary', expected one of \['flat', 'grid'\]"),
        ({"layers": 10**6}, "layers: found 1000000, expected an integer in 1..1024"),
        ({"dim": 10**30}, "dim: found 10*, expected an integer in 1..65536"),
        ({"qk_norm": 1}, "qk_norm: found 1, expected True or False"),
        ({"streams": []}, "streams: found list"),
    ],
)
def test_an_unfit_config_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **values)


def test_an_unknown_preset_is_named():
    with pytest.raises(ValueError, match="found 'large', expected one of .*'mini-270m'"):
        preset("large")


def test_the_engine_gets_the_sizes_that_it_knows():
    assert GRID.to_engine() == {
        "dim": 32,
        "layers": 2,
        "heads": 4,
        "mlp": 128,
        "qk_norm": True,
        "norm_eps": 1e-5,
        "streams": [
            {"name": "text", "length": 8, "vocab": 64},
            {"name": "seg", "length": 16, "vocab": 32},
            {"name": "img", "length": 16, "vocab": 64},
        ],
    }
