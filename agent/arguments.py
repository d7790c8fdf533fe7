"""What a program hands to the methods of an agent, checked: a mistake is one sentence that says where it is.

NumPy would make an action of nearly anything: a column of a table is broadcast, a NaN decides for a NaN.
"""

from __future__ import annotations

import inspect
import math
import numbers
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agent.errors import InputError
from agent.interface import EnvSpec, Observation

MOST_STEPS = 10_000_000_000
"""Environment frames of one call of `learn`, as of a run."""
ROUNDING = 1e-3
"""An action may be so far beyond [-1, 1], by rounding."""


def observation_rows(spec: EnvSpec, observation: Any, *, finite: bool = True) -> tuple[Observation, bool]:
    """An observation, or several, as a batch of the dtypes that the environment's observations have.

    Args:
        spec: of the environment that the agent was made for.
        observation: [obs] or [batch, obs], as an array, a list or a tensor on the CPU; a mapping of such, by
            name, where the observation has several parts.
        finite: whether NaN and infinity are refused.

    Returns:
        The batch, and whether a single observation was given.

    Raises:
        InputError: for another shape or names, and for what is not a number.
    """
    parts = spec.observation
    if not isinstance(observation, Mapping):
        if len(parts) > 1:
            names = ", ".join(part.name for part in parts)
            raise InputError(f"observation: found {kind_of(observation)}; give a dictionary with {names}")
        return _rows("observation", observation, spec.env, parts[0].shape, parts[0].dtype, finite)
    expected, found = sorted(part.name for part in parts), sorted(map(str, observation))
    if found != expected:
        whole = (
            f"; joule.make_env gives one array of {spec.observation_size} numbers, and so does "
            "gymnasium.spaces.flatten(space, observation) with the environment's own space"
            if len(parts) == 1
            else ""
        )
        raise InputError(
            f"observation: found a dictionary with {', '.join(found) or 'nothing'}; an agent for {spec.env} "
            f"takes {', '.join(expected)}{whole}"
        )
    rows, single = {}, False
    for part in parts:
        where = f"observation[{part.name!r}]"
        rows[part.name], single = _rows(
            where, observation[part.name], spec.env, part.shape, part.dtype, finite
        )
    if len(counts := {name: len(array) for name, array in rows.items()}) > 1 and len({*counts.values()}) > 1:
        raise InputError(f"observation: its parts are of different numbers of environments: {counts}")
    return (next(iter(rows.values())) if len(parts) == 1 else rows), single


def rows_in(observations: Observation) -> int:
    """How many observations a batch has."""
    return len(next(iter(observations.values())) if isinstance(observations, Mapping) else observations)


def episode_starts(episode_start: Any, batch: int) -> np.ndarray:
    """Which of `batch` observations begin an episode, [batch] bool.

    Raises:
        InputError: for another number of them, and for what is neither true nor false.
    """
    if episode_start is None:
        return np.zeros(batch, bool)
    starts = numbers_in("episode_start", episode_start)
    if starts.shape != (batch,) and not (starts.shape == () and batch == 1):
        raise InputError(
            f"episode_start: found shape {_shape(starts.shape)}; give one of true or false for each of the "
            f"{batch} observations"
        )
    if not np.isin(starts, (0, 1)).all():
        raise InputError(f"episode_start: found {starts.tolist()}; give true or false")
    return np.atleast_1d(starts.astype(bool))


def whole_steps(steps: Any) -> int:
    """A number of environment frames from 0 to MOST_STEPS. Raises InputError."""
    return whole_number("steps", steps, 0, MOST_STEPS)


def whole_number(name: str, value: Any, least: int, most: int) -> int:
    """A whole number, also one written as 1e5.

    Raises:
        InputError: for what is none from `least` to `most`.
    """
    known = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    # The bounds come first: NaN is within none, and a whole number of Python may be beyond every float.
    if not known or not least <= value <= most or value != int(value):
        raise InputError(
            f"{name}: found {value!r:.80}; give a whole number, at least {least:,} and at most {most:,}"
        )
    return int(value)


def positive_number(name: str, value: Any) -> float:
    """A finite number above 0. Raises InputError for what is none."""
    known = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    try:
        number = float(value) if known else math.nan
    except OverflowError:  # a whole number of Python may be beyond every float
        number = math.inf
    if not 0.0 < number < math.inf:
        raise InputError(f"{name}: found {value!r:.80}; give a number above 0")
    return number


