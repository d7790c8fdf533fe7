"""Where an environment keeps its MuJoCo physics, and a watch on the warnings that physics raises in silence.

MuJoCo resets itself when its state diverges and Gymnasium reports nothing: observations stay finite and
training receives a teleport. The watch reads every warning counter, and the clock, around each step.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

log = logging.getLogger("joule.envs")

DIVERGED = ("BADQPOS", "BADQVEL", "BADQACC")


@dataclass(frozen=True)
class Physics:
    """The `mujoco.MjModel` and `mujoco.MjData` of one environment."""

    model: Any
    data: Any


def find_physics(env: gymnasium.Env[Any, Any]) -> Physics | None:
    """The MuJoCo model and data behind `env` now, or None; dm_control may swap them at a reset."""
    control = dm_control_env(env)
    for part in parts(env) if control is None else [control.physics]:
        model, data = getattr(part, "model", None), getattr(part, "data", None)
        # dm_control wraps both structs and keeps the bindings' own in `ptr`.
        model, data = getattr(model, "ptr", model), getattr(data, "ptr", data)
        if type(model).__name__ == "MjModel" and type(data).__name__ == "MjData":
            return Physics(model, data)
    return None


def parts(env: gymnasium.Env[Any, Any]) -> list[Any]:
    """The Python objects that make up an environment: itself, nested envs, dm_control's env and task."""
    base = env.unwrapped
    found: list[Any] = [base]
    for value in vars(base).values():
        if isinstance(value, gymnasium.Env) and value is not base:
            found.append(value.unwrapped)
    control = dm_control_env(env)
    if control is not None:
        found += [control, control.task]
    return found


def dm_control_env(env: gymnasium.Env[Any, Any]) -> Any | None:
    """The dm_control environment under shimmy's wrapper, or None."""
    base = env.unwrapped
    if type(base).__module__.startswith("shimmy.dm_control"):
        return vars(base)["_env"]
    return None


class Watch:
    """Reads what MuJoCo warned of since the last reading; made anew at each reset, where time goes back."""

    def __init__(self, physics: Physics) -> None:
        import mujoco

        self._data = physics.data
        self._number: np.ndarray = physics.data.warning.number
        self._names = [
            name.removeprefix("mjWARN_")
            for name, member in sorted(mujoco.mjtWarning.__members__.items(), key=lambda item: int(item[1]))
            if name.startswith("mjWARN_")
        ]
        self._number[:] = 0
        self._time: float = physics.data.time

    def read(self) -> dict[str, int]:
        """Warnings raised since the last call; `CLOCK` stands for time that went back without any warning."""
        warned: dict[str, int] = {}
        if self._number.any():
            warned = {name: int(n) for name, n in zip(self._names, self._number, strict=False) if n}
            # A self-reset sets a counter to 1 whatever it was, so a second divergence shows only from 0.
            self._number[:] = 0
        time = self._data.time
        if time < self._time and not warned:
            warned = {"CLOCK": 1}
        self._time = time
        return warned

    def broken(self) -> bool:
        """Whether the state itself is non-finite, which MuJoCo would only notice at its next step."""
        return not (np.isfinite(self._data.qpos).all() and np.isfinite(self._data.qvel).all())


def route_warnings() -> None:
    """Send MuJoCo's messages to the log; by default they go to MUJOCO_LOG.TXT in the working folder."""
    import mujoco

    mujoco.set_mju_user_warning(_log_warning)


def _log_warning(message: str | bytes) -> None:
    text = message.decode(errors="replace") if isinstance(message, bytes) else message
    log.debug("MuJoCo: %s", text)
