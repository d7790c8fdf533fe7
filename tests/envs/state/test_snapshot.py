"""A restored environment has the same future as one that was never interrupted, to the last bit."""

from __future__ import annotations

from typing import Any

import control_env
import counter_env  # noqa: F401 - registers Counter-v0
import gymnasium
import numpy as np
import pytest
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from mjcf_env import MjcfEnv
from same_future import ALL_KINDS, assert_same_future, future, through_a_file

import envs
from envs.faults.boundary import DIVERGED_KEY

MUJOCO = [
    "Ant-v5",
    "HalfCheetah-v5",
    "Hopper-v5",
    "Humanoid-v5",
    "HumanoidStandup-v5",
    "InvertedDoublePendulum-v5",
    "InvertedPendulum-v5",
    "Pusher-v5",
    "Reacher-v5",
    "Swimmer-v5",
    "Walker2d-v5",
]
TASKS = ["walker-walk", "hopper-hop", "finger-turn_hard", "point_mass-hard", "fish-swim", "humanoid-run"]


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Hopper-v5", "Reacher-v5"])
@pytest.mark.parametrize("perturb", [(), ALL_KINDS])
def test_three_environments(name: str, perturb: tuple[str, ...]) -> None:
    assert_same_future(name, moments=(0, 41), perturb=perturb)


@pytest.mark.slow
@pytest.mark.parametrize("name", MUJOCO)
@pytest.mark.parametrize("made", [{}, {"perturb": ALL_KINDS}, {"action_repeat": 3, "max_episode_frames": 50}])
def test_all_mujoco_environments_of_gymnasium(name: str, made: dict[str, Any]) -> None:
    if name == "InvertedPendulum-v5" or name == "InvertedDoublePendulum-v5":
        made = {**made, **({"perturb": ALL_KINDS[:2] + ALL_KINDS[3:]} if "perturb" in made else {})}
    assert_same_future(name, **made)


