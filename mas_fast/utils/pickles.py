"""Pickles, read without running them. No torch.

    values = read_pickle(open("weights.pkl", "rb"))       # dicts, lists, tuples, numbers, text
    pickle_values.array(values["conv.weight"])            # what numpy pickled

A pickle is a program that may import anything and call it. Here the instructions, as pickletools
reads them, work on plain values alone: a global is a `Name`, which nothing looks up, and to call
one gives a `Shell`, which holds the arguments, unless the call is one of the few in `PLAIN`, or of
those that the caller brings, whose results are made here. So no class of a pickle need be known or
installed, and none can do harm.

Sets become lists and all mappings dicts. What cannot be the key of a dict without work that grows
with its depth (a tuple of tuples) becomes a shell too.
"""

from __future__ import annotations

import pickletools
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any

from mas_fast.utils.pickle_values import PLAIN, SHELLS, Call, Name, Shell, dict_key, weight

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


def read_pickle(
    source: bytes | IO[bytes],
    *,
    calls: Mapping[Name, Call] | None = None,
    persistent: Callable[[object], object] | None = None,
) -> object:
    """Read the value of the pickle at which `source` stands; a file is left behind its end.

    Args:
        source: the pickle.
        calls: what is made of calls of these names, besides those of PLAIN. The functions get the
            arguments as the pickle has them, and must check them.
        persistent: what is made of a persistent id.

    Returns:
        The value.

    Raises:
        ValueError: if this is no pickle, or it is damaged, asks for code, or has more than
            MOST_STEPS instructions.
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
        """Check that calls copy no more than there was to read.

        Raises:
            ValueError: if they would copy more.
        """
        self.copied += weight(args)
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
        target.update(zip(map(dict_key, pairs[::2]), pairs[1::2], strict=True))

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
            cls, *arguments = args  # _reconstructor, __newobj__ or __newobj_ex__
            made = self.new(cls, tuple(arguments) if name.name == "__newobj__" else ())
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
