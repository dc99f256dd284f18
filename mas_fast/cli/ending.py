"""How a command ends: the exit status, and one line instead of a traceback.

0     all is well
1     an error: bad input, a missing part, a full disk, too little memory
2     the command line is not understood
130   interrupted (Ctrl-C); what was finished is on the disk
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import sys
from collections.abc import Callable, Iterator
from typing import Any

import typer
from typer.core import TyperGroup

INTERRUPTED = 130
_OF_TORCH = ("DefaultCPUAllocator", "OutOfMemoryError", "out of memory")  # in its RuntimeErrors


class Interrupted(Exception):
    """Ctrl-C on its way to `end`, past click, which would end the process without a word.

    Its text says what was finished.
    """


class Commands(TyperGroup):
    """The group of all commands."""

    def invoke(self, context: Any) -> Any:
        try:
            return super().invoke(context)
        except KeyboardInterrupt as stop:
            raise Interrupted(*stop.args) from None
        except BrokenPipeError as error:  # click would take any for one of stdout, and be silent
            if _reader_left():
                raise typer.Exit(1) from None
            raise ValueError(str(error)) from error


def end(app: Callable[[], object], command: Any = None) -> None:
    """Run the app and exit.

    Args:
        app: the app.
        command: what click makes of it, so that errors call options by their names.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as by `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # one that cannot write all letters
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _memory():
            try:
                app()
            finally:  # here, where a full disk can still be told
                _flush()
    except (Interrupted, KeyboardInterrupt) as stop:
        print("mas-fast: interrupted", *stop.args, sep=": ", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # of the flush
        sys.exit(1)
    except (ValueError, ImportError, OSError, MemoryError) as error:
        sys.exit(f"mas-fast: {as_typed(str(error), command, sys.argv[1:])}")


def _flush() -> None:
    """Write what stdout holds back. What it does not take is dropped, or Python would complain of
    it, and end with 120, when it tries again."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop_stdout()
        raise


def _drop_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _memory() -> Iterator[None]:
    """Too little memory, whoever finds it out, is a MemoryError that says what helps."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = f"{type(error).__name__}: {error}"
        if not isinstance(error, MemoryError) and not any(sign in text for sign in _OF_TORCH):
            raise
        reason = f" ({str(error).splitlines()[0]})" if str(error) else ""
        raise MemoryError(
            f"not enough memory{reason}: close other programs, or ask for less at a time, such as "
            "fewer pictures, a smaller --batch or fewer --workers"
        ) from error


def _reader_left() -> bool:
    """Whether it is stdout that nobody reads any more, as after `| head`. Its rest is dropped, or
    Python would complain of it when it ends."""
    if not hasattr(select, "poll"):  # Windows, where no other pipe is written to
        _drop_stdout()
        return True
    pipe = select.poll()
    pipe.register(sys.stdout.fileno(), 0)
    left = any(event & select.POLLERR for _, event in pipe.poll(0))
    if left:
        _drop_stdout()
    return left


def as_typed(message: str, command: Any, words: list[str]) -> str:
    """Put options into a message where it has names of Python.

    `vocab_size=9` becomes `--vocab-size 9`, and `seed:` at the beginning `--seed:` where that was
    typed. A name in a file, as in `a.json: top_k: ...`, stays what it is.

    Args:
        message: the message.
        command: what click makes of the app.
        words: the command line.

    Returns:
        The message with options.
    """
    for word in words:  # down to the command that ran
        command = getattr(command, "commands", {}).get(word, command)
    for option in getattr(command, "params", ()):
        name, typed = option.name, option.opts[0]
        if not typed.startswith("--"):
            continue
        if "_" in name:
            alone = rf"(?<![\w./-])(?<!: ){name}(?:=|(?![\w./=-]))"
            message = re.sub(alone, _with_value(typed), message)
        elif any(word.split("=")[0] in (*option.opts, *option.secondary_opts) for word in words):
            message = re.sub(rf"^{name}(?=:)", typed, message)
    return message


def _with_value(typed: str) -> Callable[[re.Match], str]:
    return lambda match: f"{typed} " if match[0].endswith("=") else typed
