"""What a signal does to a command: it ends soon, with exit code 128 + the number of the signal, and no traceback.

| when the signal comes | what happens |
| --- | --- |
| before a command writes anything | it ends at once (`install`) |
| while a command writes | `Ended` is raised, so that incomplete files are removed (`unwinding`) |
| while an agent learns | a function is told, which ends the run after a checkpoint (`handled`) |

Only the main thread of a process can handle signals. A Python program that imports Joule keeps its own handlers.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from joule.cli.signal_watch import watch

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGALRM")
ENDING = tuple(signal.Signals[name] for name in _NAMES if name in signal.Signals.__members__)
"""Signals that end a command: people, terminals, clusters and time limits send them."""
_ALWAYS = (signal.SIGINT, signal.SIGTERM)
"""Taken even where the parent process ignores them, or a library has a handler of its own."""

Act = Callable[[int], object]
"""Is told the number of a signal."""


class Ended(BaseException):
    """A signal ends the command. It is no `Exception`, so that no code takes it for a fault."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        return exit_code(self.number)

    def caught(self) -> int:
        """Says that the exception has arrived. Returns the number of the signal."""
        _HANDLER.raised = None
        return self.number


def exit_code(number: int) -> int:
    """The exit code of a command that a signal ended, as shells report it."""
    return 128 + number


def end_at_once(number: int) -> NoReturn:
    """Ends the process. Nothing is flushed or removed: an exception could be lost in a module that is imported."""
    os._exit(exit_code(number))


def end_by_exception(number: int) -> NoReturn:
    """Raises Ended, so that files and processes are closed on the way out.

    C code that asks for an attribute drops any exception, and so may an environment. `unwinding` raises a lost one
    again at its end, and the process ends `LOST_SECONDS` after the signal in any case.
    """
    _HANDLER.raised, _HANDLER.ends = number, True
    raise Ended(number)


class _Handler:
    """The handler of all signals of this process; `act` changes while a command goes on."""

    def __init__(self) -> None:
        self.act: Act = end_at_once
        self.raised: int | None = None
        """The signal for which Ended was raised, and has not been caught."""
        self.ends = False
        """Whether Ended was raised at all, so that the process ends."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.act(number)


_HANDLER = _Handler()


def install() -> None:
    """From here on signals end the process at once. For the process of a command only."""
    _HANDLER.act = end_at_once
    for number in _taken():
        signal.signal(number, _HANDLER)
    watch(ENDING, lambda: None if _HANDLER.raised is None else exit_code(_HANDLER.raised))
    sys.unraisablehook = _show_unraisable


def _show_unraisable(error: sys.UnraisableHookArgs) -> None:
    """Shows an error in `__del__` and the like, as Python does, unless a signal ends the process.

    What a signal left half made, such as a viewer without its OpenGL context, cannot close itself.
    """
    if not _HANDLER.ends:
        sys.__unraisablehook__(error)


def survive_hangup() -> None:
    """From here on the process of a command survives that its terminal is closed."""
    if _installed() and "SIGHUP" in signal.Signals.__members__:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


@contextmanager
def handled(act: Act, enabled: bool = True) -> Iterator[None]:
    """Inside, `act` is called with the number of a signal that ends a command.

    Args:
        act: may raise.
        enabled: False changes nothing.
    """
    if not enabled:
        yield
        return
    act_before, _HANDLER.act = _HANDLER.act, act
    before = {number: signal.signal(number, _HANDLER) for number in _taken()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _HANDLER.act = act_before


@contextmanager
def unwinding() -> Iterator[None]:
    """Inside, a signal raises Ended. It changes nothing in a process where no command is run."""
    installed = _installed()
    with handled(end_by_exception, installed):
        yield
        if installed and _HANDLER.raised is not None:
            raise Ended(_HANDLER.raised)


@contextmanager
def deferred() -> Iterator[None]:
    """Inside, signals wait; at the end the first of them takes effect. It changes nothing as `unwinding`."""
    came: list[int] = []
    with handled(came.append, _installed()):
        yield
    if came:
        _HANDLER.act(came[0])


def _installed() -> bool:
    """Whether this is the process of a command, in its main thread or not."""
    return signal.getsignal(signal.SIGINT) is _HANDLER


def _taken() -> list[signal.Signals]:
    """The signals that Joule handles. Those that the parent ignores, or a library handles, are left alone."""
    own = (signal.SIG_DFL, _HANDLER)
    return [number for number in ENDING if number in _ALWAYS or signal.getsignal(number) in own]
