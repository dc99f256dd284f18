"""Pickles, read without running them. No torch.

    values = read_pickle(open("weights.pkl", "rb"))       # dicts, lists, tuples, numbers, text
    array(values["conv.weight"])                          # what numpy pickled

A pickle is a program that may import anything and call it. Here the instructions, as pickletools
reads them, work on plain values alone: a global is a `Name`, which nothing looks up, and to call
one gives a `Shell`, which holds the arguments, unless the call is one of the few in `PLAIN`, or of
those that the caller brings, whose results are made here. So no class of a pickle need be known or
installed, and none can do harm.

Sets become lists and all mappings dicts. What cannot be the key of a dict without work that grows
with its depth (a tuple of tuples) becomes a shell too.
"""

from __future__ import annotations

import builtins
import pickletools
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple

import numpy as np

MOST_STEPS = 1 << 23  # instructions; a checkpoint of 1,000 tensors has some 50,000
# Values and bytes that calls may copy: so many for each byte of the file that was read, and some
# for free. What Python pickles has each of them once; one that is given to call after call could
# fill any memory.
MOST_COPIES, FREE_COPIES = 4, 1 << 16
# Of the standard library, whose objects checkpoints do hold. To call any other name of it is what
# files do that mean to run code; nothing would come of it, but who has such a file should know.
HARMLESS: frozenset[str] = frozenset(
    ("argparse", "array", "collections", "copyreg", "dataclasses", "datetime", "decimal", "enum")
    + ("fractions", "functools", "ipaddress", "itertools", "logging", "numbers", "pathlib")
    + ("random", "re", "types", "typing", "uuid", "zoneinfo")
)
PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
MOST_INT_KEY = 1 << 60  # below, an int is its own hash
SIZED = str | bytes | bytearray | tuple | list | dict
KEYS = str | int | float | complex | bytes | bool | None


class Name(NamedTuple):
    """A global of a pickle: never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Shell:
    """Stands for an object of a class that is not made: the name of what was called, its arguments,
    and what the pickle put into it afterwards."""

    def __init__(self, name: Name, args: tuple = ()) -> None:
        self.name, self.args = name, args
        self.state: Any = None
        self.items: dict = {}


Call = Callable[..., object]


def read_pickle(
    source: bytes | IO[bytes],
    *,
    calls: Mapping[Name, Call] | None = None,
    persistent: Callable[[object], object] | None = None,
) -> object:
    """The value of the pickle at which `source` stands; a file is left behind its end.

    calls: what is made of calls of these names, besides those of PLAIN; they get the arguments as
    the pickle has them, and must check them. persistent: what is made of a persistent id.
    ValueError for what is no pickle, is damaged, asks for code, or has more than MOST_STEPS
    instructions.
    """
    machine = _Machine({**PLAIN, **(calls or {})}, persistent)
    try:
        for steps, (operation, argument, position) in enumerate(pickletools.genops(source)):
            if steps >= MOST_STEPS:
                raise ValueError(f"found more than {MOST_STEPS} instructions")
            machine.most = FREE_COPIES + MOST_COPIES * (position or 0)
            machine.step(operation.name, argument)
        return machine.stack.pop()
    except ValueError:
        raise
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        # A length of 2^62, which stands before a text, is asked of memory.
        raise ValueError(f"found a damaged pickle ({error!r:.200})") from error


def array(value: Any) -> np.ndarray | None:
    """The array, or the number as one of no dimensions, that numpy pickled; None for other values,
    and for arrays of objects. ValueError for one that is damaged."""
    if isinstance(value, bool | int | float):
        return np.asarray(value)
    if not isinstance(value, Shell) or value.name.module.partition(".")[0] != "numpy":
        return None
    try:
        shape: Any = ()
        order: Any = "C"
        if value.name.name == "_reconstruct":
            _, shape, kind, fortran, data = value.state
            order = "F" if fortran else "C"
        elif value.name.name == "scalar":
            kind, data = value.args
        elif value.name.name == "_frombuffer":
            data, kind, shape, order = value.args
        else:
            return None
        dtype = _dtype(kind)
        if dtype is None:
            return None
        data = data.encode("latin1") if isinstance(data, str) else bytes(data)
        return np.frombuffer(data, dtype).reshape(shape, order=order).copy()
    except (TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise ValueError(f"found a damaged array ({error!r:.200})") from error


def _dtype(shell: Any) -> np.dtype | None:
    """Of numbers; None for objects, strings and records."""
    code = shell.args[0]
    if not isinstance(code, str) or code[:1] not in "biufc" or not code[1:].isdigit():
        return None
    order = shell.state[1] if shell.state else "<"
    return np.dtype(code).newbyteorder(">" if order == ">" else "<" if order == "<" else "=")


# ---------------------------------------------------------------------- calls


def _mapping(*args: Any) -> dict:
    """dict(), of a mapping or of pairs; a defaultdict's first argument is a name."""
    values = [arg for arg in args if not isinstance(arg, Name | Shell | None)]
    if not values:
        return {}
    (given,) = values
    pairs = given.items() if isinstance(given, dict) else given
    return {_key(key): value for key, value in pairs}


