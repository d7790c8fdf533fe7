"""The columns of a replay buffer: one for each part of an observation, and those of a transition."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from agent.interface import Columns, EnvSpec, Observation, ObservationPart

OBSERVATION = "obs"
"""Column of the only part of an observation; with several parts, `obs/<part>` for each."""
Array = TypeVar("Array")
Result = TypeVar("Result")


def columns_of(spec: EnvSpec) -> Columns:
    """Name -> (shape of a row, dtype) for an environment's transitions; every part in its own dtype.

    Of stacked frames a row has the newest: the others are in the rows before it.
    """
    parts = {part.name: (_row_shape(part), part.dtype) for part in spec.observation}
    if len(parts) == 1:
        observation = {OBSERVATION: next(iter(parts.values()))}
    else:
        observation = {f"{OBSERVATION}/{name}": part for name, part in parts.items()}
    return {
        **observation,
        "action": ((spec.action_size,), "float32"),
        "cost": ((), "float32"),
        "terminated": ((), "float32"),
        "last": ((), "bool"),
        "readout": ((sum(spec.readout_sizes.values()),), "float32"),
    }


def has_readouts(readout: np.ndarray) -> np.ndarray:
    """Which rows [rows, readouts] have readouts; those of recorded episodes without any are NaN throughout."""
    known: np.ndarray = ~np.isnan(readout).all(1) | (readout.shape[1] == 0)
    return known


def lacks_readouts(row: np.ndarray | None) -> bool:
    """Whether this is one row [readouts] of recorded episodes without readouts."""
    return row is not None and row.dtype.kind == "f" and row.size > 0 and bool(np.isnan(row).all())


def _row_shape(part: ObservationPart) -> tuple[int, ...]:
    return (part.shape[0] // part.stack, *part.shape[1:]) if part.stack > 1 else tuple(part.shape)


def stacks_of(spec: EnvSpec) -> dict[str, int]:
    """Column -> how many frames its observation stacks, where that is more than one."""
    single = len(spec.observation) == 1
    return {
        OBSERVATION if single else f"{OBSERVATION}/{part.name}": part.stack
        for part in spec.observation
        if part.stack > 1
    }


def sees_pictures(spec: EnvSpec) -> bool:
    """Whether an observation has a picture: uint8 [channels, height, width]."""
    return any(is_picture(part) for part in spec.observation)


def is_picture(part: ObservationPart) -> bool:
    """Whether a part of an observation is a picture, or a stack of pictures."""
    return len(part.shape) == 3 and part.dtype == "uint8"


def is_observation(column: str) -> bool:
    """Whether a column holds an observation, or a part of one."""
    return column == OBSERVATION or column.startswith(f"{OBSERVATION}/")


def observation_in(columns: Mapping[str, np.ndarray]) -> Observation:
    """The observation among columns: one array, or an array for each part."""
    if OBSERVATION in columns:
        return columns[OBSERVATION]
    prefix = f"{OBSERVATION}/"
    return {name.removeprefix(prefix): c for name, c in columns.items() if name.startswith(prefix)}


def columns_in(observation: Observation) -> dict[str, np.ndarray]:
    """An observation under the names of its columns; `observation_in` is the inverse."""
    if isinstance(observation, Mapping):
        return {f"{OBSERVATION}/{name}": part for name, part in observation.items()}
    return {OBSERVATION: observation}


def blank_observation(spec: EnvSpec) -> Observation:
    """An observation of zeros."""
    parts = {part.name: np.zeros(tuple(part.shape), part.dtype) for part in spec.observation}
    return next(iter(parts.values())) if len(parts) == 1 else parts


def same_observation(one: Observation, other: Observation) -> bool:
    """Whether two observations are equal in every part."""
    first, second = columns_in(one), columns_in(other)
    return first.keys() == second.keys() and all(np.array_equal(first[n], second[n]) for n in first)


def map_parts(function: Callable[[Any], Result], observation: Any) -> Any:
    """`function` of an observation that is one array or tensor, or of each part of a mapping."""
    if isinstance(observation, Mapping):
        return {name: function(part) for name, part in observation.items()}
    return function(observation)


def stack_parts(observations: Sequence[Observation | None]) -> Observation:
    """Observations of several environments as a batch, part by part."""
    first = observations[0]
    if isinstance(first, Mapping):
        return {name: np.stack([obs[name] for obs in observations]) for name in first}  # type: ignore[index,call-overload]
    return np.stack(observations)  # type: ignore[arg-type]
