"""Checks of the contract: which faults stop a run, which are counted, and what divergence does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import counter_env  # noqa: F401 - registers Counter-v0
import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import envs
from envs.faults import checks
from envs.faults.boundary import DIVERGED_KEY
from envs.physics import find_physics

ZERO = np.zeros(1, np.float32)


@pytest.fixture(autouse=True)
def nothing_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has each test see the first warning of the process."""
    monkeypatch.setattr(checks, "_WARNED", set())


def data_of(env: envs.SafeEnv) -> Any:
    physics = find_physics(env)
    assert physics is not None
    return physics.data


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("none", "must return (observation, reward, terminated, truncated, info)"),
        ("four", "4 values"),
        ("shape", "shape (4,)"),
        ("text observation", "not numbers"),
        ("nan observation", "non-finite observation at index 0, 1, 2"),
        ("inf observation", "non-finite observation"),
        ("text reward", "reward must be a number, not '1.0'"),
        ("array reward", "reward must be a number"),
        ("no reward", "reward must be a number, not None"),
        ("nan reward", "non-finite reward"),
        ("inf reward", "non-finite reward"),
        ("huge reward", "the reward -1e+39 is beyond"),
        ("end", "must be bool"),
        ("raise", "the motor is 100 % on fire"),
    ],
)
@pytest.mark.parametrize("break_at", [1, 5, 10])
def test_a_broken_contract_stops_the_run_and_says_where(fault: str, words: str, break_at: int) -> None:
    env = envs.make("Counter-v0", kwargs={"fault": fault, "break_at": break_at})
    env.reset(seed=7)
    for _ in range(break_at - 1):
        env.step(np.array([0.5], np.float32))
    with pytest.raises(envs.EnvFault) as stop:
        env.step(np.array([0.5], np.float32))
    raised = stop.value
    assert words in str(raised)
    assert (raised.env, raised.seed, raised.episode, raised.step) == ("Counter-v0", 7, 0, break_at)
    assert raised.action.tolist() == [0.5]
    if fault == "raise":
        assert isinstance(raised.__cause__, OSError)


class Parts(gymnasium.Env[Any, Any]):
    """A Dict observation whose part `b` breaks in the second step."""

    observation_space = spaces.Dict({
        "b": spaces.Box(-np.inf, np.inf, (3,), np.float64),
        "a": spaces.Dict({"x": spaces.Box(-np.inf, np.inf, (2,), np.float64)}),
    })  # fmt: skip
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        self.steps = 0
        return {"b": np.zeros(3), "a": {"x": np.zeros(2)}}, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        broken = np.nan if self.steps == 2 else 0.0
        return {"b": np.array([0, broken, 0]), "a": {"x": np.array([0, broken])}}, 0.0, False, False, {}


def test_numbers_that_are_not_finite_are_named_in_a_dict_observation() -> None:
    gymnasium.register("Parts-v0", entry_point=cast(Any, Parts))
    env = envs.make("Parts-v0")
    env.reset(seed=0)
    env.step(ZERO)
    with pytest.raises(envs.EnvFault, match=r"non-finite observation at index 1, 3 \(a\.x\.1, b\.1\)$"):
        env.step(ZERO)


def test_the_cost_of_a_task_must_fit_float32() -> None:
    env = envs.make("Counter-v0", action_repeat=2, cost_fn=lambda *_: 9e37)
    env.reset(seed=0)
    assert env.step(ZERO)[1] == -9e37
    env = envs.make("Counter-v0", action_repeat=2, cost_fn=lambda *_: -4e38)
    env.reset(seed=0)
    with pytest.raises(envs.EnvFault, match=r"the reward 4e\+38 is beyond 1e\+38"):
        env.step(ZERO)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise", "readouts raised OSError: the camera is on fire"),
        ("nan", "non-finite readout place"),
        ("huge", "non-finite readout time"),
        ("grow", "changed from {'time': 1, 'place': 2} to {'time': 1, 'place': 3}"),
    ],
)
def test_wrong_readouts_stop_the_run_and_say_where(fault: str, words: str) -> None:
    env = envs.make("CounterWithReadouts-v0", kwargs={"readout_fault": fault})
    env.reset(seed=7)
    for _ in range(2):
        env.step(ZERO)
        assert env.readouts().shape == (3,)
    env.step(ZERO)
    with pytest.raises(envs.EnvFault) as stop:
        env.readouts()
    assert words in str(stop.value)
    assert (stop.value.seed, stop.value.step) == (7, 3)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise", "raised OSError"),
        ("empty", "place is empty"),
        ("action", "names one 'action'"),
        ("number", "names one 1, which is no text"),
    ],
)
def test_an_environment_with_unusable_readouts_is_refused(fault: str, words: str) -> None:
    with pytest.raises(envs.EnvError, match=words):
        envs.make("CounterWithReadouts-v0", kwargs={"readout_fault": fault, "break_at": 0})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_non_finite_action_does_not_reach_the_environment(value: float) -> None:
    env = envs.make("Counter-v0")
    env.reset(seed=0)
    with pytest.raises(envs.EnvFault, match="the action is not finite"):
        env.step(np.array([value], np.float32))
    assert env.unwrapped.received == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("action", ["left", [[0.0], [0.0, 1.0]], {"a": 1}])
