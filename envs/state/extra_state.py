"""What an environment saves itself by `extra_state` and `load_extra_state`: a snapshot has it too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from envs.faults.boundary import call
from envs.faults.errors import Misbehaviour, described
from envs.state.python_state import is_json


@runtime_checkable
class HasExtraState(Protocol):
    """An environment whose steps depend on state that neither MuJoCo nor its attributes hold."""

    def extra_state(self) -> Mapping[str, Any]:
        """That state, as arrays and JSON values."""
        ...

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Sets what `extra_state` gave."""
        ...


def read_extra(env: HasExtraState) -> Mapping[str, Any]:
    """What the environment's own method gives. Raises Misbehaviour where it gives no mapping."""
    try:
        state = call(env.extra_state)
    except Exception as error:
        raise Misbehaviour(f"cannot be saved: extra_state() {described(error)}") from error
    if not isinstance(state, Mapping):
        raise Misbehaviour(f"cannot be saved: extra_state() gave no mapping but {type(state).__name__}")
    return state


def storable(state: Mapping[Any, Any]) -> dict[str, Any]:
    """What `extra_state` gave, as arrays of numbers and JSON values. Raises Misbehaviour for anything else."""
    found = {}
    for name, value in state.items():
        found[name] = value.item() if isinstance(value, np.generic) else value
        numbers = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
        if not isinstance(name, str) or not (numbers or is_json(found[name])):
            raise Misbehaviour(
                f"cannot be saved: extra_state() gave {name!r:.40} as {type(value).__name__}, which is neither an "
                "array of numbers nor a JSON value"
            )
    return found


def load_extra(env: HasExtraState, state: dict[str, Any]) -> None:
    """Has the environment set what it gave."""
    call(env.load_extra_state, state)
