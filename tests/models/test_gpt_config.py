"""gpt_config.py: round trips, checks (test_gpt.py compares its weight shapes with the model)."""

import dataclasses

import pytest

from mas_fast.models.gpt_config import GPTConfig, preset
from mas_fast.streams import Stream, Streams

TINY = preset("tiny")
GRID = dataclasses.replace(TINY, positions="grid", qk_norm=True)
SPARSE = dataclasses.replace(TINY, attention=["row", "conv"], conv_kernel=5)
FLAT = Streams([*TINY.streams, Stream("more", 4, 9)])


@pytest.mark.parametrize("config", [TINY, GRID, SPARSE], ids=["flat", "grid", "sparse"])
def test_config_round_trip_and_strictness(config):
    values = config.to_dict()
    assert GPTConfig.from_dict(values) == config
    with pytest.raises(ValueError, match=r"found unknown keys \['dropout'\]"):
        GPTConfig.from_dict(values | {"dropout": 0.1})
    with pytest.raises(ValueError, match=r"found no keys \['heads'\]"):
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
        ({"attention": "full"}, r"attention: found 'full', expected one of \['causal', 'row', "),
        ({"attention": 3}, "attention: found 3, expected one of .*, or a list of one a layer"),
        ({"attention": ["row"]}, "attention: found a list of 1, expected 2, one a layer"),
        ({"attention": ["row", ["row"]]}, r"attention: found \['row'\], expected one of"),
        ({"attention": "row", "streams": FLAT}, "attention: found the grids .*'more': None}, exp"),
        ({"attention": "conv", "streams": Streams(list(FLAT)[::-1])}, "for the last ones.*'conv'"),
        ({"conv_kernel": 4}, "conv_kernel: found 4, expected an odd number"),
        ({"conv_kernel": 0}, "conv_kernel: found 0, expected an integer in 1..1048576"),
    ],
)
def test_an_unfit_config_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **values)


def test_an_unknown_preset_is_named():
    with pytest.raises(ValueError, match="found 'large', expected one of .*'mini-270m'"):
        preset("large")


def test_a_causal_config_is_written_as_before_there_were_masks():
    assert not {"attention", "conv_kernel"} & set(TINY.to_dict())
    assert GPTConfig.from_dict(TINY.to_dict()).attention == "causal"
    assert dataclasses.replace(TINY, attention=["causal", "causal"]) == TINY
    assert SPARSE.to_dict()["attention"] == ["row", "conv"]


def test_the_engine_gets_the_masks():
    found = SPARSE.to_engine()
    assert found["attention"] == ["row", "conv"]
    assert found["conv_kernel"] == 5
    assert [stream.get("grid") for stream in found["streams"]] == [None, [4, 4], [4, 4]]


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