def folder_path(path: Any) -> Path:
    """The path of a folder; a `~` at its beginning is the home folder. Raises InputError for what is no path."""
    if not isinstance(path, str | os.PathLike) or not isinstance(named := os.fspath(path), str):
        raise InputError(f"path: found {kind_of(path)}; give the path of a folder")
    return Path(os.path.expanduser(named))


def check_on_step(on_step: Any) -> None:
    """Raises InputError for a callback that cannot be called with the agent."""
    if on_step is None:
        return
    if not callable(on_step):
        raise InputError(f"on_step: found {kind_of(on_step)}; give a function of the agent")
    try:
        inspect.signature(on_step).bind(None)
    except TypeError:
        raise InputError("on_step: takes other arguments; give a function of one, the agent") from None
    except ValueError:  # some built-in functions do not say what they take
        pass


def ended_by(answer: Any) -> bool:
    """Whether an answer of a callback ends learning: a function without `return` does not."""
    return answer is not None and not answer


def action_sequence(actions: Any, size: int) -> np.ndarray:
    """Actions [horizon, act] in [-1, 1].

    Args:
        actions: an array, a list or a tensor on the CPU.
        size: numbers in an action.

    Raises:
        InputError: for another shape, and for what is not a number in [-1, 1].
    """
    array = numbers_in("actions", actions)
    if array.ndim != 2 or array.shape[1] != size:
        raise InputError(f"actions: found shape {_shape(array.shape)}; give [horizon, {size}]")
    values = array.astype(np.float32)
    outside = ~(np.abs(values) <= 1.0 + ROUNDING)  # a NaN compares false with everything
    if outside.any():
        place = np.argwhere(outside)[0]
        raise InputError(f"actions{_shape(place)} is {array[tuple(place)]}; actions are from -1 to 1")
    return values


def numbers_in(where: str, value: Any) -> np.ndarray:
    """An array of real numbers, or of true and false.

    Raises:
        InputError: for everything else; the sentence begins with `where`.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{where}: its rows differ in length") from error
    except (TypeError, RuntimeError) as error:  # a tensor on another device, or one that needs its gradient
        raise InputError(f"{where}: found {kind_of(value)} that NumPy cannot read: {_line(error)}") from error
    if array.dtype.kind in "fiub":
        return array
    if array.dtype != object:
        raise InputError(f"{where}: found {kind_of(value)} of {array.dtype}; give numbers")
    for place in np.ndindex(array.shape):
        entry, position = array[place], _shape(place) if place else ""
        if not isinstance(entry, numbers.Real):
            said = repr(entry) if entry is None else kind_of(entry)
            raise InputError(f"{where}{position} is {said}; give numbers")
        try:
            float(entry)
        except OverflowError as error:  # a whole number of Python has no bound
            raise InputError(f"{where}{position} is beyond every float; give numbers") from error
    return array.astype(np.float64)


def _rows(
    where: str, value: Any, env: str, shape: Sequence[int], dtype: str, finite: bool
) -> tuple[np.ndarray, bool]:
    array, shape = numbers_in(where, value), tuple(shape)
    single = array.shape == shape
    if not single and (array.shape[1:] != shape or array.ndim != len(shape) + 1 or len(array) == 0):
        sizes = ", ".join(map(str, shape))
        raise InputError(
            f"{where}: found shape {_shape(array.shape)}; an agent for {env} takes [{sizes}] or [batch, {sizes}]"
        )
    with np.errstate(over="ignore"):
        rows = np.array(array, dtype, order="C")  # torch reads neither another order nor what is read-only
    if rows.dtype.kind in "iu" and (beyond := rows != array).any():
        place = tuple(np.argwhere(beyond)[0])
        raise InputError(f"{where}{_shape(place)} is {array[place]}, which {dtype} cannot hold")
    if finite and not np.isfinite(rows).all():
        place = tuple(np.argwhere(~np.isfinite(rows))[0])
        raise InputError(f"{where}{_shape(place)} is {array[place]}; give numbers that are finite in {dtype}")
    return (rows[None] if single else rows), single


def _shape(sizes: Sequence[int] | np.ndarray) -> str:
    return f"[{', '.join(map(str, sizes))}]"


def kind_of(value: Any) -> str:
    """The type of a value, for a sentence."""
    return (
        "None"
        if value is None
        else f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
    )


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
