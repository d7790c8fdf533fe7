"""Readouts: the named physical quantities of an environment, read from its simulator.

An environment may have a method `readouts() -> dict[str, np.ndarray]` of its own. Any other environment with
MuJoCo gives the quantities of its joints; see `envs.readouts.joints`. An environment without physics gives its
observation, or how bright that is where it is a picture alone.

Where an environment's own readouts contain MuJoCo's `qpos` and `qvel`, the quantities of its joints take their
place, and `qpos` and `qvel` are derived from these.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection
from typing import Any

import gymnasium
import numpy as np

from envs.faults.boundary import attribute, call_step, name_of
from envs.faults.errors import EnvError
from envs.physics import Physics, find_physics
from envs.readouts.derived import DerivedReadout, of_joints
from envs.readouts.joints import JointReadouts
from envs.readouts.root import of_root

STATE = ("qpos", "qvel")
"""Readouts of an environment's own that joints replace."""
OBSERVATION = "obs"
"""The readout of an environment without physics."""
_known: weakref.WeakKeyDictionary[Any, dict[tuple[str, ...], JointReadouts]] = weakref.WeakKeyDictionary()
"""Models -> readouts of their joints, by the names that these must not have."""


def has_own_readouts(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether the environment has a method `readouts`."""
    return callable(attribute(env.unwrapped, "readouts"))


def own_readout_names(env: gymnasium.Env[Any, Any]) -> list[str]:
    """The readouts that the environment's own method names, without those that joints replace. Raises EnvError."""
    return [*_sources(env)[1]]


def of_observation(observation: np.ndarray, frame: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The readouts of an environment without physics and without readouts of its own.

    Args:
        observation: [obs], without the picture.
        frame: the picture, where there is one.
    """
    if frame is None or observation.size:
        return {OBSERVATION: observation}
    return {"brightness": np.array([frame.mean() / 255.0])}


def named_readouts(env: gymnasium.Env[Any, Any], observed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The readouts of `env` now, each a flat array.

    Args:
        env: the environment.
        observed: `of_observation`, which is taken where there is no physics.

    Raises:
        EnvError: when the environment's own method gives no dict of arrays.
    """
    physics, own, joints = _sources(env)
    if physics is None or joints is None:
        return own or observed
    return own | joints.read(physics.data)


def derived_readouts(env: gymnasium.Env[Any, Any]) -> dict[str, DerivedReadout]:
    """Name -> derived readout, each of readouts, or of derived readouts that stand before it.

    A MuJoCo environment has those of its joints and of its root; see `envs.readouts.derived`. One with `readouts()`
    of its own may list others in its attribute `derived_readouts`, which then take the place of the root's; without
    the attribute it has those of the root whose names its readouts leave free.
    """
    physics, readouts, joints = _sources(env)
    base: Any = env.unwrapped
    own = attribute(base, "derived_readouts") if has_own_readouts(env) else None
    if own is not None and not isinstance(own, dict):
        raise EnvError(f"derived_readouts of {name_of(env)} must be a dict by name, not {own!r:.80}")
    if physics is None or joints is None:
        return own or {}
    if own is None:
        of_robot = of_root(physics.model, joints)
        own = {name: source for name, source in of_robot.items() if name not in readouts}
    return of_joints(physics.model, joints, readouts) | own


def joint_readouts(env: gymnasium.Env[Any, Any]) -> JointReadouts:
    """How the readouts of the joints of a MuJoCo environment are read. EnvError where it has none."""
    _, _, joints = _sources(env)
    if joints is None:
        raise EnvError(f"{env.unwrapped} has no readouts of MuJoCo's joints")
    return joints


def _sources(
    env: gymnasium.Env[Any, Any],
) -> tuple[Physics | None, dict[str, np.ndarray], JointReadouts | None]:
    """The physics, the readouts of the environment's own, and those of its joints. Raises EnvError."""
    physics = find_physics(env)
    jointed = physics is not None and physics.model.njnt > 0
    if not has_own_readouts(env):
        return physics, {}, _joint_readouts(physics.model) if physics is not None and jointed else None
    base: Any = env.unwrapped
    given = call_step(base.readouts)
    if not isinstance(given, dict) or not given:
        raise EnvError(f"readouts() of {name_of(env)} must give a dict of arrays, it gave {given!r}")
    own = {name: np.asarray(value, np.float64).reshape(-1) for name, value in given.items()}
    if physics is None or not jointed or not own.keys() >= set(STATE):
        return physics, own, None
    if (own["qpos"].size, own["qvel"].size) != (physics.model.nq, physics.model.nv):
        return physics, own, None
    own = {name: value for name, value in own.items() if name not in STATE}
    return physics, own, _joint_readouts(physics.model, own)


def _joint_readouts(model: Any, taken: Collection[str] = ()) -> JointReadouts:
    """The readouts of a model's joints, found once for each model."""
    found, names = _known.setdefault(model, {}), tuple(taken)
    if names not in found:
        found[names] = JointReadouts(model, names)
    return found[names]


def readout_vector(
    env: gymnasium.Env[Any, Any], observed: dict[str, np.ndarray], sizes: dict[str, int]
) -> np.ndarray:
    """The readouts as one float32 vector [sum of sizes], in the order of `sizes`.

    A number beyond float32 becomes infinite.

    Raises:
        EnvError: when their names or sizes are not those of `sizes`.
    """
    values = named_readouts(env, observed)
    found = {name: value.size for name, value in values.items()}
    if found != sizes:
        raise EnvError(f"the readouts of {name_of(env)} changed from {sizes} to {found}")
    with np.errstate(over="ignore"):
        return np.concatenate([values[name] for name in sizes]).astype(np.float32)
