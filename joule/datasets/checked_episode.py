"""A recorded episode, checked to the last number, as rows of a replay buffer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.errors import ConfigError
from agent.interface import Arrays
from agent.memory.columns import columns_in
from envs.env_spec import STATE
from envs.rendering.pixels import PIXELS
from envs.wrappers import ROUNDING

NEEDED = ("observations", "actions", "rewards", "terminations")
"""Arrays that an episode has at least."""
KNOWN = (*NEEDED, "truncations", "readouts")
"""Arrays that are read."""


@dataclass(frozen=True)
class EpisodeShape:
    """What every episode of a data set has in common."""

    observation: int
    """Numbers in an observation; 0 where it is pictures alone."""
    readouts: int
    """Numbers in the environment's readouts."""
    to_unit: Callable[[np.ndarray], np.ndarray]
    """Recorded ones [steps, ...] as actions [steps, act], in [-1, 1] within the bounds. ValueError for a shape."""
    pictures: tuple[int, int, int] | None = None
    """Channels, height and width of the pictures in an observation; None without."""
    reads_observation: bool = False
    """Whether the environment's readouts are its observation."""


def checked_rows(where: str, found: Mapping[str, Any], shape: EpisodeShape) -> Arrays:
    """The rows of an episode.

    Args:
        where: names the episode in the message of an error.
        found: its arrays by name, as `KNOWN` has them, and `PIXELS` [steps + 1, channels, height, width] where an
            observation has pictures. Without `readouts` they are NaN.
        shape: what it must have.

    Raises:
        ConfigError: for the first array, or number, that cannot be learned from; the sentence says at which step.
    """
    arrays = {name: _numbers(where, name, found[name]) for name in KNOWN if found.get(name) is not None}
    observed = [name for name, has in (("observations", shape.observation), (PIXELS, shape.pictures)) if has]
    if shape.pictures is not None:
        arrays[PIXELS] = _pictures(where, found.get(PIXELS))
    for name in (*observed, *NEEDED[1:]):
        if name not in arrays:
            raise ConfigError(f"data: {where} has no {name}; an episode has {', '.join(NEEDED)}")
    steps = len(arrays["actions"]) if arrays["actions"].ndim else 0
    if not steps:
        raise ConfigError(f"data: {where} is empty: actions has shape {list(arrays['actions'].shape)}")
    expected: dict[str, tuple[int, ...]] = {
        "observations": (steps + 1, shape.observation),
        "rewards": (steps,),
        "terminations": (steps,),
        "truncations": (steps,),
        "readouts": (steps + 1, shape.readouts),
        PIXELS: (steps + 1, *(shape.pictures or ())),
    }
    for name, wanted in expected.items():
        if name in arrays and arrays[name].shape != wanted:
            raise ConfigError(
                f"data: {where}: {name} has shape {list(arrays[name].shape)}, and {steps} actions need "
                f"{list(wanted)}"
            )
    stored = {name: _finite(where, name, arrays[name]) for name in ("observations", "rewards", "readouts")
              if name in arrays}  # fmt: skip
    action = _actions(where, _finite(where, "actions", arrays["actions"]), shape)
    ended = _flags(where, "terminations", arrays["terminations"])
    ends = ended | _flags(where, "truncations", arrays["truncations"]) if "truncations" in arrays else ended
    if ends[:-1].any():
        step = int(np.argmax(ends))
        raise ConfigError(
            f"data: {where} ends at step {step} and has {steps} steps; end an episode at its last one"
        )
    parts: dict[str, np.ndarray] = {}
    if shape.pictures is not None:
        parts[PIXELS] = arrays[PIXELS]
    if shape.observation:
        parts[STATE] = stored["observations"]
    return {
        **columns_in(parts if len(parts) > 1 else next(iter(parts.values()))),
        "action": np.concatenate((action, np.zeros_like(action[:1]))),
        "cost": np.append(-stored["rewards"], np.float32(0.0)),
        "terminated": np.append(ended, False).astype(np.float32),
        "last": np.arange(steps + 1) == steps,
        "readout": stored.get("readouts", np.full((steps + 1, shape.readouts), np.nan, np.float32)),
    }


def _numbers(where: str, name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ConfigError(f"data: {where}: {name} has dtype {array.dtype}, and numbers are needed")
    return array


def _pictures(where: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype != np.uint8:
        raise ConfigError(f"data: {where}: {PIXELS} has dtype {array.dtype}, and uint8 is needed")
    return array


def _finite(where: str, name: str, array: np.ndarray) -> np.ndarray:
    """The array as float32. Raises ConfigError for a number that is not finite, or too large for it."""
    with np.errstate(over="ignore"):
        small = array.astype(np.float32)
    bad = ~np.isfinite(small).reshape(len(small), -1).all(1)
    if bad.any():
        step = int(np.argmax(bad))
        value = array[step] if array.ndim == 1 else array[step][~np.isfinite(small[step])][0]
        raise ConfigError(f"data: {where}: {name} is {value} at step {step}, which is no finite float32")
    return small


def _actions(where: str, own: np.ndarray, shape: EpisodeShape) -> np.ndarray:
    try:
        unit = shape.to_unit(own)
    except ValueError as error:
        raise ConfigError(f"data: {where}: {error}") from None
    beyond = np.abs(unit) > 1.0 + ROUNDING
    if beyond.any():
        step = int(np.argmax(beyond.any(1)))
        found, place = own[step].ravel(), int(np.argmax(beyond[step]))
        # Where a number is constant, the agent's actions lack it, and the places of the others differ.
        said = f"{found[place]:g}" if found.size == unit.shape[1] else f"{found.tolist()}"
        number = f", number {place}" if found.size == unit.shape[1] else ""
        raise ConfigError(
            f"data: {where}: actions is {said} at step {step}{number}, which is outside the bounds of the action "
            "space"
        )
    clipped: np.ndarray = np.clip(unit, -1.0, 1.0)
    return clipped


def _flags(where: str, name: str, array: np.ndarray) -> np.ndarray:
    """Flags, as booleans or as 0 and 1."""
    wrong = (array != 0) & (array != 1)
    if wrong.any():
        step = int(np.argmax(wrong))
        raise ConfigError(f"data: {where}: {name} is {array[step]} at step {step}; 0 and 1 are allowed")
    return array != 0