def test_an_action_that_is_no_numbers_is_one_sentence(action: Any) -> None:
    env = envs.make("Counter-v0")
    env.reset(seed=0)
    with pytest.raises(envs.EnvFault, match=r"the action is .*; give numbers from -1 to 1"):
        env.step(action)
    assert env.unwrapped.received == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("fault", ["outside", "overflow"])
def test_observations_out_of_bounds_are_survived_counted_and_told_once(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    times = 2 if fault == "outside" else 0
    of_training, of_evaluations = (envs.make("Counter-v0", kwargs={"fault": fault}) for _ in range(2))
    for env in (of_training, of_evaluations):
        for seed in range(2):
            env.reset(seed=seed)
            for _ in range(5):
                assert np.isfinite(env.step(ZERO)[0]).all()
        assert env.counters.get("obs_out_of_bounds", 0) == times
    told = [line for line in caplog.messages if "observation_space" in line]
    assert len(told) == times // 2
    assert all(
        re.search(r"step 3, 3 of the 3 numbers .* index 0, 1, 2: the first one is 1000003, and", line)
        for line in told
    )


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Hopper-v5", "Reacher-v5", "dmc:cartpole-swingup"])
@pytest.mark.parametrize(
    ("field", "value", "warning"),
    [("qpos", np.nan, "badqpos"), ("qvel", 1e12, "badqvel"), ("qfrc_applied", 1e30, "badqacc")],
)
def test_divergence_truncates_and_repeats_the_last_observation(
    name: str, field: str, value: float, warning: str
) -> None:
    if name.startswith("dmc:"):
        pytest.importorskip("dm_control")
    env = envs.make(name)
    zero = np.zeros(env.env_spec.action_size, np.float32)
    for seed in range(2):
        env.reset(seed=seed)
        last = env.step(zero)[0]
        data = data_of(env)
        getattr(data, field)[0] = value
        observation, reward, terminated, truncated, info = env.step(zero)
        assert (reward, terminated, truncated, info[DIVERGED_KEY]) == (0.0, False, True, True)
        np.testing.assert_array_equal(observation, last)
        data.qfrc_applied[:] = 0
    assert env.counters["diverged_steps"] == 2
    assert env.counters[f"mujoco_{warning}"] == 2
    env.reset(seed=3)
    assert DIVERGED_KEY not in env.step(zero)[4]


def test_a_task_charges_nothing_for_a_step_that_diverged() -> None:
    asked: list[np.ndarray] = []

    def cost(spec: Any, readouts: np.ndarray, action: np.ndarray, own: float) -> float:
        asked.append(readouts)
        return 1.0

    env = envs.make("HalfCheetah-v5", cost_fn=cost)
    env.reset(seed=0)
    assert env.step(np.zeros(6, np.float32))[1] == -1.0
    before = len(asked)
    data_of(env).qpos[0] = np.nan
    assert env.step(np.zeros(6, np.float32))[1] == 0.0
    assert len(asked) == before


def test_a_full_buffer_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    import mujoco

    env = envs.make("HalfCheetah-v5")
    env.reset(seed=0)
    data = data_of(env)
    kinds = (mujoco.mjtWarning.mjWARN_CONTACTFULL, mujoco.mjtWarning.mjWARN_CNSTRFULL)
    for _ in range(3):
        for kind in kinds:
            data.warning.number[int(kind)] += 1
        assert DIVERGED_KEY not in env.step(np.zeros(6, np.float32))[4]
    assert env.counters == {"mujoco_contactfull": 3, "mujoco_cnstrfull": 3}
    assert len(caplog.records) == 2


def test_rewards_of_absurd_size_are_counted_and_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    reward = 0.0
    env = envs.make("Counter-v0", cost_fn=lambda *_: -reward)
    env.reset(seed=0)
    for reward in (1e9, -1e9):  # noqa: B007
        env.step(ZERO)
    assert env.counters == {}
    assert caplog.records == []
    for reward in (-1e30, 1e30, 1.0):  # noqa: B007
        env.step(ZERO)
    assert env.counters == {"huge_rewards": 2}
    [record] = caplog.records
    assert "Counter-v0: the reward at episode 0, step 3 is -1e+30" in record.getMessage()


def test_no_file_is_written_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    env = envs.make("InvertedPendulum-v5")
    env.reset(seed=0)
    data_of(env).qvel[0] = np.inf
    env.step(ZERO)
    assert env.counters["diverged_steps"] == 1
    assert list(tmp_path.iterdir()) == []
