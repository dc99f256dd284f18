"""What makes the host look at the values of tensors, and so, on a GPU, wait for it."""

import contextlib
from collections.abc import Iterator

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = ["_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2"]
INDEXING = ["index", "index_put", "index_put_"]  # which look for the places that a bool tensor sets
READERS = ["tolist", "item", "numpy", "cpu", "__float__", "__int__", "__bool__", "__index__"]


class Reads(TorchDispatchMode):
    """Notes what makes the host look at values: operators, and methods that use none."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in WAITING or (name in INDEXING and torch.bool in _dtypes(args[1])):
            self.seen.append(name)
        return function(*args, **kwargs or {})


def _dtypes(indices) -> set[torch.dtype]:
    return {index.dtype for index in indices if index is not None}


@contextlib.contextmanager
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The looks within the block, as they come."""

    def noting(name, method):
        def call(self, *args, **kwargs):
            found.seen.append(name)
            return method(self, *args, **kwargs)

        return call

    with monkeypatch.context() as patch, Reads() as found:
        for name in READERS:
            patch.setattr(torch.Tensor, name, noting(name, getattr(torch.Tensor, name)))
        yield found.seen
