"""options.py: what a painter can be asked for beside captions."""

import inspect

import pytest

from mas_fast.pipelines.base import Painter
from mas_fast.pipelines.options import Options, check_names, sampling_of


def test_generate_has_these_options() -> None:
    names = [*inspect.signature(Painter.generate).parameters][2:]  # without self and captions
    assert names == [*Options.__annotations__]


def test_unknown_options_are_named() -> None:
    check_names({"seed": 1})
    with pytest.raises(TypeError, match="sead: found an unknown option, expected one of num_imag"):
        check_names({"sead": 1})


def test_settings_of_sampling() -> None:
    own = {"guidance": {"seg": 3.0, "img": 5.0}, "top_k": {"seg": 256, "img": None}}
    assert sampling_of(own, {}) == own
    assert sampling_of(own, {"guidance": 2.0})["guidance"] == {"seg": 2.0, "img": 2.0}
    assert sampling_of(own, {"guidance": [5, 2]})["guidance"] == {"seg": [5, 2], "img": [5, 2]}
    assert sampling_of(own, {"top_k": {"img": 8}})["top_k"] == {"seg": 256, "img": 8}
    assert sampling_of(own, {"top_k": {"seg": None}})["top_k"] == {"seg": None, "img": None}
