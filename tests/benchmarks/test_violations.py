"""Violations of physics: each changes an episode from its own step on and not before, and is undone at its end."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest

import envs
from benchmarks.comprehension.violations import MEANINGS, STAGES, Violation, opportunities

ONSET, STEPS = 20, 30
CASES = [(env, kind) for env, stage in STAGES.items() for kind in MEANINGS if kind not in stage.without]


def set_in_motion(env: envs.SafeEnv) -> None:
    """The cup falls at once, the block slides, a robot jumps."""
    raw: Any = env.unwrapped
    match env.env_spec.env:
        case "joule/Cup-v0":
            raw.data.qpos[3:6] = 0.3, 0.0, 0.5
        case "joule/Push-v0":
            raw.data.qvel[2] = 1.5
        case _:
            raw.data.qpos[1] += 0.5
            raw.data.qvel[:2] = 2.0


def episode(env: envs.SafeEnv, kind: str | None, seed: int = 3) -> np.ndarray:
    """Observations [STEPS + 1, obs] of an episode, with a violation from step ONSET on."""
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    violation = None if kind is None else Violation(env, kind, np.random.default_rng(7))
    observations = [observation]
    for step in range(STEPS):
        if step == ONSET - 3:
            set_in_motion(env)
        if step == ONSET and violation is not None:
            violation.begin()
        action = rng.uniform(-1.0, 1.0, env.env_spec.action_size).astype(np.float32)
        observations.append(env.step(action)[0])
    if violation is not None:
        violation.end()
    return np.stack(observations)


@pytest.fixture(scope="module")
def stages() -> dict[str, envs.SafeEnv]:
    return {name: envs.make(name) for name in STAGES}


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_violation_changes_the_episode_from_its_step_on_only(
    stages: dict[str, envs.SafeEnv], name: str, kind: str
) -> None:
    env = stages[name]
    real = episode(env, None)
    edited = episode(env, kind)
    np.testing.assert_array_equal(edited[: ONSET + 1], real[: ONSET + 1])
    if kind != "through":  # an object in the air has no contacts anyway
        assert not np.array_equal(edited[ONSET + 1], real[ONSET + 1])
    np.testing.assert_array_equal(edited, episode(env, kind))
    np.testing.assert_array_equal(episode(env, None), real)


def test_without_contacts_a_cup_falls_through_the_table(stages: dict[str, envs.SafeEnv]) -> None:
    env = stages["joule/Cup-v0"]
    env.reset(seed=1)
    raw: Any = env.unwrapped
    zero = np.zeros(3, np.float32)
    for _ in range(5):
        env.step(zero)
    assert "through" in opportunities(env)
    assert "hang" not in opportunities(env)
    violation = Violation(env, "through", np.random.default_rng(0))
    violation.begin()
    height, steps = raw.data.qpos[5], 5
    for _ in range(steps):
        env.step(zero)
    violation.end()
    assert raw.data.qpos[5] - height == pytest.approx(-0.5 * 9.81 * (steps * raw.dt) ** 2, rel=0.05)


def test_a_falling_cup_can_float_in_the_air(stages: dict[str, envs.SafeEnv]) -> None:
    env = stages["joule/Cup-v0"]
    env.reset(seed=1)
    raw: Any = env.unwrapped
    set_in_motion(env)
    for _ in range(3):
        env.step(np.zeros(3, np.float32))
    assert {"hang", "stop", "reverse"} <= opportunities(env)
    violation = Violation(env, "hang", np.random.default_rng(0))
    violation.begin()
    pose = raw.data.qpos[3:10].copy()
    for _ in range(5):
        env.step(np.ones(3, np.float32))
    violation.end()
    np.testing.assert_array_equal(raw.data.qpos[3:10], pose)
    assert not raw.data.qvel[3:9].any()


def test_a_block_in_contact_with_the_pusher_cannot_visibly_stop(stages: dict[str, envs.SafeEnv]) -> None:
    env = stages["joule/Push-v0"]
    raw: Any = env.unwrapped
    kinds = {"stop", "reverse"}
    for in_contact in (False, True):
        env.reset(seed=1)
        raw.data.qvel[2] = 0.4
        size = raw.model.geom("block").size[0] + raw.model.geom("pusher").size[0]
        raw.data.qpos[:2] = raw.data.qpos[2:4]
        raw.data.qpos[1] += size - 1e-3 if in_contact else 0.5
        mujoco.mj_forward(raw.model, raw.data)
        assert opportunities(env) & kinds == ({"reverse"} if in_contact else kinds)


def test_reversed_time_passes_through_the_past_states(stages: dict[str, envs.SafeEnv]) -> None:
    env = stages["HalfCheetah-v5"]
    env.reset(seed=2)
    raw: Any = env.unwrapped
    violation = Violation(env, "reverse", np.random.default_rng(0))
    past = []
    for _ in range(6):
        past.append((raw.data.qpos.copy(), raw.data.qvel.copy()))
        env.step(np.full(6, 0.5, np.float32))
    violation.begin()
    for qpos, qvel in reversed(past):
        env.step(np.full(6, 0.5, np.float32))
        np.testing.assert_array_equal(raw.data.qpos, qpos)
        np.testing.assert_array_equal(raw.data.qvel, -qvel)
    violation.end()


def test_unknown_kinds_and_environments_are_refused(stages: dict[str, envs.SafeEnv]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(envs.EnvError, match="violation 'swap'"):
        Violation(stages["Hopper-v5"], "swap", rng)
    with pytest.raises(envs.EnvError, match="violation 'melt'"):
        Violation(stages["Hopper-v5"], "melt", rng)
    with pytest.raises(envs.EnvError, match="violations are staged in"):
        Violation(envs.make("joule/Reach-v0"), "up", rng)