@pytest.mark.parametrize("name", ["dmc:reacher-easy", "dmc:cartpole-swingup"])
def test_dm_control(name: str) -> None:
    pytest.importorskip("dm_control")
    assert_same_future(name, moments=(0, 30), steps=20, perturb=["mass=1.5@5", "noise=0.01"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "task", ["walker-walk", "hopper-hop", "finger-turn_hard", "point_mass-hard", "fish-swim"]
)
def test_more_of_dm_control(task: str) -> None:
    pytest.importorskip("dm_control")
    assert_same_future(f"dmc:{task}")


def test_dm_control_in_an_environment_of_the_users_own_is_replayed() -> None:
    pytest.importorskip("dm_control")
    assert_same_future(control_env.ID, moments=(0, 30), steps=20, perturb=["mass=1.5", "noise=0.01"])


def test_without_mujoco_the_actions_are_replayed() -> None:
    assert_same_future("Counter-v0", moments=(0, 3, 9), perturb=["latency=1", "noise=0.1"], action_repeat=2)
    assert_same_future("Pendulum-v1", moments=(0, 50))


def test_a_maze_of_gymnasium_robotics() -> None:
    pytest.importorskip("gymnasium_robotics")
    assert_same_future(
        "PointMaze_UMaze-v3", moments=(0, 37), kwargs={"continuing_task": True, "reset_target": True}
    )


def test_a_perturbation_made_mid_episode_is_part_of_the_state() -> None:
    env, other = envs.make("HalfCheetah-v5"), envs.make("HalfCheetah-v5")
    env.reset(seed=0)
    future(env, 5, np.random.default_rng(0))
    env.perturb("gravity=0.2")
    assert other.restore(through_a_file(env.snapshot()))
    assert other.perturbations == ["gravity=0.2"]
    assert future(other, 30, np.random.default_rng(1)) == future(env, 30, np.random.default_rng(1))


def test_latency_that_begins_after_a_restore_repeats_the_last_action_of_before() -> None:
    env, other = envs.make("Counter-v0"), envs.make("Counter-v0")
    env.reset(seed=0)
    env.step(np.array([0.5], np.float32))
    assert other.restore(through_a_file(env.snapshot()))
    for one in (env, other):
        one.perturb("latency=1")
        one.step(np.array([-1.0], np.float32))
        assert one.unwrapped.received[-1] == 4.0  # type: ignore[attr-defined]


def test_a_diverged_episode_is_restored() -> None:
    from envs.physics import find_physics

    env, other = envs.make("HalfCheetah-v5"), envs.make("HalfCheetah-v5")
    env.reset(seed=0)
    future(env, 5, np.random.default_rng(0))
    physics = find_physics(env)
    assert physics is not None
    physics.data.qvel[0] = 1e12
    assert env.step(np.zeros(6, np.float32))[4][DIVERGED_KEY]
    assert other.restore(through_a_file(env.snapshot()))
    assert other.observation.tobytes() == env.observation.tobytes()
    assert other.counters == env.counters
    assert other.reset()[0].tobytes() == env.reset()[0].tobytes()


def test_before_the_first_reset_the_action_space_is_restored() -> None:
    env, other = envs.make("Counter-v0"), envs.make("Counter-v0")
    env.action_space.seed(5)
    assert other.restore(through_a_file(env.snapshot()))
    assert other.action_space.sample() == env.action_space.sample()


class PythonState(gymnasium.Env[np.ndarray, np.ndarray]):
    """Has state in Python attributes of many types, one of which grows over episodes."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self) -> None:
        self.value, self.best, self.name, self.level = np.float32(0.1), -np.inf, "low", 0
        self.totals = np.zeros(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.level += 1
        self.value = np.float32(self.np_random.random())
        self.best = -np.inf
        return self.observe(), {}

    def step(self, action: np.ndarray) -> Any:
        self.value = np.float32(3.7) * self.value * (1 - self.value)
        self.best = max(self.best, float(action[0]))
        self.name = "high" if self.value > 0.5 else "low"
        self.totals[self.level % 2] += self.np_random.random()
        return self.observe(), self.best, False, self.np_random.random() < 0.05, {}

    def observe(self) -> np.ndarray:
        return np.array([self.value, self.level + len(self.name), self.totals[0]], np.float32)


def test_python_attributes_are_part_of_the_state() -> None:
    gymnasium.register("PythonState-v0", entry_point=f"{__name__}:PythonState", max_episode_steps=40)
    assert_same_future("PythonState-v0", moments=(0, 1, 50))


class RecentActions(HalfCheetahEnv):
    """Rewards depend on the last four actions, which it keeps in a list: no snapshot holds them."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.recent = [0.0]
        return super().reset(seed=seed, options=options)

    def step(self, action: np.ndarray) -> Any:
        self.recent = [*self.recent[-3:], float(action[0])]
        observation, reward, *rest = super().step(action)
        return (observation, reward + sum(self.recent), *rest)


class RecentActionsSaved(RecentActions):
    """Says what its steps depend on."""

    def extra_state(self) -> dict[str, Any]:
        return {"recent": np.array(self.recent)}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        self.recent = state["recent"].tolist()


class Visited(HalfCheetahEnv):
    """The first visit of a place gives a reward, also over episodes; observations do not show it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.visited: set[int] = set()

    def step(self, action: np.ndarray) -> Any:
        observation, reward, *rest = super().step(action)
        place = round(100 * self.data.qpos[0])
        bonus = float(place not in self.visited)
        self.visited.add(place)
        return (observation, reward + bonus, *rest)


def test_what_a_reset_makes_anew_and_extra_state_are_part_of_the_state() -> None:
    gymnasium.register("RecentActions-v0", f"{__name__}:RecentActions", max_episode_steps=40)
    gymnasium.register("RecentActionsSaved-v0", f"{__name__}:RecentActionsSaved", max_episode_steps=40)
    assert_same_future("RecentActionsSaved-v0", moments=(0, 1, 50))
    assert_same_future("RecentActions-v0", moments=(0, 1, 50))


def test_a_reward_that_a_replayed_step_does_not_repeat_makes_a_restore_inexact(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gymnasium.register("Visited-v0", f"{__name__}:Visited", max_episode_steps=40)
    env = envs.make("Visited-v0")
    for _ in range(2):
        env.reset(seed=3)
        for _ in range(5):
            env.step(np.full(6, 0.5, np.float32))
    other = envs.make("Visited-v0")
    assert not other.restore(through_a_file(env.snapshot()))
    assert "gave another reward when its steps were repeated" in caplog.text
    assert not other.exact


def test_a_snapshot_of_another_environment_is_refused() -> None:
    env = envs.make("Hopper-v5")
    env.reset(seed=0)
    with pytest.raises(envs.EnvError, match=r"Hopper-v5 with sizes .* not of Walker2d-v5"):
        envs.make("Walker2d-v5").restore(env.snapshot())


class HiddenGenerator(gymnasium.Env[np.ndarray, np.ndarray]):
    """Draws from generators that no snapshot can reach."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return np.random.default_rng().normal(size=1).astype(np.float32), {}

    def step(self, action: np.ndarray) -> Any:
        return np.random.default_rng().normal(size=1).astype(np.float32), 0.0, False, False, {}


def test_an_environment_that_cannot_be_restored_says_so_and_begins_an_episode() -> None:
    gymnasium.register("HiddenGenerator-v0", entry_point=f"{__name__}:HiddenGenerator")
    env = envs.make("HiddenGenerator-v0")
    env.reset(seed=0)
    env.step(np.zeros(1, np.float32))
    saved = env.snapshot()
    assert not env.restore(saved)
    assert not env.exact
    assert env.snapshot()["checks"]["episode"] == saved["checks"]["episode"] + 1
    assert env.snapshot()["checks"]["frame"] == 0


class Compensated(MjcfEnv):
    """A step reads what MuJoCo derived in the one before: gravity, which the motor holds against."""

    def __init__(self) -> None:
        super().__init__(
            '<mujoco><worldbody><body><joint name="j" axis="0 1 0"/><geom size=".1" pos=".2 0 0"/></body>'
            '</worldbody><actuator><motor joint="j" ctrlrange="-1 1" gear="5"/></actuator></mujoco>'
        )

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.data.qfrc_applied[:] = self.data.qfrc_bias
        return super().step(action)


gymnasium.register("Compensated-v0", entry_point=f"{__name__}:Compensated", max_episode_steps=100)


def test_a_step_that_reads_what_was_derived_in_the_one_before_is_restored_by_all_steps(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert_same_future("Compensated-v0")
    assert "could not be restored" not in caplog.text


def test_a_snapshot_of_an_earlier_version_has_no_steps_to_repeat() -> None:
    env = envs.make("Compensated-v0")
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.ones(1, np.float32))
    saved = env.snapshot()
    earlier = {
        name: value for name, value in saved.items() if name not in ("record/actions", "record/rewards")
    }
    assert env.restore(saved)
    assert not env.restore(earlier)


class Collects(HalfCheetahEnv):
    """A list of its own grows at step 20, and what has grown is restored by the actions of the episode."""

    def reset(self, **how: Any) -> Any:
        self.seen, self.steps = {"at": [0]}, 0
        return super().reset(**how)

    def step(self, action: np.ndarray) -> Any:
        self.steps += 1
        if self.steps == 20:
            self.seen["at"].append(self.steps)
        return super().step(action)


def test_an_episode_that_was_restored_by_its_state_can_later_be_restored_by_its_actions() -> None:
    gymnasium.register("Collects-v0", entry_point=f"{__name__}:Collects", max_episode_steps=100)
    first, second, third = (envs.make("Collects-v0") for _ in range(3))
    action = np.full(6, 0.3, np.float32)
    first.reset(seed=3)
    for env, steps, following in ((first, 10, second), (second, 15, third)):
        for _ in range(steps):
            env.step(action)
        assert following.restore(through_a_file(env.snapshot()))
    for _ in range(15):
        first.step(action)
    assert third.observation.tobytes() == first.observation.tobytes()
