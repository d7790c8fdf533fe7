"""The boundary to an environment's own code: every call of it passes here, and ends as Gymnasium says.

Behind the boundary anything may happen: `sys.exit()`, a fork, another working folder, an answer of the API that
gym had before version 0.26. In front of it there are results, exceptions and signals, and nothing else.
"""

from __future__ import annotations

import inspect
import logging
import os
import re
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TypeVar

import gymnasium
import numpy as np

from envs.faults.errors import Misbehaviour, described
from envs.faults.process_state import PROCESS_STATE
from envs.faults.signal_origin import raised_by_signal

log = logging.getLogger("joule.envs")
DIVERGED_KEY = "joule/diverged"
"""The key of `info` by which Joule says that the physics diverged. What an environment puts there is removed."""
DRAWN_KEY = "joule/drawn"
"""The key of `info` for the values that perturbations drew in this episode, by name. It is removed likewise."""

OLD = ", as gym had it before version 0.26"
UNEXPECTED = re.compile(r"unexpected keyword argument '(seed|options)'")

P = ParamSpec("P")
R = TypeVar("R")


def call(function: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
    """Calls code of an environment.

    The settings of the process are then as before. A copy of the process that the code made by a fork ends here.

    Returns:
        What the function returns.

    Raises:
        Misbehaviour: for an exception that would end the process. One that a signal raised is passed on.
        Exception: whatever else the function raises.
    """
    return _called(False, function, *given, **named)


def call_step(function: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
    """`call` for code that runs at every step."""
    return _called(True, function, *given, **named)


def _called(step: bool, function: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
    process = os.getpid()
    entered = PROCESS_STATE.enter(step)
    try:
        return function(*given, **named)
    except Exception:
        raise
    except BaseException as error:
        if raised_by_signal(error):
            raise
        if os.getpid() != process:
            _end_copy(error)
        raise Misbehaviour(
            f"tried to end the process ({described(error).removeprefix('raised ')})"
        ) from error
    finally:
        if os.getpid() != process:
            _end_copy()
        PROCESS_STATE.leave(entered)


def attribute(part: Any, name: str) -> Any:
    """An attribute of an environment's object; None where there is none, or where it cannot be read."""
    try:
        return getattr(part, name, None)
    except BaseException as error:  # a property of the user's may raise anything
        if raised_by_signal(error):
            raise
        log.debug("%s.%s cannot be read: it %s", type(part).__name__, name, described(error))
        return None


def name_of(env: gymnasium.Env[Any, Any]) -> str:
    """An environment in a message: as it calls itself, if it does."""
    try:
        return str(call(str, env.unwrapped))
    except Exception:  # noqa: BLE001  its text is the user's code too
        return type(env.unwrapped).__name__


def _end_copy(error: BaseException | None = None) -> NoReturn:
    """Ends a process that an environment forked, as its exception asks."""
    if isinstance(error, SystemExit):
        os._exit(error.code if isinstance(error.code, int) else int(error.code is not None))
    os.write(2, b"the environment forked the process and returned in both: the copy ends\n")
    os._exit(1)


class Boundary(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The wrapper around an environment as it was made. Joule's own keys in its `info` are removed."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Raises Misbehaviour for a result that is not (observation, info)."""
        try:
            result: Any = call(self.env.reset, seed=seed, options=options)
        except TypeError as error:
            if not UNEXPECTED.search(str(error)):
                raise
            raise Misbehaviour(f"must take seed and options by Gymnasium's API: {error}{OLD}") from error
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
            old = "" if isinstance(result, tuple) else OLD
            raise Misbehaviour(
                f"must return (observation, info) by Gymnasium's API, not {_kind(result)}{old}"
            )
        return result[0], _without_own_keys(result[1])

    def step(self, action: np.ndarray) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Raises Misbehaviour for a result that is not (observation, reward, terminated, truncated, info)."""
        result: Any = call_step(self.env.step, action)
        if not isinstance(result, tuple) or len(result) != 5:
            old = OLD if isinstance(result, tuple) and len(result) == 4 else ""
            raise Misbehaviour(
                "must return (observation, reward, terminated, truncated, info) by Gymnasium's API, "
                f"not {_kind(result)}{old}"
            )
        observation, reward, terminated, truncated, info = result
        if not isinstance(info, dict):
            raise Misbehaviour(f"must return a dict as info by Gymnasium's API, not {info!r:.80}")
        return observation, reward, terminated, truncated, _without_own_keys(info)

    def render(self) -> Any:
        return call(self.env.render)

    def close(self) -> None:
        """Closes the environment; one that fails to close is logged, because nothing depends on it any more."""
        try:
            call(self.env.close)
        except Exception as error:  # noqa: BLE001  the user's environment may raise anything
            _warn_once(f"{name_of(self)}: close {described(error)}; nothing depends on it any more")


_warned: set[str] = set()


def _warn_once(sentence: str) -> None:
    """Logs a sentence the first time: a run makes many environments of one kind."""
    if sentence not in _warned:
        _warned.add(sentence)
        log.warning(sentence)


def _without_own_keys(info: dict[str, Any]) -> dict[str, Any]:
    """A copy, because Joule adds to it."""
    own = dict(info)
    for key in (DIVERGED_KEY, DRAWN_KEY):
        own.pop(key, None)
    return own


def _kind(result: Any) -> str:
    """What was returned, in words."""
    if inspect.iscoroutine(result):
        result.close()  # otherwise Python warns that nobody awaited it
    if not isinstance(result, tuple):
        return f"only {type(result).__name__}"
    inside = ", ".join(type(part).__name__ for part in result)
    return f"{len(result)} values ({inside})"
