"""utils/torch_files.py: what torch.save wrote comes back, whatever else lies beside it; what is
forged or broken is named."""

import argparse
import collections
import copy
import datetime
import enum
import functools
import itertools
import operator
import pathlib
import sys
import threading
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from forged import forge
from mas_fast.utils.checkpoint import read_checkpoint, state_dict
from mas_fast.utils.pickle_values import Name, Shell, array


class Color(enum.Enum):
    RED = 1


class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2


class Callback:
    """As Lightning's, by class and by object."""

    def __init__(self) -> None:
        self.best, self.seen = np.float64(0.5), {1, 2}

    def hook(self) -> None:
        pass


class Node:
    """As OmegaConf's: an object whose state leads back to it."""

    def __init__(self, values: dict) -> None:
        self.__dict__["_content"] = values
        self.__dict__["_parent"] = self

    def __getstate__(self):
        return self.__dict__

    def __setstate__(self, state) -> None:
        self.__dict__.update(state)


class Attributes(dict):
    """As Lightning's AttributeDict."""


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self) -> None:
        self.a, self.b = 1, [2]


def weights() -> dict[str, torch.Tensor]:
    base = torch.arange(24.0)
    return collections.OrderedDict(
        plain=base.view(4, 6),
        transposed=base.view(4, 6).t(),
        part=base[5:9],
        parameter=nn.Parameter(torch.ones(3)),
        half=torch.ones(2).half(),
        bfloat=torch.full((3,), 1.5, dtype=torch.bfloat16),
        numbers=torch.arange(5),
        switches=torch.tensor([True, False]),
        unsigned=torch.ones(3, dtype=torch.uint16),
        complex=torch.ones(2, dtype=torch.complex64),
        scalar=torch.tensor(3.0),
        nothing=torch.zeros(0, 5),
    )


def company() -> dict:
    """What lies beside the weights in the wild."""
    loose = nn.Parameter(torch.ones(2))
    loose.note = "an attribute"
    return {
        "epoch": 3,
        "callbacks": {Callback: Callback(), "EarlyStopping": {"wait": 3}},
        "set": {1, "b", None},
        "frozen": frozenset([1]),
        "numpy": [np.float32(1), np.int64(2), np.bool_(True), np.dtype("f4"), np.str_("a")],
        "objects": np.array([{1}, None], dtype=object),
        "counter": collections.Counter("aab"),
        "default": collections.defaultdict(list, {1: [2]}),
        "nested": collections.defaultdict(functools.partial(collections.defaultdict, int)),
        "queue": collections.deque([1, 2], 3),
        "dtype": [torch.float16, torch.device("cuda:0"), torch.Size([2]), torch.strided],
        "hyper_parameters": Attributes(lr=0.1, config=Node({"lr": Node({})})),
        "arguments": argparse.Namespace(path=pathlib.Path("/a"), when=datetime.datetime.now()),
        "times": [datetime.timedelta(1), datetime.timezone.utc, datetime.date.today()],
        "enum": [Color.RED, Level.LOW | Level.HIGH, {Color.RED: Color}],
        "functions": [functools.partial(print, 1), len, Callback().hook, Node.__getstate__],
        "sorted by": [operator.itemgetter("loss"), itertools.count(3), range(3)],
        "errors": [ValueError("a loss of nan"), KeyboardInterrupt()],
        "types": [list[int] | None, type(None), slice(1), 1j, ..., NotImplemented],
        "slots": Slotted(),
        "bytes": [b"\xff", bytearray(b"ab")],
        "loose": loose,
        "expanded": torch.ones(1).expand(1000, 1000),
        "sparse": torch.eye(3).to_sparse(),
        "module": nn.Linear(2, 2),
        "deep": {("a", 1): {((1, 2), 3): 4}},
    }


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_what_is_found_in_the_wild_is_read(tmp_path, protocol, zipped):
    path, expected = tmp_path / "last.ckpt", weights()
    torch.save(
        company() | {"state_dict": expected},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=zipped,
    )
    before = set(sys.modules)
    stored = read_checkpoint(path)
    assert set(sys.modules) == before
    found = state_dict(path, stored)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name
    assert stored["epoch"] == 3
    assert stored["counter"] == {"a": 2, "b": 1}
    assert stored["default"] == {1: [2]}
    assert set(stored["set"]) == {1, "b", None}
    assert stored["bytes"] == [b"\xff", b"ab"]
    assert torch.equal(stored["loose"], torch.ones(2))
    assert [array(value) for value in stored["numpy"][:3]] == [1, 2, True]
    assert array(stored["objects"]) is None
    assert isinstance(stored["expanded"], Shell)
    assert stored["hyper_parameters"].items["lr"] == 0.1
    assert Name("torch", "float16") in stored["dtype"]


