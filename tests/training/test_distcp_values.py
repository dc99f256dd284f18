"""distcp_values.py: plain values out of pickles of torch.distributed.checkpoint."""

import pickle
from collections import OrderedDict
from pathlib import PurePath

import pytest
import torch
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata

from mas_fast.training.distcp_values import (
    Made,
    counts_of,
    fields_of,
    is_made,
    kind_of,
    size_of,
    values_of,
)


@pytest.mark.parametrize("protocol", [2, 4])
def test_plain_values_come_back(protocol) -> None:
    value = {"a": [1, -2, 1 << 40, None, True, ("b", ())], "c": {"d": False}, "e": []}
    assert values_of(pickle.dumps(value, protocol)) == value


def test_objects_are_not_made() -> None:
    chunk = ChunkStorageMetadata(offsets=torch.Size([2, 0]), sizes=torch.Size([3, 4]))
    found = values_of(pickle.dumps(chunk))
    assert type(found) is Made
    assert is_made(found, "ChunkStorageMetadata")
    assert not is_made(found, "Size")
    fields = fields_of(found, "ChunkStorageMetadata")
    assert (size_of(fields["offsets"]), size_of(fields["sizes"])) == ((2, 0), (3, 4))
    assert kind_of(found) == "ChunkStorageMetadata"
    with pytest.raises(ValueError, match="^found ChunkStorageMetadata, expected a Metadata$"):
        fields_of(found, "Metadata")
    with pytest.raises(ValueError, match="^found ChunkStorageMetadata, expected a Size$"):
        size_of(found)


def test_a_name_alone_is_no_object() -> None:
    found = values_of(pickle.dumps(torch.Size))
    assert not is_made(found, "Size")
    with pytest.raises(ValueError, match="^found Size, expected a Size$"):
        size_of(found)


@pytest.mark.parametrize(
    "value", [print, pickle.loads, PurePath("a"), {1: 2}, {(1,): 2}, 1.5, b"a"]
)
def test_what_torch_does_not_write_is_refused(value) -> None:
    with pytest.raises(ValueError, match="found "):
        values_of(pickle.dumps(value))


def test_code_is_named() -> None:
    with pytest.raises(ValueError) as error:
        values_of(pickle.dumps(print))
    assert str(error.value) == "found builtins.print in it, which may be code"


def test_a_pickle_that_is_cut_off_is_named() -> None:
    content = pickle.dumps({"a": [1, 2, "three"], "b": OrderedDict()})
    for end in range(len(content)):
        with pytest.raises(ValueError, match="cut off|truncated|exhausted"):
            values_of(content[:end])
    with pytest.raises(ValueError, match="cut off"):
        values_of(b"")


@pytest.mark.parametrize("values", [(), (0,), (1, 2, (1 << 63) - 1), (0,) * 64])
def test_sizes(values) -> None:
    assert counts_of(values) == values


@pytest.mark.parametrize(
    "values", [(-1,), (1 << 63,), (True,), (1.0,), [1], (0,) * 65, None, ((1,),)]
)
def test_what_are_no_sizes(values) -> None:
    with pytest.raises(ValueError, match=f"^found {type(values).__name__}, expected sizes$"):
        counts_of(values)
