"""Whether an exception comes from a signal, such as the user's Ctrl-C, or from the code that was running.

An environment may raise SystemExit or KeyboardInterrupt itself: a window that is closed often does. That is its
fault. A signal that arrives while the environment runs raises the same exceptions there, and belongs to the user.
"""

from __future__ import annotations

import dis
import functools
import signal
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType, TracebackType
from typing import Any

RAISE = dis.opmap["RAISE_VARARGS"]
"""The instruction of a `raise` statement."""


def raised_by_signal(error: BaseException) -> bool:
    """Whether a handler of a signal raised `error`, or the exception that it replaced."""
    seen: BaseException | None = error
    while seen is not None:
        if _from_handler(seen.__traceback__) or _from_default_handler(seen):
            return True
        seen = seen.__context__
    return False


def _from_handler(trace: TracebackType | None) -> bool:
    """Whether the code of a handler that is installed now is on a traceback."""
    codes = {code for number in signal.valid_signals() for code in _codes(signal.getsignal(number))}
    return any(frame.tb_frame.f_code in codes for frame in _frames(trace))


def _from_default_handler(error: BaseException) -> bool:
    """Whether Python's own handler of SIGINT raised `error`.

    That handler has no frame. It acts between two instructions or within a call, never at a `raise` statement.
    """
    if not isinstance(error, KeyboardInterrupt):
        return False
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    *_, last = [None, *_frames(error.__traceback__)]
    return last is not None and last.tb_frame.f_code.co_code[last.tb_lasti] != RAISE


def _codes(handler: Any) -> Iterator[CodeType]:
    """The code that runs first when a handler is called; nothing for one that is not written in Python."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if isinstance(handler, MethodType):
        handler = handler.__func__
    elif callable(handler) and not isinstance(handler, FunctionType):
        called: Callable[..., Any] = type(handler).__call__
        handler = called
    if isinstance(handler, FunctionType):
        yield handler.__code__


def _frames(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next
