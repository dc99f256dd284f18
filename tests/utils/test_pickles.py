"""utils/pickles.py: plain values come back; what a forged pickle asks for is not done."""

import io
import pickle
import struct
import time
import tracemalloc

import numpy as np
import pytest

from forged import forge
from mas_fast.utils.checkpoint import read_checkpoint
from mas_fast.utils.pickle_values import array
from mas_fast.utils.pickles import read_pickle


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


def test_a_pickle_in_a_stream_is_left_behind_its_end():
    stream = io.BytesIO(pickle.dumps([1]) + pickle.dumps("b") + b"rest")
    assert read_pickle(stream) == [1]
    assert read_pickle(stream) == "b"
    assert stream.read() == b"rest"
