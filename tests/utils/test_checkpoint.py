"""checkpoint.py: where weights are in the checkpoints of others, and whether they are the right
ones."""

import warnings
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from mas_fast.utils.checkpoint import (
    STATES,
    below,
    check_weights,
    is_average,
    prefixes,
    read_checkpoint,
    state_dict,
)

PATH = Path("x.pt")
ONE, TWO = torch.zeros(2, 3), torch.zeros(4)
WEIGHTS = {"a.weight": ONE, "b.bias": TWO}


def test_what_torch_saved_is_read(tmp_path) -> None:
    torch.save({"a": ONE + 1, "step": 3}, tmp_path / "a.pt")
    found = read_checkpoint(str(tmp_path / "a.pt"))
    assert found["step"] == 3
    assert torch.equal(found["a"], ONE + 1)


def test_no_checkpoint_is_named(tmp_path) -> None:
    for path in (tmp_path, tmp_path / "absent.pt"):
        with pytest.raises(ValueError) as error:
            read_checkpoint(path)
        assert str(error.value) == f"{path}: found no such file, expected a checkpoint"
    file = tmp_path / "a.pt"
    file.write_bytes(b"hello")
    with pytest.raises(ValueError, match="a checkpoint of tensors$") as error:
        read_checkpoint(file)
    assert str(error.value).startswith(f"{file}: ")


@pytest.mark.parametrize("name", STATES)
def test_a_state_dict_is_found_where_others_put_it(name) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for stored in (WEIGHTS, {name: WEIGHTS, "epoch": 3}, {name: OrderedDict(WEIGHTS)}):
            assert state_dict(PATH, stored) == WEIGHTS
        assert state_dict(PATH, {"module": {name: WEIGHTS}}) == WEIGHTS
        assert state_dict(PATH, {"weights": {"module": {"model": WEIGHTS}}}) == WEIGHTS


def test_what_is_no_tensor_is_left_behind() -> None:
    assert state_dict(PATH, {"a.weight": ONE, "lr": 0.1, 3: TWO, "opt": {"m": ONE}}) == {
        "a.weight": ONE
    }


def test_a_model_may_have_a_part_of_that_name() -> None:
    found = {"model": ONE, "b": TWO}
    assert state_dict(PATH, found) == found


def test_averaged_copies_are_told() -> None:
    stored = {"model": WEIGHTS, "model_ema": {"a": ONE}, "ema_decay": 0.9, "swa": WEIGHTS}
    with pytest.warns(UserWarning) as told:
        assert state_dict(PATH, stored) == WEIGHTS
    assert [str(warning.message) for warning in told] == [
        "x.pt: left out ['model_ema', 'swa'], averaged copies of weights"
    ]


@pytest.mark.parametrize(("stored", "kind"), [([ONE], "list"), (ONE, "Tensor"), (None, "NoneType")])
def test_what_is_no_state_dict_is_named(stored, kind) -> None:
    with pytest.raises(ValueError) as error:
        state_dict(PATH, stored)
    assert str(error.value) == (
        f"x.pt: found {kind}, expected a state dict, as of torch.save(model.state_dict(), path)"
    )


def test_prefixes_end_in_a_dot() -> None:
    names = ["module.conv.weight", "conv.weight", "a.b.conv.weight", "xconv.weight", "conv.weights"]
    found = prefixes(dict.fromkeys(names, ONE), "conv.weight")
    assert found == ["module.", "", "a.b."]
    assert prefixes(WEIGHTS, "c.weight") == []


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("model_ema.", True),
        ("module.ema.", True),
        ("ema_model.first.", True),
        ("averaged.", True),
        ("average.", True),
        ("shadow_params.", True),
        ("swa.", True),
        ("", False),
        ("module.", False),
        ("schema.", False),
        ("emanation.", False),
        ("swapped.", False),
    ],
)
def test_averages_are_known_by_their_names(prefix, expected) -> None:
    assert is_average(prefix) is expected


def test_below_takes_the_prefix_off() -> None:
    weights = {"m.a": ONE, "m.m.b": TWO, "n.a": ONE}
    assert below(weights, "m.") == {"a": ONE, "m.b": TWO}
    assert below(weights, "") == weights


def test_weights_that_fit_are_said_nothing_about() -> None:
    check_weights(PATH, WEIGHTS, {"b.bias": (4,), "a.weight": (2, 3)})


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            {"a.weight": (2, 3), "c": (1,)},
            "found 2 tensors, expected 2: missing [c], unexpected [b.bias]",
        ),
        ({"a.weight": (2, 3)}, "found 2 tensors, expected 1: missing [], unexpected [b.bias]"),
        (
            {"a.weight": (3, 2), "b.bias": ()},
            "found other shapes than expected: [a.weight [2, 3] for [3, 2], b.bias [4] for []]",
        ),
    ],
)
def test_weights_that_do_not_fit_are_listed(shapes, message) -> None:
    with pytest.raises(ValueError) as error:
        check_weights(PATH, WEIGHTS, shapes)
    assert str(error.value) == f"x.pt: {message}"


def test_long_lists_are_cut() -> None:
    with pytest.raises(ValueError, match=r"missing \[0, 1, .*, 19\] and 3 more, unexpected \[\]$"):
        check_weights(PATH, {}, {str(n): () for n in range(23)})


def test_integers_are_no_weights() -> None:
    with pytest.raises(ValueError) as error:
        check_weights(PATH, {"a": ONE.long()}, {"a": (2, 3)})
    assert str(error.value) == "x.pt: a: found torch.int64, expected floating point"