# ---------------------------------------------------------------------- what is forged


def tensor(numel: int = 4, offset=0, size=(4,), stride=(1,), key="0", dtype="FloatStorage"):
    """The pickle of one tensor over a storage."""

    def number(n: int) -> bytes:
        return f"I{n}\n".encode()

    def numbers(values) -> bytes:
        return b"(" + b"".join(map(number, values)) + b"t"

    storage = b"(S'storage'\nctorch\n" + dtype.encode() + f"\nS'{key}'\nS'cpu'\n".encode()
    storage += number(numel) + b"tQ"
    shape = number(offset) + numbers(size) + numbers(stride)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + shape + b"I00\n}tR."


def test_a_forged_tensor_that_fits_is_read(tmp_path):
    forge(tmp_path / "a.ckpt", tensor(size=(2, 2), stride=(2, 1)))
    assert torch.equal(read_checkpoint(tmp_path / "a.ckpt"), torch.zeros(2, 2))


BOUNDS = {
    "a storage larger than its bytes": (tensor(numel=500_000_000), "found 16 bytes of the storage"),
    "one of 2^62": (tensor(numel=1 << 62), "found 16 bytes"),
    "one of -1": (tensor(numel=-1), "found a storage that is none of torch.save"),
    "one without bytes": (tensor(key="9"), "found no data/9 in the archive"),
    "one elsewhere": (tensor(key="../data.pkl"), r"found no data/../data.pkl in the archive"),
    "one of a class": (tensor(dtype="load"), "found a storage that is none of torch.save"),
    "a tensor past its storage": (
        tensor(size=(5,)),
        r"a tensor \[5\] that ends at element 4",
    ),
    "a stride past it": (tensor(size=(2,), stride=(4,)), "ends at element 4 of a storage of 4"),
    "an offset past it": (tensor(offset=4, size=(1,)), "ends at element 4"),
    "an offset before it": (tensor(offset=-1), "no whole numbers"),
    "a size of -1": (tensor(size=(-1,)), "no whole numbers"),
    "a stride of -1": (tensor(offset=3, stride=(-1,)), "no whole numbers"),
    "sizes without strides": (tensor(stride=()), "no whole numbers"),
    "sizes that overflow": (tensor(size=(1 << 62, 1 << 62), stride=(1, 1)), "ends at element"),
    "a size above 2^63": (tensor(size=(1 << 64,)), "no whole numbers"),
    "no storage": (b"ctorch._utils\n_rebuild_tensor_v2\n(NI0\n)))}tR.", "over NoneType"),
    "too few arguments": (b"ctorch._utils\n_rebuild_tensor_v2\n(NtR.", "damaged pickle"),
    "an id of nothing": (b"NQ.", "found a persistent id that is none of torch.save"),
    "an id of a text": (b"S'a'\nQ.", "persistent id"),
    "an empty id": (b")Q.", "persistent id"),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_nothing_is_read_out_of_bounds(tmp_path, name):
    code, message = BOUNDS[name]
    forge(tmp_path / "a.ckpt", code)
    with pytest.raises(ValueError, match=rf"a\.ckpt: .*{message}"):
        read_checkpoint(tmp_path / "a.ckpt")


def test_a_tensor_of_more_elements_than_its_storage_is_no_weight(tmp_path):
    """A copy of it could fill any memory."""
    forge(tmp_path / "a.ckpt", b"}S'a'\n" + tensor(size=(1 << 40,), stride=(0,))[:-1] + b"s.")
    stored = read_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="a: found a tensor of torch.Tensor, expected a plain one"):
        state_dict(tmp_path / "a.ckpt", stored)


