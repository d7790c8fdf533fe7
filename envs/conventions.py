"""What classes and wrappers of environments mean by common names, and wrappers that Joule has of its own."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator

from envs.faults.boundary import attribute
from envs.faults.errors import EnvError
from joule_errors import Advice

OF_MUJOCO = ("gymnasium.envs.mujoco", "gymnasium_robotics", "shimmy")
"""Modules of environments whose `dt` is the length of a step, and whose `width` and `height` are a frame's."""
LARGEST_SECONDS = 1e6
"""A longer time step, or a higher frame rate, is no time that an environment means."""
KEEP_STATISTICS = (gymnasium.wrappers.NormalizeObservation, gymnasium.wrappers.NormalizeReward)
"""Wrappers by which an environment depends on the episodes before."""


def takes_frame_size(spec: Any) -> bool:
    """Whether the arguments `width` and `height` of a constructor are those of a frame, and not another length."""
    try:
        maker = spec.entry_point if callable(spec.entry_point) else load_env_creator(spec.entry_point)
    except Exception:  # noqa: BLE001  making it says why it cannot be made
        return False
    return not isinstance(maker, type) or _of_mujoco(maker)


def _of_mujoco(kind: type) -> bool:
    """Whether a class is one of the families whose `dt`, `width` and `height` are known."""
    return any(base.__module__.startswith(OF_MUJOCO) for base in kind.__mro__)


def refuse_autoreset(env: str, raw: gymnasium.Env[Any, Any]) -> None:
    """Raises EnvError for an environment that resets itself."""
    layer: gymnasium.Env[Any, Any] = raw
    while isinstance(layer, gymnasium.Wrapper):
        if isinstance(layer, gymnasium.wrappers.Autoreset):
            raise EnvError(
                f"{env} resets itself (Autoreset): register it without, so that episodes have an end"
            )
        layer = layer.env


def warn_of_statistics(env: str, raw: gymnasium.Env[Any, Any]) -> None:
    """Warns of an environment whose observations or rewards depend on the episodes that it has seen."""
    layer: gymnasium.Env[Any, Any] = raw
    while isinstance(layer, gymnasium.Wrapper):
        if isinstance(layer, KEEP_STATISTICS):
            what = "rewards" if isinstance(layer, gymnasium.wrappers.NormalizeReward) else "observations"
            warnings.warn(
                f"{env} has the wrapper {type(layer).__name__}, whose statistics are others where an agent "
                f"trains and where it is evaluated, and so are the {what}; Joule normalises by itself, so register "
                "it without",
                Advice,
                stacklevel=2,
            )
        layer = layer.env


def seconds_per_decision(env: str, raw: gymnasium.Env[Any, Any], repeat: int) -> float | None:
    """Simulated seconds per decision; None where they are not known. Raises EnvError.

    An environment of MuJoCo's says in `dt` how long a step is. In another one `dt` may be that of its physics, of
    which a step makes many, so that its frame rate is asked first.
    """
    dt = _positive(attribute(raw.unwrapped, "dt"))
    if dt is not None and _of_mujoco(type(raw.unwrapped)):
        return dt * repeat
    metadata = attribute(raw, "metadata")
    fps = metadata.get("render_fps") if isinstance(metadata, dict) else None
    if fps is None or (isinstance(fps, int) and fps == 0):
        return None if dt is None else dt * repeat
    if (rate := _positive(fps)) is None:
        raise EnvError(
            f"{env}: metadata['render_fps'] must be the frames per second of its films, a positive number, "
            f"not {fps!r:.80}"
        )
    return repeat / rate


def _positive(value: Any) -> float | None:
    """`value` as a float where it is one finite number above 0, or None."""
    if isinstance(value, bool) or not isinstance(value, float | int | np.floating | np.integer):
        return None
    return float(value) if 0 < value < LARGEST_SECONDS else None