def _list(given: object = ()) -> list:
    return list(_sequence(given))


def _tuple(given: object = ()) -> tuple:
    return tuple(_sequence(given))


def _sequence(given: object) -> list | tuple:
    if not isinstance(given, list | tuple):
        raise ValueError(f"found a sequence made of {type(given).__name__}, expected a list")
    return given


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise ValueError(f"found bytes in the encoding {encoding!r:.80}, expected latin1")
    return text.encode("latin1")


def _bytes(given: object = b"", encoding: str = "latin1") -> bytes:
    """Never of a number, which would be so many zeros."""
    if isinstance(given, str):
        return _encode(given, encoding)
    if not isinstance(given, bytes):
        raise ValueError(f"found bytes made of {type(given).__name__}, expected bytes")
    return given


def _attribute(owner: object = None, name: object = None) -> Shell:
    """getattr, as of an enumeration's member: nothing is looked up."""
    if not isinstance(owner, Name | Shell) or not isinstance(name, str):
        raise ValueError("found builtins.getattr in it, which may be code")
    return Shell(owner if isinstance(owner, Name) else owner.name)


PLAIN: dict[Name, Call] = {
    Name("collections", "OrderedDict"): _mapping,
    Name("collections", "Counter"): _mapping,
    Name("collections", "defaultdict"): _mapping,
    Name("builtins", "dict"): _mapping,
    Name("builtins", "list"): _list,
    Name("builtins", "set"): _list,
    Name("builtins", "frozenset"): _list,
    Name("builtins", "tuple"): _tuple,
    Name("builtins", "bytes"): _bytes,
    Name("builtins", "bytearray"): _bytes,
    Name("_codecs", "encode"): _encode,
    Name("builtins", "getattr"): _attribute,
}
OBJECTS = ("bool", "int", "float", "complex", "str", "object", "slice", "range", "type", "reduce")
SHELLS = {Name("builtins", kind) for kind in (*OBJECTS, "xrange")}  # a range of protocol 2
SHELLS |= {
    Name("builtins", name)
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
}
SHELLS |= {Name("operator", "itemgetter")}
MOST_PARTS = 64  # of the key of a dict, which are hashed again each time


def _key(key: object) -> object:
    """The key of a dict: one whose hash takes no more time than it has parts, and which is not made
    to have the hash of others."""
    if isinstance(key, int) and abs(key) > MOST_INT_KEY:
        return Shell(Name("builtins", "int"))
    if isinstance(key, KEYS | Name | Shell):
        return key
    if isinstance(key, tuple) and len(key) <= MOST_PARTS:
        if all(isinstance(part, KEYS) for part in key):
            return key
    return Shell(Name("builtins", type(key).__name__))


def _weight(args: object) -> int:
    """How many values and bytes a call can copy: its arguments, what these hold, and, where that is
    a shell, as of an array, what the shell holds."""
    held: list[object] = [args]
    for arg in args if isinstance(args, tuple) else ():
        held += (arg.args, arg.state, *arg.args) if isinstance(arg, Shell) else (arg,)
        if isinstance(arg, Shell) and isinstance(arg.state, tuple):
            held += arg.state
    return sum(len(one) for one in held if isinstance(one, SIZED))


# ---------------------------------------------------------------------- instructions


