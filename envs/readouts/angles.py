"""Angles without limits among the numbers of an observation.

A hinge without limits counts its turns: a robot that has fallen over backwards may read 4.5 rad where it read
-1.8 rad, and to a network that is another place. Where an observation holds such an angle is found by trying, as in
`envs.readouts.sensors`.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from envs.conventions import observing_wrappers
from envs.faults.errors import described
from envs.physics import Physics, find_physics, log
from envs.readouts.joints import kind_of
from envs.readouts.trial import tried

EPISODES, STEPS = 3, 8
"""Episodes that are tried, and observations of each."""
TOLERANCE_RAD = 1e-5
"""By which a number may differ from the angle, for each rad of it: observations may be float32."""
_found: dict[str, tuple[int, ...]] = {}
"""Environments tried in this process: the same one is made for training, evaluations and films."""


def unlimited_angles(env: gymnasium.Env[Any, Any], size: int) -> tuple[int, ...]:
    """Places in the flat observation, of `size` numbers, that are angles of hinges without limits.

    Empty where there is no physics, no such hinge, or no other environment can be made to try.
    """
    physics = find_physics(env)
    if physics is None or env.unwrapped.spec is None or not _hinges(physics).size:
        return ()
    spec = env.unwrapped.spec
    key = f"{spec.id} {spec.kwargs!r} {size} {observing_wrappers(env)!r}"
    if key not in _found:
        try:
            _found[key] = _tried(env, size)
        except Exception as error:  # noqa: BLE001  the environment may raise anything
            why = described(error)
            log.warning("%s: it is not known which observations are angles: a trial %s", env.unwrapped, why)
            _found[key] = ()
    return _found[key]


def _hinges(physics: Physics) -> np.ndarray:
    """Addresses in `qpos` of the hinges without limits."""
    model = physics.model
    turning = [
        joint
        for joint in range(model.njnt)
        if kind_of(model, joint) == "turn" and not model.jnt_limited[joint]
    ]
    return np.asarray(model.jnt_qposadr)[turning]


def _tried(env: gymnasium.Env[Any, Any], size: int) -> tuple[int, ...]:
    def read(physics: Physics) -> np.ndarray:
        return np.array(physics.data.qpos[_hinges(physics)])

    trial = tried(env, size, read, EPISODES, STEPS)
    if trial is None:
        return ()
    observations, angles = trial[0], np.stack(trial[1])
    error = np.abs(observations[:, :, None] - angles[:, None, :])  # [steps, size, hinges]
    same = (error <= TOLERANCE_RAD * (1.0 + np.abs(angles[:, None, :]))).all(0)
    moves = np.ptp(angles, axis=0) > 1e-3
    return tuple(np.flatnonzero((same & moves).any(1)).tolist())
