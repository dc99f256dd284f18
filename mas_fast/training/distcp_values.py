"""The pickles of torch.distributed.checkpoint as plain values; nothing that they name is made.

An unpickler that knows only the opcodes and the names that torch 2.11 to 2.15 write: every object
becomes a `Made`. Python's own unpickler and not the one in C, which gets memory for as many entries
as a byte of the file asks for.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from typing import Any, ClassVar, TypeGuard

import torch

STORAGES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in STORAGES.values()}
OF_METADATA = "torch.distributed.checkpoint.metadata"
NAMES = {
    *((OF_METADATA, "Metadata"), (OF_METADATA, "MetadataIndex"), (OF_METADATA, "StorageMeta")),
    *((OF_METADATA, "TensorStorageMetadata"), (OF_METADATA, "ChunkStorageMetadata")),
    *((OF_METADATA, "TensorProperties"), (OF_METADATA, "_MEM_FORMAT_ENCODING")),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    *(("torch", "Size"), ("torch.serialization", "_get_layout")),
    *(("pathlib", "PosixPath"), ("pathlib", "WindowsPath")),
    *(("pathlib._local", "PosixPath"), ("pathlib._local", "WindowsPath")),  # of Python 3.13
    *(("torch._utils", "_rebuild_tensor_v2"), ("collections", "OrderedDict")),
    *(("torch", name) for name in (*DTYPES, *STORAGES)),
}


class Made:
    """An object that a pickle asks for, and that is not made.

    Attributes:
        name: of its class or of a function.
        arguments: of the call; None for the class or function itself.
        state: what the pickle then put into it.
    """

    def __init__(self, name: str, arguments: Any = None) -> None:
        self.name, self.arguments = name, arguments
        self.state: Any = None


OPCODES = (
    "PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINUNICODE "
    "SHORT_BINUNICODE EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST EMPTY_DICT MEMOIZE BINPUT "
    "LONG_BINPUT BINGET LONG_BINGET GLOBAL STACK_GLOBAL APPEND APPENDS BINPERSID"
).split()
CODES = {getattr(pickle, name)[0] for name in OPCODES}


class _Values(pickle._Unpickler):
    """Makes nothing: every object becomes a Made. Other opcodes and names are errors."""

    stack: list[Any]  # of Python's unpickler, as the next two
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    dispatch: ClassVar[dict[int, Any]] = {
        code: method for code, method in pickle._Unpickler.dispatch.items() if code in CODES
    }

    def find_class(self, module: str, name: str) -> Made:
        if (module, name) not in NAMES:
            raise pickle.UnpicklingError(f"found {module}.{name} in it, which may be code")
        return Made(name)

    def persistent_load(self, pid: object) -> Made:
        return Made("storage", pid)

    def _make(self) -> None:  # of a name and its arguments
        arguments, name = self.stack.pop(), self.stack.pop()
        if type(name) is not Made or name.arguments is not None or type(arguments) is not tuple:
            raise pickle.UnpicklingError("found a call of something without a name in it")
        self.append(Made(name.name, arguments))

    def _build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if type(made) is not Made or made.arguments is None:
            raise pickle.UnpicklingError("found the state of something that is no object in it")
        made.state = state

    def _fill(self, values: list) -> None:
        if type(self.stack[-1]) is not dict:
            raise pickle.UnpicklingError("found items of something that is no dict in it")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) not in (str, Made):  # a tuple in tuples may take forever to hash
                raise pickle.UnpicklingError(f"found a key that is a {type(key).__name__} in it")
            self.stack[-1][key] = value

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value])

    def _set_items(self) -> None:
        self._fill(self.pop_mark())

    dispatch |= {
        pickle.REDUCE[0]: _make,
        pickle.NEWOBJ[0]: _make,
        pickle.BUILD[0]: _build,
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
    }


def values_of(content: bytes) -> object:
    """The value of a pickle.

    Raises:
        ValueError: torch does not write such a pickle.
    """
    try:
        return _Values(io.BytesIO(content)).load()
    except KeyError as error:  # of an opcode or of the memo
        raise ValueError(f"found {error} in a pickle, which torch does not write there") from error
    except (EOFError, IndexError, struct.error) as error:  # struct: cut within a number
        raise ValueError("found a pickle that is cut off") from error
    except (TypeError, AttributeError, pickle.UnpicklingError) as error:
        raise ValueError(str(error)) from error


def is_made(value: object, name: str) -> TypeGuard[Made]:
    """Whether a value is an object of the class `name`, or what the function `name` gave."""
    return type(value) is Made and value.name == name and value.arguments is not None


def fields_of(value: object, name: str) -> dict[str, Any]:
    """The state of an object of the class `name`.

    Raises:
        ValueError: it is no such object.
    """
    if not is_made(value, name) or type(value.state) is not dict:
        raise ValueError(f"found {kind_of(value)}, expected a {name}")
    return value.state


def kind_of(value: object) -> str:
    """The name of a value's class, for messages."""
    return value.name if isinstance(value, Made) else type(value).__name__


def counts_of(values: object) -> tuple[int, ...]:
    """A tuple of integers >= 0, of as many dimensions as torch has at most.

    Raises:
        ValueError: it is none.
    """
    if isinstance(values, tuple) and len(values) <= 64:
        if all(type(n) is int and 0 <= n < 1 << 63 for n in values):
            return values
    raise ValueError(f"found {kind_of(values)}, expected sizes")


def size_of(value: object) -> torch.Size:
    """A torch.Size.

    Raises:
        ValueError: it is none.
    """
    if not is_made(value, "Size") or len(value.arguments) != 1:
        raise ValueError(f"found {kind_of(value)}, expected a Size")
    return torch.Size(counts_of(value.arguments[0]))
