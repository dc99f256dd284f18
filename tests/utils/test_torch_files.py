"""pickles.py and torch_files.py: what torch.save and numpy write comes back, whatever else lies
beside it; what a forged file asks for is not done."""

import argparse
import collections
import copy
import datetime
import enum
import functools
import io
import itertools
import operator
import pathlib
import pickle
import struct
import sys
import threading
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from mas_fast.utils.checkpoint import read_checkpoint, state_dict
from mas_fast.utils.pickles import Name, Shell, array, read_pickle


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


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_come_back(protocol):
    arrays = [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(3, dtype=">i4"),
        np.array([True, False]),
        np.arange(4, dtype=np.float16)[::2],
        np.array(7),
        np.zeros((0, 3)),
        np.float32(1.5),
    ]
    found = read_pickle(pickle.dumps(arrays, protocol))
    for one, expected in zip(map(array, found), arrays, strict=True):
        assert one.shape == expected.shape
        assert (one == expected).all()
        assert one.dtype.kind == expected.dtype.kind
        assert one.dtype.itemsize == expected.itemsize


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_come_back(protocol):
    value = {"a": [1, -(2**70), 1.5, None, True, "é"], 2: ("b", (b"c",)), (1, "d"): {"e": []}}
    assert read_pickle(pickle.dumps(value, protocol)) == value
    shared = [1]
    found = read_pickle(pickle.dumps([shared, shared], protocol))
    assert found[0] is found[1]
    loop: list = []
    loop.append(loop)
    found = read_pickle(pickle.dumps(loop, protocol))
    assert found[0] is found


# ---------------------------------------------------------------------- what is forged


