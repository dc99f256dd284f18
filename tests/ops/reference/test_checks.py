"""reference/checks.py: what every definition requires of its arguments."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch._subclasses import FakeTensorMode

from mas_fast.ops.reference.checks import check_finite, has_values, to_integer, to_real


def test_only_real_tensors_have_values() -> None:
    tensor = torch.zeros(2, 3)
    assert has_values(tensor)
    assert not has_values(tensor.to("meta"))
    with FakeTensorMode() as mode:
        assert not has_values(mode.from_tensor(tensor))


def test_while_a_graph_is_made_there_are_no_values() -> None:
    function = torch.compile(lambda x: x + has_values(x), fullgraph=True, backend="eager")
    assert function(torch.zeros(1)).item() == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_first_value_that_is_not_finite_is_named(value) -> None:
    tensor = torch.zeros(3, 4)
    check_finite("x", tensor)
    tensor[1, 2], tensor[2, 0] = value, math.nan
    with pytest.raises(ValueError) as error:
        check_finite("x", tensor)
    assert str(error.value) == f"x: found {value} in row 1, channel 2, expected finite values"
    check_finite("x", tensor.to("meta"))
    check_finite("x", tensor[:0])


def test_integers_of_any_kind() -> None:
    for value in (7, np.int8(7), torch.tensor(7)):
        assert to_integer("n", value) == 7
    for value, kind in ((7.0, "float"), ("7", "str"), (None, "NoneType")):
        with pytest.raises(TypeError) as error:
            to_integer("n", value)
        assert str(error.value) == f"n: found {kind}, expected an int"


def test_numbers_of_any_kind() -> None:
    for value in (0.5, np.float32(0.5), Fraction(1, 2)):
        assert to_real("p", value) == 0.5
    assert to_real("p", 10**400) == math.inf
    assert to_real("p", -(10**400)) == -math.inf
    for value, kind in (("0.5", "str"), (1j, "complex"), (None, "NoneType")):
        with pytest.raises(TypeError) as error:
            to_real("p", value)
        assert str(error.value) == f"p: found {kind}, expected a float"