class _Machine:
    """The stack, the marks in it, and the memo of a pickle."""

    def __init__(
        self, calls: Mapping[Name, Call], persistent: Callable[[object], object] | None
    ) -> None:
        self.calls, self.persistent = calls, persistent
        self.stack: list = []
        self.marks: list[list] = []
        self.memo: dict[int, object] = {}
        self.copied, self.most = 0, FREE_COPIES

    def step(self, operation: str, argument: Any) -> None:
        if operation in CONSTANTS:
            self.stack.append(CONSTANTS[operation])
        elif operation in ARGUMENTS:
            self.stack.append(argument)
        elif operation in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif operation in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif method := getattr(self, f"_{operation.lower()}", None):
            method() if argument is None else method(argument)
        elif operation not in ("PROTO", "FRAME", "STOP"):
            raise ValueError(f"found the instruction {operation}, expected those of torch.save")

    def call(self, name: object, args: object) -> object:
        """What calling a global gives, without calling it."""
        if not isinstance(args, tuple):
            raise ValueError(f"found a call with {type(args).__name__}, expected a tuple")
        self.afford(args)
        if not isinstance(name, Name):  # an instance or a method: some object, of no use to us
            return Shell(Name("builtins", "object"), args)
        if name in self.calls:
            return self.calls[name](*args)
        package = name.module.partition(".")[0]
        if package in sys.stdlib_module_names or name == ("torch", "load"):
            harmless = package.removeprefix("_") in HARMLESS  # as _functools, which is in C
            known = (harmless and "." not in name.name) or name in SHELLS
            if not known:
                raise ValueError(f"found {str(name)[:80]} in it, which may be code")
        return Shell(name, args)

    def new(self, name: object, args: Any) -> object:
        """An object of a class, before it gets its state: a subclass of a container is that."""
        self.afford(args)
        if not isinstance(name, Name):
            return Shell(Name("builtins", "object"), args)
        return self.calls[name](*args) if name in self.calls else Shell(name, args)

    def afford(self, args: object) -> None:
        """ValueError where calls would copy more than there was to read."""
        self.copied += _weight(args)
        if self.copied > self.most:
            raise ValueError(f"found calls that copy {self.copied} values, more than it holds")

    def until_mark(self) -> list:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def put(self, pairs: list) -> None:
        """Keys and values, in turn, into what is on top."""
        owner = self.stack[-1]
        target = owner.items if isinstance(owner, Shell) else owner
        if not isinstance(target, dict):
            raise ValueError(f"found items put into {type(owner).__name__}, expected a dict")
        target.update(zip(map(_key, pairs[::2]), pairs[1::2], strict=True))

    def add(self, items: list) -> None:
        owner = self.stack[-1]
        if isinstance(owner, list):
            owner.extend(items)
        elif not isinstance(owner, Shell):
            raise ValueError(f"found items added to {type(owner).__name__}, expected a list")

    def _mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def _pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.until_mark()

    def _pop_mark(self) -> None:
        self.until_mark()

    def _dup(self) -> None:
        self.stack.append(self.stack[-1])

    def _memoize(self) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    # Containers

    def _empty_list(self) -> None:
        self.stack.append([])

    _empty_set = _empty_list

    def _empty_dict(self) -> None:
        self.stack.append({})

    def _list(self) -> None:
        items = self.until_mark()
        self.stack.append(items)

    _frozenset = _list

    def _tuple(self) -> None:
        items = self.until_mark()
        self.stack.append(tuple(items))

    def _tuple1(self, count: int = 1) -> None:
        items = tuple(self.stack.pop() for _ in range(count))
        self.stack.append(items[::-1])

    def _tuple2(self) -> None:
        self._tuple1(2)

    def _tuple3(self) -> None:
        self._tuple1(3)

    def _dict(self) -> None:
        pairs = self.until_mark()
        self.stack.append({})
        self.put(pairs)

    def _append(self) -> None:
        item = self.stack.pop()
        self.add([item])

    def _appends(self) -> None:
        items = self.until_mark()
        self.add(items)

    _additems = _appends

    def _setitem(self) -> None:
        pair = [self.stack.pop() for _ in range(2)]
        self.put(pair[::-1])

    def _setitems(self) -> None:
        pairs = self.until_mark()
        self.put(pairs)

    # Globals and objects

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(Name(PYTHON_2.get(module, module), name))

    def _stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("found a global whose name is no text")
        self.stack.append(Name(PYTHON_2.get(module, module), name))

    def _reduce(self) -> None:
        args, name = self.stack.pop(), self.stack.pop()
        if isinstance(name, Name) and name.module == "copyreg":
            self.afford(args)
            cls, *rest = args  # _reconstructor, __newobj__ or __newobj_ex__
            made = self.new(cls, tuple(rest) if name.name == "__newobj__" else ())
        else:
            made = self.call(name, args)
        self.stack.append(made)

    def _inst(self, argument: str) -> None:
        args = tuple(self.until_mark())
        self._global(argument)
        self.stack.append(self.call(self.stack.pop(), args))

    def _obj(self) -> None:
        name, *args = self.until_mark()
        self.stack.append(self.call(name, tuple(args)))

    def _newobj(self) -> None:
        args, name = self.stack.pop(), self.stack.pop()
        self.stack.append(self.new(name, args))

    def _newobj_ex(self) -> None:
        _, args, name = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.stack.append(self.new(name, args))

    def _build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Shell):
            self.stack[-1].state = state

    def _binpersid(self) -> None:
        if self.persistent is None:
            raise ValueError("found a persistent id, expected a pickle without")
        self.stack.append(self.persistent(self.stack.pop()))


CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
ARGUMENTS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
ARGUMENTS |= {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
ARGUMENTS |= {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BYTEARRAY8"}
