"""A restored body lives the same future as the one that was never interrupted, to the last bit."""

from __future__ import annotations

import json
from typing import Any

import counter_env  # noqa: F401 - registers Counter-v0
import gymnasium
import numpy as np
import pytest

import envs

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
ALL_KINDS = ("mass=1.5", "gravity=0.7@20", "dead=0@30", "latency=2", "noise=0.01", "dropout=0.2")


def live(body: envs.SafeEnv, steps: int, rng: np.random.Generator) -> list[Any]:
    """Take random actions, beginning anew at each end; everything that came back."""
    seen: list[Any] = []
    for _ in range(steps):
        action = rng.uniform(-1, 1, body.env_spec.action_size).astype(np.float32)
        observation, reward, terminated, truncated, _ = body.step(action)
        seen += [observation.tobytes(), reward, terminated, truncated, body.readouts().tobytes()]
        if terminated or truncated:
            seen.append(body.reset()[0].tobytes())
    seen.append(body.action_space.sample().tobytes())
    return seen


def through_a_file(saved: dict[str, Any]) -> dict[str, Any]:
    """A snapshot as a checkpoint keeps it: arrays as they are, all else as JSON."""
    arrays = {name: value for name, value in saved.items() if isinstance(value, np.ndarray)}
    values = {name: value for name, value in saved.items() if name not in arrays}
    return {**arrays, **json.loads(json.dumps(values, allow_nan=False))}


def assert_same_future(
    name: str, moments: tuple[int, ...] = (0, 1, 37, 60), steps: int = 60, **made: Any
) -> None:
    """At several moments: a fresh body and the same body must both live the same future from a snapshot."""
    body = envs.make(name, **made)
    body.reset(seed=3)
    rng = np.random.default_rng(0)
    for moment in moments:
        live(body, moment, rng)
        assert body.exact
        saved, drawn = through_a_file(body.snapshot()), rng.bit_generator.state
        future = live(body, steps, rng)
        counters = body.counters
        for restored in (envs.make(name, **made), body):
            rng.bit_generator.state = drawn
            assert restored.restore(saved)
            assert restored.observation.tobytes() == saved["observation"].tobytes()
            assert live(restored, steps, rng) == future
            assert restored.counters == counters
        assert body.restore(saved)
        rng.bit_generator.state = drawn


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Hopper-v5", "Reacher-v5"])
@pytest.mark.parametrize("perturb", [(), ALL_KINDS])
def test_three_bodies(name: str, perturb: tuple[str, ...]) -> None:
    assert_same_future(name, moments=(0, 41), perturb=perturb)


@pytest.mark.slow
@pytest.mark.parametrize("name", MUJOCO)
@pytest.mark.parametrize("made", [{}, {"perturb": ALL_KINDS}, {"action_repeat": 3, "max_episode_frames": 50}])
def test_all_bodies_of_gymnasium(name: str, made: dict[str, Any]) -> None:
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


def test_without_mujoco_the_episode_is_replayed() -> None:
    assert_same_future("Counter-v0", moments=(0, 3, 9), perturb=["latency=1", "noise=0.1"], action_repeat=2)
    assert_same_future("Pendulum-v1", moments=(0, 50))


def test_a_maze_of_gymnasium_robotics() -> None:
    pytest.importorskip("gymnasium_robotics")
    assert_same_future(
        "PointMaze_UMaze-v3", moments=(0, 37), kwargs={"continuing_task": True, "reset_target": True}
    )


def test_a_change_made_by_hand_is_part_of_the_state() -> None:
    body, other = envs.make("HalfCheetah-v5"), envs.make("HalfCheetah-v5")
    body.reset(seed=0)
    live(body, 5, np.random.default_rng(0))
    body.perturb("gravity=0.2")
    assert other.restore(through_a_file(body.snapshot()))
    assert other.perturbations == ["gravity=0.2"]
    assert live(other, 30, np.random.default_rng(1)) == live(body, 30, np.random.default_rng(1))


def test_after_divergence_the_end_of_the_episode_is_restored() -> None:
    from envs.physics import find_physics

    body, other = envs.make("HalfCheetah-v5"), envs.make("HalfCheetah-v5")
    body.reset(seed=0)
    live(body, 5, np.random.default_rng(0))
    physics = find_physics(body)
    assert physics is not None
    physics.data.qvel[0] = 1e12
    assert body.step(np.zeros(6, np.float32))[4]["diverged"]
    assert other.restore(through_a_file(body.snapshot()))
    assert other.observation.tobytes() == body.observation.tobytes()
    assert other.counters == body.counters
    assert other.reset()[0].tobytes() == body.reset()[0].tobytes()


def test_before_the_first_reset_there_is_only_the_action_space() -> None:
    body, other = envs.make("Counter-v0"), envs.make("Counter-v0")
    body.action_space.seed(5)
    assert other.restore(through_a_file(body.snapshot()))
    assert other.action_space.sample() == body.action_space.sample()


class Moody(gymnasium.Env[np.ndarray, np.ndarray]):
    """Keeps state in Python attributes of many kinds, one of which grows over episodes."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self) -> None:
        self.mood, self.best, self.name, self.level = np.float32(0.1), -np.inf, "calm", 0
        self.trail = np.zeros(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.level += 1
        self.mood = np.float32(self.np_random.random())
        self.best = -np.inf
        return self.look(), {}

    def step(self, action: np.ndarray) -> Any:
        self.mood = np.float32(3.7) * self.mood * (1 - self.mood)
        self.best = max(self.best, float(action[0]))
        self.name = "cross" if self.mood > 0.5 else "calm"
        self.trail[self.level % 2] += self.np_random.random()
        return self.look(), self.best, False, self.np_random.random() < 0.05, {}

    def look(self) -> np.ndarray:
        return np.array([self.mood, self.level + len(self.name), self.trail[0]], np.float32)


def test_attributes_of_python_are_part_of_the_state() -> None:
    gymnasium.register("Moody-v0", entry_point=f"{__name__}:Moody", max_episode_steps=40)
    assert_same_future("Moody-v0", moments=(0, 1, 50))


def test_a_snapshot_of_another_body_is_refused() -> None:
    body = envs.make("Hopper-v5")
    body.reset(seed=0)
    with pytest.raises(envs.EnvError, match=r"Hopper-v5 with sizes .* not of Walker2d-v5"):
        envs.make("Walker2d-v5").restore(body.snapshot())


class Forgetful(gymnasium.Env[np.ndarray, np.ndarray]):
    """Draws from a generator that nobody can see, so that no replay can match."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return np.random.default_rng().normal(size=1).astype(np.float32), {}

    def step(self, action: np.ndarray) -> Any:
        return np.random.default_rng().normal(size=1).astype(np.float32), 0.0, False, False, {}


def test_an_env_that_cannot_be_repeated_says_so_and_begins_anew() -> None:
    gymnasium.register("Forgetful-v0", entry_point=f"{__name__}:Forgetful")
    body = envs.make("Forgetful-v0")
    body.reset(seed=0)
    body.step(np.zeros(1, np.float32))
    saved = body.snapshot()
    assert not body.restore(saved)
    assert not body.exact
    assert body.snapshot()["constraint"]["episode"] == saved["constraint"]["episode"] + 1
    assert body.snapshot()["constraint"]["frame"] == 0
