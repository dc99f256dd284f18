"""What a pickle holds as plain values, and what becomes of its calls. No torch.

A global is a `Name`, which nothing looks up, and an object of a class that is not made is a
`Shell`. The few calls that give plain values are in PLAIN.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

MOST_INT_KEY = 1 << 60  # below, an int is its own hash
SIZED = str | bytes | bytearray | tuple | list | dict
KEYS = str | int | float | complex | bytes | bool | None


class Name(NamedTuple):
    """A global of a pickle: never imported.

    Attributes:
        module: where the pickle says that it is.
        name: its name there.
    """

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Shell:
    """Stands for an object of a class that is not made.

    Attributes:
        name: what was called.
        args: its arguments.
        state: what the pickle set as its state afterwards; None without any.
        items: what the pickle put into it by key.
    """

    def __init__(self, name: Name, args: tuple = ()) -> None:
        self.name, self.args = name, args
        self.state: Any = None
        self.items: dict = {}


Call = Callable[..., object]


def array(value: Any) -> np.ndarray | None:
    """Return the array that numpy pickled.

    Args:
        value: a value of `read_pickle`.

    Returns:
        The array, or a number as an array of no dimensions; None for other values, and for arrays
        of objects.

    Raises:
        ValueError: if the array is damaged.
    """
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
    return {dict_key(key): value for key, value in pairs}


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


def dict_key(key: object) -> object:
    """Return what stands for the key of a dict.

    Its hash takes no more time than it has parts, and it is not made to have the hash of others.

    Args:
        key: a value of a pickle.

    Returns:
        The key, or a shell in its place.
    """
    if isinstance(key, int) and abs(key) > MOST_INT_KEY:
        return Shell(Name("builtins", "int"))
    if isinstance(key, KEYS | Name | Shell):
        return key
    if isinstance(key, tuple) and len(key) <= MOST_PARTS:
        if all(isinstance(part, KEYS) for part in key):
            return key
    return Shell(Name("builtins", type(key).__name__))


def weight(args: object) -> int:
    """Count the values and bytes that a call can copy.

    Args:
        args: its arguments.

    Returns:
        The count of the arguments, what these hold, and, where that is a shell, as of an array,
        what the shell holds.
    """
    held: list[object] = [args]
    for arg in args if isinstance(args, tuple) else ():
        held += (arg.args, arg.state, *arg.args) if isinstance(arg, Shell) else (arg,)
        if isinstance(arg, Shell) and isinstance(arg.state, tuple):
            held += arg.state
    return sum(len(value) for value in held if isinstance(value, SIZED))
