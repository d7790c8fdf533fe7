"""The errors of environments: exceptions with one sentence for the user, and the texts that they quote."""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from pathlib import Path
from typing import Any

from joule_errors import Refused, Stopped


class EnvError(Refused):
    """A request that cannot be met: an unknown id, an action space that is no Box, a bad perturbation."""


class RenderError(Refused):
    """A frame or a video that cannot be made; the sentence says what to install or to set."""


class Misbehaviour(Exception):
    """What an environment's own code did in place of its work; the text continues a sentence such as "step ..."."""


class EnvFailure(Stopped):
    """An environment failed while running; what was learned before is sound."""


class EnvFault(EnvFailure):
    """An environment that broke its contract while running. The run must stop; the sentence says where.

    Args:
        cause: what went wrong.
        env: the id that the user gave.
        seed: of the last seeded reset, or None.
        episode: number of the episode, from 0.
        step: simulator frames taken in the episode, this one included.
        action: what was sent to the environment, or None.
    """

    def __init__(
        self, cause: str, *, env: str, seed: int | None, episode: int, step: int, action: Any = None
    ) -> None:
        self.env, self.seed, self.episode, self.step, self.action = env, seed, episode, step, action
        self.cause = cause
        sent = "" if action is None else f", action {_short(action)}"
        super().__init__(
            f"{env} failed at episode {episode}, step {step} "
            f"(seed {'unset' if seed is None else seed}{sent}): {cause}"
        )


def _short(action: Any) -> str:
    """An action as text of at most 120 characters."""
    text = " ".join(str(action).split())
    return text if len(text) <= 120 else text[:117] + "..."


LONGEST_TEXT = 400
"""Characters of an exception's text that a sentence quotes."""
_HOME = Path(__file__).resolve().parents[2]
OF_JOULE = ("agent", "envs", "joule", "planners")
"""Packages of Joule, which a user's own may be called like."""
_OF_OTHERS = (
    sysconfig.get_path("stdlib") + os.sep,
    *(f"{_HOME / package}{os.sep}" for package in OF_JOULE),
)
"""Beginnings of the paths of code that no user has written."""
_INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")
"""In the path of an installed package."""


def described(error: BaseException) -> str:
    """What the call did that raised `error`, on one line: it continues a sentence such as "step ..."."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001  the exception is the environment's, and so may be its text
        text = ""
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}..."
    if isinstance(error, Misbehaviour):
        return text
    return f"raised {type(error).__name__}{': ' if text else ''}{text}{_place(error)}"


def _place(error: BaseException) -> str:
    """The innermost line of the user's own code that an exception came through; empty without one."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename)]
    if not own:
        return ""
    return f", at {_shown(own[-1].filename)}:{own[-1].lineno}"


def _is_own(filename: str) -> bool:
    """Whether a file is neither of Python nor of Joule nor of an installed package."""
    others = filename.startswith(_OF_OTHERS) or _INSTALLED.search(filename)
    return os.path.isabs(filename) and not others


def _shown(filename: str) -> str:
    """A file as seen from the working folder, where it lies below."""
    try:
        near = os.path.relpath(filename)
    except (OSError, ValueError):  # the folder is gone, or on another drive
        return filename
    return filename if near.startswith(os.pardir) else near