def test_broken_archives_are_named(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save({"a": torch.arange(1000.0)}, path)
    data = path.read_bytes()
    for end in (len(data) // 2, len(data) - 1, 3):
        path.write_bytes(data[:end])
        with pytest.raises(ValueError, match=r"a\.ckpt: "):
            read_checkpoint(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", tensor())
        archive.writestr("archive/data/0", b"\0" * 10**6)
    with pytest.raises(ValueError, match="found data.pkl compressed"):
        read_checkpoint(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "b")
    with pytest.raises(ValueError, match=r"found a zip archive of \['a.txt'\], expected one data"):
        read_checkpoint(path)
    forge(path, tensor())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/byteorder", "big" if sys.byteorder == "little" else "little")
    with pytest.raises(ValueError, match="found the byte order"):
        read_checkpoint(path)


def test_members_that_lie_upon_each_other_are_not_read(tmp_path):
    """A small file that claims one block a hundred times."""
    path, keys = tmp_path / "a.ckpt", [str(n) for n in range(100)]
    with zipfile.ZipFile(path, "w") as archive:
        parts = [tensor(40_000, size=(40_000,), key=key)[:-1] for key in keys]
        archive.writestr("archive/data.pkl", b"(" + b"".join(parts) + b"t.")
        archive.writestr("archive/data/0", b"\0" * 160_000)
        for key in keys[1:]:
            member = copy.copy(archive.getinfo("archive/data/0"))
            member.filename = f"archive/data/{key}"
            archive.filelist.append(member)
    assert path.stat().st_size < 200_000
    with pytest.raises(ValueError, match="data/1 compressed, or larger than the file"):
        read_checkpoint(path)


def test_mutations_end_in_value_errors(tmp_path):
    """A few hundred damaged files: nothing but ValueError comes out, and no signal."""
    generator = np.random.default_rng(0)
    for zipped in (True, False):
        torch.save({"state_dict": weights()}, tmp_path / "a", _use_new_zipfile_serialization=zipped)
        data = np.frombuffer((tmp_path / "a").read_bytes(), np.uint8)
        for _ in range(150):
            changed = data.copy()
            for place in generator.integers(0, len(data), generator.integers(1, 4)):
                changed[place] = generator.integers(0, 256)
            (tmp_path / "b").write_bytes(changed.tobytes())
            try:
                state_dict(tmp_path / "b", read_checkpoint(tmp_path / "b"))
            except ValueError as error:
                assert str(tmp_path / "b") in str(error)


def test_an_object_that_holds_the_weights_is_named(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"found torch.nn.modules.linear.Linear, expected a state"):
        state_dict(tmp_path / "a.pt", read_checkpoint(tmp_path / "a.pt"))
    torch.save({"a": torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8)}, tmp_path / "b")
    with pytest.raises(ValueError, match="a: found a tensor of torch._utils._rebuild_qtensor"):
        state_dict(tmp_path / "b", read_checkpoint(tmp_path / "b"))


def test_files_may_be_read_from_threads(tmp_path):
    torch.save({"state_dict": weights()}, tmp_path / "a.ckpt")
    found: list = []
    threads = [
        threading.Thread(target=lambda: found.append(read_checkpoint(tmp_path / "a.ckpt")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
