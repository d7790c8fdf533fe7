"""What a snapshot of an environment must be before any of it is set: it may come from another person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypedDict

import numpy as np

from envs.state.python_state import LARGEST_ARRAY
from joule_schema import generators
from joule_schema.arrays import ArraySpec, check_arrays, under
from joule_schema.errors import SchemaError, shown
from joule_schema.values import LARGEST_COUNT, Count, Length, Name, Within, check, checked

LONGEST_REPLAY = 20_000
"""Actions kept for a replay, in environment steps; a longer episode cannot be restored exactly."""
_MOST_PARTS, _MOST_PERTURBATIONS, _MOST_COUNTERS = 64, 256, 1_000

Seed = Annotated[int, Within(0, 2**64)] | None
Texts = Annotated[list[str], Length(0, _MOST_PERTURBATIONS)]


class _NotFinite(TypedDict):
    float: Literal["inf", "-inf", "nan"]


Scalar = bool | int | float | str | _NotFinite
"""A number or a text of an attribute; see `python_state.json_scalar`."""
Scalars = Annotated[list[dict[str, Scalar]], Length(0, _MOST_PARTS)]
Generators = Annotated[list[dict[str, Any]], Length(0, _MOST_PARTS)]


class _Checks(TypedDict):
    seed: Seed
    episode: Annotated[int, Within(-1, LARGEST_COUNT)]
    frame: Count
    counters: Annotated[dict[Name, Count], Length(0, _MOST_COUNTERS)]


class _Head(TypedDict):
    env: str
    sizes: Annotated[list[Count], Length(2, 2)]
    action_space: dict[str, Any]
    started: bool
    checks: _Checks


class _Episode(_Head):
    elapsed: Count | None
    sensor_rng: dict[str, Any]


class _Held(TypedDict):
    frame: Annotated[int, Within(0, LONGEST_REPLAY)]
    active: Texts


class _Added(TypedDict, total=False):
    """What earlier versions did not save."""

    drawn: Annotated[dict[Name, float], Length(0, _MOST_PERTURBATIONS)]
    history: Annotated[list[_Held], Length(1, LONGEST_REPLAY)]


class _Perturbed(_Added):
    active: Texts
    at_last_step: Texts
    pending: Texts
    frame: Count


class _Reset(TypedDict):
    seed: Seed
    options: dict[str, Any] | None
    rng: Generators
    scalars: Scalars


class _Record(TypedDict):
    by_state: bool
    reset: _Reset
    rng: Generators
    scalars: Scalars


class _Before(TypedDict):
    rng: Generators
    scalars: Scalars


def counters_in(saved: Mapping[str, Any]) -> dict[str, int]:
    """How often each survivable fault had happened. Raises SchemaError for what does not say so."""
    return dict(checked(_Checks, saved.get("checks"), "env.checks")["counters"])


def check_snapshot(saved: Mapping[str, Any], size: int) -> None:
    """Checks what the outermost wrapper saved.

    Args:
        saved: the snapshot, with all that the wrappers below saved.
        size: numbers of an observation.

    Raises:
        SchemaError: for an entry that is missing, not known, of another type or shape, or out of range.
    """
    inner = ("perturbed/", "record/")
    own = {name: value for name, value in saved.items() if not name.startswith(inner)}
    values, arrays = _split(own)
    started = values.get("started") is True
    check(_Episode if started else _Head, values, "env")
    generators.bit_generator_state(values["action_space"], "PCG64", "env.action_space")
    if not started:
        check_arrays(arrays, {}, "env")
        if len(own) < len(saved):
            raise SchemaError("env: has the record of an episode that has not begun")
        return
    generators.bit_generator_state(values["sensor_rng"], "PCG64", "env.sensor_rng")
    observed = {name: ArraySpec((size,), "float32") for name in ("observation", "true_observation")}
    # What the environment gave last may be an observation after its physics diverged.
    flat = {"flat_observation": ArraySpec((size,), "float32", finite=False)}
    check_arrays(arrays, observed | flat, "env")


def check_perturbed(
    state: Mapping[str, Any], size: int, act: int, latency: Callable[[list[str]], int]
) -> None:
    """Checks the state of the wrapper that perturbs.

    Args:
        state: what the wrapper saved.
        size: numbers of an observation.
        act: numbers of an action.
        latency: of the perturbations with these texts, in frames. It raises EnvError for a text that is no
            perturbation of this environment.

    Raises:
        SchemaError: as `check_snapshot`.
    """
    values, arrays = _split(state)
    texts = checked(_Perturbed, values, "env.perturbed")
    earlier = [held["active"] for held in texts.get("history", [])]
    for perturbations in (texts["at_last_step"], texts["pending"], *earlier):
        latency(perturbations)
    queued = latency(texts["active"])
    shapes = {
        "queue": ArraySpec((queued, act), "float32"),
        "last_action": ArraySpec((act,), "float32"),
        "silent": ArraySpec((size,), "bool"),
    }
    check_arrays(arrays, shapes, "env.perturbed")


def check_record(
    state: Mapping[str, Any], action_space: Any, state_size: int | None, derived_size: int | None, extra: bool
) -> None:
    """Checks the record of an episode.

    Args:
        state: what the record saved.
        action_space: of the environment below all wrappers.
        state_size: numbers of MuJoCo's state; None for an environment that is restored by a replay.
        derived_size: numbers that MuJoCo derived from it; None likewise.
        extra: whether the environment saves more itself. What that holds is for it to check.

    Raises:
        SchemaError: as `check_snapshot`.
    """
    before = under("before/", state)
    named = ("before/", "array/", "reset/array/", "extra/")
    values, arrays = _split({name: v for name, v in state.items() if not name.startswith(named)})
    record = checked(_Record, values, "env.record")
    where = "env.record"
    if record["by_state"] is not (state_size is not None):
        raise SchemaError(
            f"{where}.by_state: is {record['by_state']}, which this environment is not restored by"
        )
    if not extra and any(name.startswith(("extra/", "before/extra/")) for name in state):
        raise SchemaError(f"{where}: has extra state, which this environment does not save")
    if state_size is None or arrays:  # earlier versions saved the steps only where they had to be repeated
        _check_steps(arrays, action_space, where)
    if state_size is None:
        check_arrays(before, {}, f"{where}.before")
    elif before:
        own = {name: v for name, v in before.items() if not name.startswith("extra/")}
        moment, moment_arrays = _split(own)
        check(_Before, moment, f"{where}.before")
        expected = {
            "state": ArraySpec((state_size,), "float64", finite=False),
            "derived": ArraySpec((derived_size,), "float64", finite=False),
            "action": ArraySpec(action_space.shape, action_space.dtype.name),
        }
        if "reward" in moment_arrays:  # earlier versions did not save it
            expected["reward"] = ArraySpec((1,), "float64", finite=False)
        check_arrays(moment_arrays, expected, f"{where}.before")
        _check_actions(before["action"], action_space, f"{where}.before.action")
        _check_generators(moment["rng"], f"{where}.before.rng")
    _check_generators(record["rng"], f"{where}.rng")
    _check_generators(record["reset"]["rng"], f"{where}.reset.rng")
    for name, value in state.items():
        if name.startswith(("array/", "reset/array/")):
            _check_attribute_array(name, value, where)


def _check_steps(arrays: Mapping[str, Any], space: Any, where: str) -> None:
    """Checks the actions and the rewards of an episode."""
    actions = arrays.get("actions")
    none = isinstance(actions, np.ndarray) and actions.shape == (0,)
    spec = ArraySpec((None, *space.shape), space.dtype.name, longest=LONGEST_REPLAY)
    given = {name: value for name, value in arrays.items() if not (none and name == "actions")}
    expected = {} if none else {"actions": spec}
    if "rewards" in arrays:  # earlier versions did not save them
        count = len(actions) if isinstance(actions, np.ndarray) and actions.ndim else 0
        expected["rewards"] = ArraySpec((count,), "float64", finite=False)
    check_arrays(given, expected, where)
    _check_actions(actions, space, f"{where}.actions")


def _check_actions(actions: Any, space: Any, where: str) -> None:
    if actions.size and not ((actions >= space.low) & (actions <= space.high)).all():
        raise SchemaError(f"{where}: holds a number outside of the action space")


def _check_generators(states: list[dict[str, Any]], where: str) -> None:
    """The states of generators of any kind that NumPy has; another kind is left to the restore, which fails."""
    for index, state in enumerate(states):
        kind, own = state.get("bit_generator"), f"{where}[{index}]"
        if not isinstance(kind, str):
            raise SchemaError(f"{own}: is not the state of a generator")
        if kind in generators.KINDS:
            generators.bit_generator_state(state, kind, own, legacy="gauss" in state)


def _check_attribute_array(name: str, value: Any, where: str) -> None:
    index = name.removeprefix("reset/").split("/")[1]
    attribute = name.removeprefix("reset/").removeprefix(f"array/{index}/")
    if not (index.isascii() and index.isdecimal() and int(index) < _MOST_PARTS and attribute.isidentifier()):
        raise SchemaError(f"{where}: has an array {shown(name)}, which names no attribute")
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or value.size > LARGEST_ARRAY:
        raise SchemaError(f"{where}: {shown(name)} is no array of at most {LARGEST_ARRAY} numbers")


def _split(saved: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """JSON values, and arrays."""
    arrays = {name: value for name, value in saved.items() if isinstance(value, np.ndarray)}
    return {name: value for name, value in saved.items() if name not in arrays}, arrays
