"""What an environment changes for the whole process: kept for the environments, put back for everything else.

The working folder, NumPy's treatment of errors, torch's default dtype and more belong to the process. An
environment that changes one of them for itself would change it for the agent too: a run would write to another
folder, or compute in another precision. So each such setting has two values here, one for the code of the
environments and one for all other code, and every call of an environment's own code switches between them.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

log = logging.getLogger("joule.envs")


@dataclass(frozen=True)
class Setting:
    """A setting of the process."""

    name: str
    read: Callable[[], Any]
    """Gives its value, which can be compared."""
    write: Callable[[Any], object]
    """Sets it to a value that `read` gave."""
    kept: bool = True
    """Whether environments get their own value again at their next call; False only undoes their change."""
    slow: bool = False
    """Whether `read` takes too long for every step; it is then read around all other calls."""


class _Depth(threading.local):
    """How many calls of environments' code a thread is in: an environment may call another one."""

    calls = 0


Token = tuple[tuple[Setting, ...], list[Any]] | None
"""The settings that are watched in a call, and their values before it; None for a call within a call."""


class ProcessState:
    """The settings of this process, with the values that environments gave them."""

    def __init__(self, settings: Sequence[Setting]) -> None:
        self._settings: dict[str, Setting] = {}
        self._all: tuple[Setting, ...] = ()
        self._fast: tuple[Setting, ...] = ()
        self._theirs: dict[str, Any] = {}
        self._undone: set[str] = set()
        self._depth = _Depth()
        for setting in settings:
            self.add(setting)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Every setting that is watched."""
        return self._all

    def add(self, setting: Setting) -> None:
        """Watches one more setting; one of the same name is replaced."""
        self._settings[setting.name] = setting
        self._all = tuple(self._settings.values())
        self._fast = tuple(known for known in self._all if not known.slow)

    def enter(self, step: bool = False) -> Token:
        """The code of an environment runs from here on.

        Args:
            step: whether this is one of many calls, around which slow settings are not read.

        Returns:
            What `leave` needs.
        """
        self._depth.calls += 1
        if self._depth.calls > 1:
            return None
        watched = self._fast if step else self._all
        ours = [setting.read() for setting in watched]
        if self._theirs:
            for name, value in list(self._theirs.items()):
                self._settings[name].write(value)
        return watched, ours

    def leave(self, token: Token) -> None:
        """The code of an environment has ended: everything is as before."""
        self._depth.calls -= 1
        if token is None:
            return
        watched, before = token
        now = [setting.read() for setting in watched]
        if now != before:
            for setting, value, ours in zip(watched, now, before, strict=True):
                self._put_back(setting, value, ours)

    def _put_back(self, setting: Setting, value: Any, ours: Any) -> None:
        """Sets a setting to Joule's value, and keeps the value that it has now for the environments."""
        if value == ours:
            self._theirs.pop(setting.name, None)
            return
        setting.write(ours)
        if setting.kept:
            self._theirs[setting.name] = value
            if setting not in self._fast:  # it is set at every call from now on
                self._fast = (*self._fast, setting)
        elif setting.name not in self._undone:
            self._undone.add(setting.name)
            log.warning("the environment changed %s, which stays as it was", setting.name)


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


def _enter_folder(path: str) -> None:
    try:
        os.chdir(path)
    except OSError as error:
        log.debug("the working folder cannot be entered: %s", error)


def _set_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]


def _set_streams(streams: tuple[Any, Any]) -> None:
    sys.stdout, sys.stderr = streams


SETTINGS = (
    Setting("the working folder", _working_folder, _enter_folder),
    Setting("NumPy's treatment of errors", np.geterr, lambda value: np.seterr(**value)),
    Setting("the filters of warnings", lambda: list(warnings.filters), _set_filters),
    Setting("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    Setting("the streams of output", lambda: (sys.stdout, sys.stderr), _set_streams),
)
"""Settings of Python and NumPy."""
PROCESS_STATE = ProcessState(SETTINGS)
"""Of this process. Layers above add settings of libraries that environments do not need."""
