"""Violations: each changes an episode from its own step on and not before, and leaves the world as it was."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest

import envs
from envs.changes.violations import MEANINGS, STAGES, Violation, opportunities

ONSET, STEPS = 20, 30
CASES = [(env, kind) for env, stage in STAGES.items() for kind in MEANINGS if kind not in stage.without]


def push_over_the_edge(body: envs.SafeEnv) -> None:
    """Cup: it falls at once. Push: the block slides. A robot hops."""
    raw: Any = body.unwrapped
    match body.env_spec.env:
        case "joule/Cup-v0":
            raw.data.qpos[3:6] = 0.3, 0.0, 0.5
        case "joule/Push-v0":
            raw.data.qvel[2] = 1.5
        case _:
            raw.data.qpos[1] += 0.5
            raw.data.qvel[:2] = 2.0


def episode(body: envs.SafeEnv, kind: str | None, seed: int = 3) -> tuple[np.ndarray, frozenset[str]]:
    """Observations [STEPS + 1, obs], and what could have been seen at the onset."""
    rng = np.random.default_rng(seed)
    obs, _ = body.reset(seed=seed)
    violation = None if kind is None else Violation(body, kind, np.random.default_rng(7))
    seen, observed = frozenset[str](), [obs]
    for step in range(STEPS):
        if step == ONSET - 3:
            push_over_the_edge(body)
        if step == ONSET:
            seen = opportunities(body)
            if violation is not None:
                violation.begin()
        observed.append(body.step(rng.uniform(-1.0, 1.0, body.env_spec.action_size).astype(np.float32))[0])
    if violation is not None:
        violation.end()
    return np.stack(observed), seen


@pytest.fixture(scope="module")
def bodies() -> dict[str, envs.SafeEnv]:
    return {env: envs.make(env) for env in STAGES}


@pytest.mark.parametrize(("env", "kind"), CASES)
def test_an_edit_changes_the_episode_from_its_step_on_alone(
    bodies: dict[str, envs.SafeEnv], env: str, kind: str
) -> None:
    body = bodies[env]
    real, _ = episode(body, None)
    edited, _ = episode(body, kind)
    again, _ = episode(body, kind)
    np.testing.assert_array_equal(edited[: ONSET + 1], real[: ONSET + 1])
    if kind != "through":  # what is in the air at that step touches nothing anyway
        assert not np.array_equal(edited[ONSET + 1], real[ONSET + 1])
    np.testing.assert_array_equal(edited, again)
    np.testing.assert_array_equal(episode(body, None)[0], real)


def test_without_contact_a_cup_falls_through_the_table(bodies: dict[str, envs.SafeEnv]) -> None:
    body = bodies["joule/Cup-v0"]
    body.reset(seed=1)
    raw: Any = body.unwrapped
    still = np.zeros(3, np.float32)
    for _ in range(5):
        body.step(still)
    assert "through" in opportunities(body)
    assert "hang" not in opportunities(body)
    violation = Violation(body, "through", np.random.default_rng(0))
    violation.begin()
    fallen, steps = raw.data.qpos[5], 5
    for _ in range(steps):
        body.step(still)
    violation.end()
    assert raw.data.qpos[5] - fallen == pytest.approx(-0.5 * 9.81 * (steps * raw.dt) ** 2, rel=0.05)


def test_a_falling_cup_can_be_hung_in_the_air(bodies: dict[str, envs.SafeEnv]) -> None:
    body = bodies["joule/Cup-v0"]
    body.reset(seed=1)
    raw: Any = body.unwrapped
    push_over_the_edge(body)
    for _ in range(3):
        body.step(np.zeros(3, np.float32))
    assert {"hang", "stop", "reverse"} <= opportunities(body)
    violation = Violation(body, "hang", np.random.default_rng(0))
    violation.begin()
    where = raw.data.qpos[3:10].copy()
    for _ in range(5):
        body.step(np.ones(3, np.float32))
    violation.end()
    np.testing.assert_array_equal(raw.data.qpos[3:10], where)
    assert not raw.data.qvel[3:9].any()


def test_a_block_stops_dead_only_where_nothing_holds_it(bodies: dict[str, envs.SafeEnv]) -> None:
    body = bodies["joule/Push-v0"]
    raw: Any = body.unwrapped
    slides = {"stop", "reverse"}
    for touching in (False, True):
        body.reset(seed=1)
        raw.data.qvel[2] = 0.4
        size = raw.model.geom("block").size[0] + raw.model.geom("pusher").size[0]
        raw.data.qpos[:2] = raw.data.qpos[2:4]
        raw.data.qpos[1] += size - 1e-3 if touching else 0.5
        mujoco.mj_forward(raw.model, raw.data)
        assert opportunities(body) & slides == ({"reverse"} if touching else slides)


def test_backwards_the_body_passes_through_its_own_past(bodies: dict[str, envs.SafeEnv]) -> None:
    body = bodies["HalfCheetah-v5"]
    body.reset(seed=2)
    raw: Any = body.unwrapped
    violation = Violation(body, "reverse", np.random.default_rng(0))
    past = []
    for _ in range(6):
        past.append((raw.data.qpos.copy(), raw.data.qvel.copy()))
        body.step(np.full(6, 0.5, np.float32))
    violation.begin()
    for qpos, qvel in reversed(past):
        body.step(np.full(6, 0.5, np.float32))
        np.testing.assert_array_equal(raw.data.qpos, qpos)
        np.testing.assert_array_equal(raw.data.qvel, -qvel)
    violation.end()


def test_what_is_unknown_is_refused(bodies: dict[str, envs.SafeEnv]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(envs.EnvError, match="violation 'swap'"):
        Violation(bodies["Hopper-v5"], "swap", rng)
    with pytest.raises(envs.EnvError, match="violation 'melt'"):
        Violation(bodies["Hopper-v5"], "melt", rng)
    with pytest.raises(envs.EnvError, match="violations are staged in"):
        Violation(envs.make("joule/Reach-v0"), "up", rng)
