"""Forces from outside: they accelerate what they act on, and end with the next call."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_env

import envs
from envs.changes.external_force import ExternalForce, ExternalForces
from envs.physics import find_physics


def test_a_force_acts_until_the_next_call() -> None:
    env = envs.make("joule/Push-v0")
    env.reset(seed=1)
    physics = find_physics(env)
    assert physics is not None
    forces = ExternalForces(env)
    block = int(np.flatnonzero(physics.model.body_dofnum == 6)[0])
    before = physics.data.xpos[block].copy()
    forces.apply([ExternalForce(block, np.array([forces.weight, 0.0, 0.0]))])
    env.step(np.zeros(2, np.float32))
    assert physics.data.qvel[physics.model.body_dofadr[block]] > 0.01
    assert physics.data.xpos[block][0] > before[0]
    physics.data.xfrc_applied[0, 0] = 5.0
    forces.apply([])
    assert not physics.data.xfrc_applied[block].any()
    assert physics.data.xfrc_applied[0, 0] == 5.0, "what somebody else applies stays"


def test_a_force_at_a_point_turns() -> None:
    env = envs.make("joule/Push-v0")
    env.reset(seed=1)
    physics = find_physics(env)
    assert physics is not None
    forces = ExternalForces(env)
    block = int(np.flatnonzero(physics.model.body_dofnum == 6)[0])
    place = physics.data.xipos[block] + np.array([0.0, 0.1, 0.0])
    point = forces.point(block, place)
    np.testing.assert_allclose(forces.place(block, point), place)
    forces.apply([ExternalForce(block, np.array([2.0, 0.0, 0.0]), point)])
    np.testing.assert_allclose(physics.data.xfrc_applied[block], [2.0, 0, 0, 0, 0, -0.2], atol=1e-9)


def test_no_force_acts_where_there_is_no_physics() -> None:
    with pytest.raises(envs.EnvError, match="has no MuJoCo model"):
        ExternalForces(envs.make(tiny_env.ID))
