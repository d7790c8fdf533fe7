"""All callbacks of a run as one."""

from __future__ import annotations

import difflib
import functools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agent.errors import ConfigError, StopRun
from joule.callbacks.callback import (
    Activity,
    Callback,
    Episode,
    EvaluationResult,
    Measurement,
    RunEnd,
    RunStart,
)
from joule_errors import Advice
from joule_schema.errors import SchemaError
from joule_schema.values import MOST_METRICS, Name, check

COUNTS = ("frames", "decisions", "episodes")
"""Columns of metrics.csv that are no metrics."""


class CallbackError(StopRun):
    """A callback of the user raised; the message is one sentence that names it."""


class Callbacks(Callback):
    """Tells several callbacks, one after the other.

    Args:
        own: Joule's own; an error in them is passed on as it is.
        users: the user's; an error in them becomes a CallbackError.
        display: Joule's own too, told last: what the others print stands above it.

    Raises:
        ConfigError: for an object that is no callback.
    """

    def __init__(
        self, own: Sequence[Callback] = (), users: Sequence[Callback] = (), display: Callback | None = None
    ) -> None:
        self._users = frozenset(map(id, checked(users)))
        self._all = (*own, *users, *(() if display is None else (display,)))
        # Most callbacks do not look at every decision.
        self._stepped = tuple(one for one in self._all if type(one).on_step is not Callback.on_step)

    def on_start(self, start: RunStart) -> None:
        self._tell("on_start", lambda one: one.on_start(start))

    def on_step(self, agent: Any) -> bool:
        def goes_on(one: Callback) -> bool:
            answer = one.on_step(agent)
            if id(one) in self._users:
                _check_numbers(agent.metrics)
            return answer is None or bool(answer)  # a comparison of NumPy's gives no bool of Python

        go_on = True
        for one in self._stepped:
            go_on &= bool(self._call(one, "on_step", goes_on))
        return go_on

    def on_episode(self, episode: Episode) -> None:
        self._tell("on_episode", lambda one: one.on_episode(episode))

    def on_metrics(self, measurement: Measurement) -> None:
        self._tell("on_metrics", lambda one: one.on_metrics(measurement))

    def on_evaluation(self, evaluation: EvaluationResult) -> None:
        self._tell("on_evaluation", lambda one: one.on_evaluation(evaluation))

    def on_checkpoint(self, frames: int) -> None:
        self._tell("on_checkpoint", lambda one: one.on_checkpoint(frames))

    def on_video(self, path: Path, frames: int) -> None:
        self._tell("on_video", lambda one: one.on_video(path, frames))

    def on_activity(self, activity: Activity) -> None:
        self._tell("on_activity", lambda one: one.on_activity(activity))

    def on_note(self, sentence: str) -> None:
        self._tell("on_note", lambda one: one.on_note(sentence))

    def on_end(self, end: RunEnd) -> None:
        """Tells every callback, also after one that raises; the first error is then raised."""
        first: CallbackError | None = None
        for one in self._all:
            try:
                self._call(one, "on_end", lambda one: one.on_end(end))
            except CallbackError as error:
                first = first or error
        if first is not None:
            raise first

    def _tell(self, name: str, call: Callable[[Callback], object]) -> None:
        for one in self._all:
            self._call(one, name, call)

    def _call(self, one: Callback, name: str, call: Callable[[Callback], object]) -> object:
        try:
            return call(one)
        except (Exception, SystemExit) as error:
            if id(one) not in self._users:
                raise
            text = f": {error}" if str(error) else ""
            raise CallbackError(
                f"the callback {type(one).__name__} raised {type(error).__name__} in {name}{text}"
            ) from error


def _check_numbers(metrics: dict[str, float]) -> None:
    """Makes what a callback added to the metrics numbers of Python, which every log and checkpoint can write.

    Raises:
        ValueError: for a value that is no single number, a name that no column of its own can have, and too many
            of them. What is refused is taken out: no checkpoint could hold it.
    """
    if len(metrics) > MOST_METRICS:
        name, _ = metrics.popitem()
        raise ValueError(f"agent.metrics: {name!r:.80} is one more than {MOST_METRICS:,}")
    for name, value in [*metrics.items()]:
        try:
            _check_column(name)
            if type(value) is not float:
                metrics[name] = _number(value)
        except ValueError as error:
            del metrics[name]
            raise ValueError(f"agent.metrics[{name!r:.80}] {error}") from None


@functools.lru_cache(MOST_METRICS)
def _check_column(name: object) -> None:
    """Raises ValueError for what cannot be the name of a metric."""
    try:
        check(Name, name, "name")
    except SchemaError:
        raise ValueError("cannot be a column; give a name that begins with a letter") from None
    if name in COUNTS:
        raise ValueError("is a column of its own; give another name, such as own/" + str(name))


def _number(value: Any) -> float:
    try:
        if not isinstance(value, str):  # one of digits would be taken
            return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        pass
    raise ValueError(f"is {value!r:.80}; give one number")


def checked(callbacks: Sequence[Callback]) -> Sequence[Callback]:
    """The same callbacks.

    Raises:
        ConfigError: for something that is no sequence of callbacks.
    """
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Sequence):
        raise ConfigError("callbacks: give a list, as in callbacks=[MyCallback()]")
    for one in callbacks:
        if isinstance(one, type) and issubclass(one, Callback):
            raise ConfigError(f"callbacks: found the class {one.__name__}; give an object, {one.__name__}()")
        if not isinstance(one, Callback):
            found = type(one).__name__
            raise ConfigError(f"callbacks: found {found}; give objects of subclasses of joule.Callback")
        _warn_of_misspelt(one)
    return callbacks


def _warn_of_misspelt(one: Callback) -> None:
    """Warns of methods that are named nearly as an event is."""
    events = [name for name in dir(Callback) if name.startswith("on_")]
    for name in dir(one):
        if not name.startswith("on_") or name in events or not callable(getattr(one, name)):
            continue
        if near := difflib.get_close_matches(name, events, n=1, cutoff=0.75):
            said = f"callbacks: {type(one).__name__}.{name} is no event and is not told; is {near[0]} meant?"
            warnings.warn(said, Advice, stacklevel=3)
