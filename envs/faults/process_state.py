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


class ProcessState:
    """The settings of this process, with the values that environments gave them."""

    def __init__(self, settings: Sequence[Setting]) -> None:
        self._settings: dict[str, Setting] = {}
        self._all: tuple[Setting, ...] = ()
        self._fast: tuple[Setting, ...] = ()
        self._theirs: dict[str, Any] = {}
        self._undone: set[str] = set()
        self._depth = _Depth()
        self._lock = threading.Lock()
        self._inside = 0
        """Threads that are in a call of environments' code."""
        self._before: list[tuple[Setting, Any]] = []
        """What is watched while some are, with its value before the first of these calls."""
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

    def enter(self, step: bool = False) -> None:
        """The code of an environment runs from here on.

        Args:
            step: whether this is one of many calls, around which slow settings are not read.
        """
        self._depth.calls += 1
        if self._depth.calls > 1:
            return
        watched = self._fast if step else self._all
        with self._lock:
            self._inside += 1
            if self._inside > 1:  # environments of other threads have theirs already
                known = {setting.name for setting, _ in self._before}
                watched = tuple(setting for setting in watched if setting.name not in known)
            self._before += [(setting, setting.read()) for setting in watched]
            for name, value in self._theirs.items():
                self._settings[name].write(value)

    def leave(self) -> None:
        """The code of an environment has ended: all is as before, once that of other threads has ended too."""
        self._depth.calls -= 1
        if self._depth.calls:
            return
        with self._lock:
            self._inside -= 1
            if self._inside:
                return
            before, self._before = self._before, []
            for setting, ours in before:
                value = setting.read()
                if value is not ours and value != ours:
                    self._put_back(setting, value, ours)
                else:
                    self._theirs.pop(setting.name, None)

    def _put_back(self, setting: Setting, value: Any, ours: Any) -> None:
        """Sets a setting to Joule's value, and keeps the value that it has now for the environments."""
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
