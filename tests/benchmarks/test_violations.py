"""Violations of physics: each changes an episode from its own step on and not before, and is undone at its end."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest

import envs
from benchmarks.comprehension.violations import Violation, stage_of
from envs.physics import Physics, driven_bodies, find_physics
from joule_errors import Refused

ROBOTS = ("Ant-v5", "joule/Push-v0", "dmc:walker-walk")
"""Of Gymnasium, of Joule and of dm_control, with other integrators and joints."""
OTHERS = ("HalfCheetah-v5", "Hopper-v5", "joule/Cup-v0", "dmc:finger-spin")
ALL = [*ROBOTS, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
ONSET, STEPS = 6, 12


@pytest.fixture(scope="module")
def made() -> dict[str, envs.SafeEnv]:
    return {name: envs.make(name) for name in (*ROBOTS, *OTHERS)}


def physics_of(env: envs.SafeEnv) -> Physics:
    found = find_physics(env)
    assert found is not None
    return found


def episode(env: envs.SafeEnv, kind: str | None, seed: int = 3) -> np.ndarray:
    """Observations [STEPS + 1, obs] of an episode, with a violation from step ONSET on."""
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    violation = None if kind is None else Violation(env, kind, np.random.default_rng(7))
    observations = [observation]
    for step in range(STEPS):
        if violation is not None:
            if step == ONSET:
                violation.begin()
            violation.before_step()
        action = rng.uniform(-1.0, 1.0, env.env_spec.action_size).astype(np.float32)
        observations.append(env.step(action)[0])
    if violation is not None:
        violation.end()
    return np.stack(observations)


@pytest.mark.parametrize("name", ALL)
def test_a_violation_changes_the_episode_from_its_step_on_only(
    made: dict[str, envs.SafeEnv], name: str
) -> None:
    env = made[name]
    real = episode(env, None)
    for kind in stage_of(env).kinds:
        edited = episode(env, kind)
        np.testing.assert_array_equal(edited[: ONSET + 1], real[: ONSET + 1], kind)
        if kind not in ("through", "stop"):  # what touches nothing, or stands already, shows neither
            assert not np.array_equal(edited[ONSET + 1], real[ONSET + 1]), kind
    np.testing.assert_array_equal(episode(env, None), real)


@pytest.mark.parametrize("name", ALL)
def test_reversed_time_passes_through_the_past_states(made: dict[str, envs.SafeEnv], name: str) -> None:
    env = made[name]
    env.reset(seed=2)
    data = physics_of(env).data
    action = np.full(env.env_spec.action_size, 0.5, np.float32)
    env.step(action)  # an ant's reset leaves a quaternion that is not normalised
    violation = Violation(env, "reverse", np.random.default_rng(0))
    past = []
    for _ in range(4):
        violation.before_step()
        past.append((data.qpos.copy(), data.qvel.copy()))
        env.step(action)
    violation.begin()
    for qpos, qvel in reversed(past):
        violation.before_step()
        env.step(action)
        np.testing.assert_allclose(data.qpos, qpos, atol=1e-6)
        np.testing.assert_allclose(data.qvel, -qvel, atol=1e-6)
    violation.end()


@pytest.mark.parametrize("name", ALL)
def test_what_hangs_does_not_move(made: dict[str, envs.SafeEnv], name: str) -> None:
    env = made[name]
    env.reset(seed=2)
    stage = stage_of(env)
    action = np.full(env.env_spec.action_size, 0.5, np.float32)
    for _ in range(3):
        env.step(action)
    violation = Violation(env, "hang", np.random.default_rng(0))
    violation.begin()
    before = stage.data.qpos[stage.subject.qpos].copy()
    for _ in range(3):
        violation.before_step()
        env.step(-action)
    violation.end()
    np.testing.assert_allclose(stage.data.qpos[stage.subject.qpos], before, atol=1e-6)


def test_a_cup_falls_through_the_table_and_upward(made: dict[str, envs.SafeEnv]) -> None:
    env, zero = made["joule/Cup-v0"], np.zeros(3, np.float32)
    for kind, sign in (("through", -1.0), ("up", 1.0)):
        env.reset(seed=1)
        raw: Any = env.unwrapped
        for _ in range(5):
            env.step(zero)
        found = stage_of(env).opportunities()
        assert kind in found
        assert "hang" not in found
        violation = Violation(env, kind, np.random.default_rng(0))
        violation.begin()
        height, steps = raw.data.qpos[5], 5
        for _ in range(steps):
            env.step(zero)
        violation.end()
        fallen = sign * 0.5 * 9.81 * (steps * raw.dt) ** 2
        assert raw.data.qpos[5] - height == pytest.approx(fallen, rel=0.05)


def test_a_weaker_violation_changes_less(made: dict[str, envs.SafeEnv]) -> None:
    env = made["HalfCheetah-v5"]
    data = physics_of(env).data
    for kind in ("up", "teleport", "alone", "swap", "limb"):
        moved = []
        for strength in (0.0, 0.25, 1.0):
            env.reset(seed=1)
            violation = Violation(env, kind, np.random.default_rng(0), strength)
            violation.begin()
            env.step(np.full(6, 0.5, np.float32))
            violation.end()
            moved.append(data.qpos.copy())
        weak, whole = (float(np.abs(row - moved[0]).max()) for row in moved[1:])
        assert 0.0 < weak < whole, kind


def test_a_block_in_contact_with_the_pusher_cannot_visibly_stop(made: dict[str, envs.SafeEnv]) -> None:
    env = made["joule/Push-v0"]
    raw: Any = env.unwrapped
    kinds = {"stop", "reverse"}
    for in_contact in (False, True):
        env.reset(seed=1)
        raw.data.qvel[2] = 0.6
        size = raw.model.geom("block").size[0] + raw.model.geom("pusher").size[0]
        raw.data.qpos[:2] = raw.data.qpos[2:4]
        raw.data.qpos[1] += size - 1e-3 if in_contact else 0.5
        mujoco.mj_forward(raw.model, raw.data)
        assert stage_of(env).opportunities() & kinds == ({"reverse"} if in_contact else kinds)


def test_two_objects_change_places(made: dict[str, envs.SafeEnv]) -> None:
    env = made["joule/Push-v0"]
    env.reset(seed=1)
    data = physics_of(env).data
    pusher, block = data.body("pusher").xpos[:2].copy(), data.body("block").xpos[:2].copy()
    Violation(env, "swap", np.random.default_rng(0)).begin()
    np.testing.assert_allclose(data.body("pusher").xpos[:2], block, atol=1e-9)
    np.testing.assert_allclose(data.body("block").xpos[:2], pusher, atol=1e-9)


def test_the_legs_of_an_ant_are_alike_and_keep_their_limits(made: dict[str, envs.SafeEnv]) -> None:
    env = made["Ant-v5"]
    env.reset(seed=1)
    stage = stage_of(env)
    assert len(stage.limbs) == 6
    before = stage.data.qpos.copy()
    Violation(env, "swap", np.random.default_rng(0)).begin()
    changed = np.flatnonzero(stage.data.qpos != before)
    assert len(changed) == 4
    assert changed.min() >= 7
    low, high = stage.model.jnt_range[1:].T
    inside = (stage.data.qpos[7:] >= low) & (stage.data.qpos[7:] <= high)
    assert inside[changed - 7].all()


def test_kinds_and_environments_that_do_not_apply_are_one_sentence(made: dict[str, envs.SafeEnv]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(Refused, match="violation 'swap' makes no sense in Hopper-v5: no two limbs"):
        Violation(made["Hopper-v5"], "swap", rng)
    with pytest.raises(Refused, match="violation 'melt': there are up, "):
        Violation(made["Hopper-v5"], "melt", rng)
    assert "up" in stage_of(made["dmc:finger-spin"]).without


def test_a_motor_with_two_controls_drives_one_body() -> None:
    try:
        model = mujoco.MjModel.from_xml_string(
            '<mujoco><worldbody><body><joint name="elbow"/><geom size=".1"/></body></worldbody>'
            '<actuator><pid joint="elbow" kp="3"/></actuator></mujoco>'
        )
    except ValueError:
        pytest.skip("this release of MuJoCo has no such motor")
    assert driven_bodies(model) == {1}
