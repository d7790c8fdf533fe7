"""The determinism check."""

from __future__ import annotations

from typing import Any

import counter_env  # noqa: F401 - registers Counter-v0
import gymnasium
import numpy as np

import envs
from envs.faults.coarse_numbers import MOST_STEPS, CoarseNumber, coarse_numbers
from envs.state.determinism import Determinism, check_determinism


class Unseeded(gymnasium.Env[np.ndarray, np.ndarray]):
    """Draws its rewards from a generator that no seed reaches."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: np.ndarray) -> Any:
        return np.zeros(1, np.float32), np.random.default_rng().random(), False, False, {}


def test_an_environment_with_an_unseeded_generator_is_not_deterministic() -> None:
    gymnasium.register("Unseeded-v0", entry_point=f"{__name__}:Unseeded")
    assert not check_determinism(envs.make("Unseeded-v0"), seed=1).deterministic


class Remembers(Unseeded):
    """Keeps what it has seen, in objects that its reset does not make anew."""

    def __init__(self) -> None:
        self.seen: dict[str, list[int]] = {"steps": []}
        self.count, self.table = 0, np.zeros(3)
        self.now: list[int] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.now = []
        return super().reset(seed=seed, options=options)

    def step(self, action: np.ndarray) -> Any:
        self.count += 1
        self.table[0] += 1
        self.now.append(self.count)
        self.seen["steps"].append(self.count)
        return np.zeros(1, np.float32), 0.0, False, False, {}


def test_objects_that_carry_over_to_the_next_episode_are_named() -> None:
    counted: Any = lambda: gymnasium.wrappers.RecordEpisodeStatistics(Remembers())  # noqa: E731
    gymnasium.register("Remembers-v0", entry_point=counted)
    assert check_determinism(envs.make("Remembers-v0"), seed=1).unsaved == ("seen (dict)",)


def test_mujoco_is_deterministic_and_a_fault_does_not_count() -> None:
    assert check_determinism(envs.make("Hopper-v5"), seed=1) == Determinism()
    assert check_determinism(envs.make("Counter-v0", kwargs={"fault": "raise"}), seed=1).deterministic


def test_a_number_is_coarse_between_rest_and_a_hundred_steps_of_float32() -> None:
    steps = np.array([0.0, 0.001, MOST_STEPS - 1, MOST_STEPS + 1])[:, None] * np.linspace(0.0, 0.5, 32)
    rows = list(5.5e6 + steps.T)
    assert [one.place for one in coarse_numbers(rows)] == [2]
    (one,) = coarse_numbers([row[2:3] for row in rows])
    assert one == CoarseNumber(0, (MOST_STEPS - 1) / 2, float(np.mean([row[2] for row in rows])), 0.5)
    assert coarse_numbers([row.astype(np.float32) for row in rows]) == ()
    assert coarse_numbers([np.array([1e308, np.inf, 0.0])] * 2) == ()