def forge(path, code: bytes, records: dict[str, bytes] | None = None) -> None:
    """A zip as torch writes it, around a pickle written by hand."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", code)
        for name, data in (records or {"0": b"\0" * 16}).items():
            archive.writestr(f"archive/data/{name}", data)


def call(module: str, name: str, argument: bytes = b"(S'1'\nt") -> bytes:
    return f"c{module}\n{name}\n".encode() + argument + b"R."


CODE = {
    "eval": call("builtins", "eval"),
    "eval of Python 2": call("__builtin__", "eval"),
    "import": call("builtins", "__import__"),
    "getattr": call("builtins", "getattr"),
    "getattr of a value": call("builtins", "getattr", b"(S'a'\nS'upper'\nt"),
    "system": call("os", "system"),
    "posix": call("posix", "system"),
    "popen": call("subprocess", "Popen"),
    "dotted": b"\x80\x04\x8c\x07pathlib\x8c\x09os.system\x93(S'1'\ntR.",
    "dotted builtin": b"\x80\x04\x8c\x0bcollections\x8c\x13abc.sys.modules.get\x93(S'1'\ntR.",
    "submodule": call("importlib.util", "find_spec"),
    "runpy": call("runpy", "run_path"),
    "torch.load": call("torch", "load"),
    "inst": b"(S'1'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'1'\no.",
    "after a value": b"]" + call("os", "system"),
}


@pytest.mark.parametrize("name", CODE)
def test_code_is_named(tmp_path, name):
    forge(tmp_path / "a.ckpt", CODE[name])
    with pytest.raises(ValueError, match=r"a\.ckpt: found [\w.]+ in it, which may be code"):
        read_checkpoint(tmp_path / "a.ckpt")


class Ran:
    """Leaves a mark when it is called, however a pickle may call it."""

    marks: list = []

    def __new__(cls, *args, **kwargs):
        cls.marks.append("new")
        return super().__new__(cls)

    def __init__(self, *args, **kwargs) -> None:
        self.marks.append("init")

    def __setstate__(self, state) -> None:
        self.marks.append("state")

    def __setitem__(self, key, value) -> None:
        self.marks.append("item")

    def append(self, value) -> None:
        self.marks.append("append")

    def __hash__(self) -> int:
        self.marks.append("hash")
        return 1


OWN = f"c{__name__}\nRan\n".encode()
QUIET = {
    "reduce": OWN + b"(S'1'\ntR.",
    "twice": OWN + b")R)R.",
    "new": b"\x80\x02" + OWN + b")\x81.",
    "new with names": b"\x80\x04" + OWN + b")}\x92.",
    "build": b"\x80\x02" + OWN + b")\x81}S'a'\nS'b'\nsb.",
    "build of a class": OWN + b"}S'marks'\nS'b'\nsb.",
    "append": b"\x80\x02" + OWN + b")\x81S'a'\na.",
    "items": b"\x80\x02" + OWN + b")\x81(S'a'\nS'b'\nu.",
    "key": b"}" + OWN + b")RS'b'\ns.",
    "reconstructor": b"ccopy_reg\n_reconstructor\n(" + OWN + b"c__builtin__\nobject\nNtR.",
    "newobj": b"ccopyreg\n__newobj__\n(" + OWN + b"S'1'\ntR.",
    "from_type": b"ctorch._tensor\n_rebuild_from_type_v2\n(" + OWN + OWN + b")NtR.",
    "parameter": b"ctorch._utils\n_rebuild_parameter\n(" + OWN + b")RI01\n}tR.",
    "partial": b"cfunctools\npartial\n(" + OWN + b"tR.",
    "default": b"ccollections\ndefaultdict\n(" + OWN + b"tR(S'a'\nS'b'\nu.",
    "bytes": b"ctorch.storage\n_load_from_bytes\n(S'1'\ntR.",
}


@pytest.mark.parametrize("name", QUIET)
def test_nothing_is_called(tmp_path, name):
    forge(tmp_path / "a.ckpt", QUIET[name])
    Ran.marks = []
    read_checkpoint(tmp_path / "a.ckpt")
    assert Ran.marks == []


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


def deep_key() -> bytes:
    """A dict whose key is a tuple of a tuple of ..., each of them twice: 2^60 to hash."""
    return b"})" + b"q\x00h\x00\x86" * 60 + b"I1\ns."


def again(value: bytes, call: bytes, count: int) -> bytes:
    """A list of what a call makes of one large value, each time anew."""
    return value + b"q\x00](" + (call + b"R") * count + b"e."


TEXT = b"\x80\x02X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)
ENCODE = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86"
ITEMS = b"\x80\x02](" + b"K\x01" * (1 << 19) + b"e"
ARRAY = b"ctorch._utils\n_rebuild_device_tensor_from_numpy\n(cnumpy\n_frombuffer\n(h\x00cnumpy\n"
ARRAY += b"dtype\n(S'u1'\ntRK\x00\x85S'C'\ntRt"

BOMBS = {
    "one text as many bytes": again(TEXT, ENCODE, 20_000),
    "one text as many tensors": again(TEXT, ARRAY, 20_000),
    "one list in many": again(ITEMS, b"c__builtin__\nlist\nh\x00\x85", 3000),
    "one tuple in many objects": again(
        ITEMS.replace(b"](", b"(c__main__\nA\n")[:-1] + b"t", b"ccopyreg\n__newobj__\nh\x00", 3000
    ),
    "one long key in many": ITEMS.replace(b"](", b"(")[:-1] + b"tq\x00}" + b"h\x00Ns" * 5000 + b".",
    "bytes of 2^62": b"\x80\x05\x8e" + struct.pack("<Q", 1 << 62) + b"a.",
    "bytearray of 2^40": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"a.",
    "text of 2^31": b"\x80\x02X" + struct.pack("<I", (1 << 31) - 1) + b"a.",
    "memo at 2^31": b"\x80\x02]r" + struct.pack("<I", (1 << 31) - 1) + b".",
    "zeros": b"cbuiltins\nbytearray\n(I1000000000000\ntR.",
    "zeros by bytes": b"c__builtin__\nbytes\n(I1000000000000\ntR.",
    "array of 2^40": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I1099511627776\nt"
    b"S'b'\ntR.",
    "digits": b"I" + b"9" * 100_000 + b"\n.",
    "key": deep_key(),
    "element of a set": b"\x80\x04\x8f(" + deep_key()[1:-5] + b"\x90.",
    "class": deep_key()[1:-5] + b")\x81.",
    "call": deep_key()[1:-5] + b")R.",
    "deep": b"]" * 50_000 + b"a" * 49_999 + b".",
    "no stop": b"]" * 1000,
    "no mark": b"t.",
    "no stack": b"a.",
    "nothing": b"",
    "ext": b"\x80\x02\x82\x01.",
    "buffer": b"\x80\x05\x97.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_take_neither_time_nor_memory(tmp_path, name):
    forge(tmp_path / "a.ckpt", BOMBS[name])
    tracemalloc.start()
    start = time.process_time()
    try:
        read_checkpoint(tmp_path / "a.ckpt")
    except ValueError as error:
        assert str(error).startswith(f"{tmp_path / 'a.ckpt'}: ")
        assert len(str(error)) < 1000
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 1e8
    assert time.process_time() - start < 20


def test_too_many_instructions_are_refused(monkeypatch):
    monkeypatch.setattr("mas_fast.utils.pickles.MOST_STEPS", 1000)
    read_pickle(b"]" * 999 + b".")
    with pytest.raises(ValueError, match="found more than 1000 instructions"):
        read_pickle(b"]" * 1000 + b".")


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


def test_a_pickle_in_a_stream_is_left_behind_its_end():
    stream = io.BytesIO(pickle.dumps([1]) + pickle.dumps("b") + b"rest")
    assert read_pickle(stream) == [1]
    assert read_pickle(stream) == "b"
    assert stream.read() == b"rest"
