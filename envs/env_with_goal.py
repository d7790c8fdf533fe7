"""An environment that observes, beside its state, the goal of the episode and what is achieved of it.

The observation is that of Gymnasium's goal environments (Plappert et al. 2018, "Multi-Goal Reinforcement
Learning"): a dictionary with `observation`, `achieved_goal` and `desired_goal`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.env_spec import EnvSpec, ObservationPart
from envs.faults.boundary import DIVERGED_KEY, attribute
from envs.faults.errors import EnvError
from envs.safe_env import SafeEnv
from envs.task_goal import within_of
from joule_schema.arrays import ArraySpec, check_array

OBSERVATION, ACHIEVED, DESIRED = "observation", "achieved_goal", "desired_goal"
"""Names of the parts of an observation."""


@dataclass(frozen=True)
class GoalReadouts:
    """The readouts that say whether a goal is reached."""

    columns: tuple[slice, ...]
    """Of each of them, its places in the vector of readouts."""
    within: tuple[float, ...]
    """Of each of them, how far from its value at the goal is near enough, in its unit."""

    @property
    def size(self) -> int:
        """How many numbers a goal has."""
        return sum(each.stop - each.start for each in self.columns)

    def of(self, readouts: np.ndarray) -> np.ndarray:
        """The goal [goal] that is achieved where the readouts are [readouts]."""
        return np.concatenate([readouts[each] for each in self.columns])

    def reward(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """0 where the achieved goal is near enough to the desired one in every readout, else -1.

        Args:
            achieved: [..., goal].
            desired: [..., goal].

        Returns:
            float32 [...].
        """
        apart = np.asarray(achieved, np.float32) - np.asarray(desired, np.float32)
        far, first = np.zeros(apart.shape[:-1], bool), 0
        for each, distance in zip(self.columns, self.within, strict=True):
            last = first + each.stop - each.start
            far |= np.linalg.norm(apart[..., first:last], axis=-1) > distance
            first = last
        return np.where(far, np.float32(-1.0), np.float32(0.0))


def goal_readouts(raw: gymnasium.Env[Any, Any], env_spec: EnvSpec) -> GoalReadouts:
    """The readouts that count in an environment.

    Args:
        raw: the environment.
        env_spec: its sizes and names.

    Raises:
        EnvError: for an environment that cannot show its goal, or names no readout that it has.
    """
    env = env_spec.env
    within = within_of(raw.unwrapped, env)
    if not callable(attribute(raw.unwrapped, "at_goal")) or not within:
        raise EnvError(
            f"obs: found state+goal, as sac_her observes it, and {env} cannot show its goal; it needs a context "
            "manager at_goal() and the readouts that count, such as goal_within = {'ball': 0.1}"
        )
    columns, edge = {}, 0
    for name, size in env_spec.readout_sizes.items():
        columns[name] = slice(edge, edge + size)
        edge += size
    for name in within:
        if name not in columns or name in env_spec.derived_readouts:
            raise EnvError(
                f"goal_within of {env} names {name!r:.80}; of an observed goal it names readouts that are not "
                f"derived, and there are {', '.join(n for n in columns if n not in env_spec.derived_readouts)}"
            )
    return GoalReadouts(tuple(columns[name] for name in within), tuple(within.values()))


def goal_spec(env_spec: EnvSpec, goal: GoalReadouts) -> EnvSpec:
    """The specification of an environment whose observation has its goal."""
    (state,) = env_spec.observation
    goals = [ObservationPart(name, (goal.size,), "float32") for name in (ACHIEVED, DESIRED)]
    return replace(env_spec, observation=(replace(state, name=OBSERVATION), *goals))


class EnvWithGoal(SafeEnv):
    """A `SafeEnv` whose observation has the goal of the episode, and what is achieved of it.

    The desired goal is that of the episode's own task: the readouts that count, in the state of `at_goal`. Both
    goals are true even where sensors are perturbed. The reward stays that of the environment; `compute_reward` is
    the sparse one of reaching a goal.

    Args:
        goal: the readouts that count.
        kwargs: as for `SafeEnv`; `env_spec` is that of `goal_spec`.
    """

    def __init__(self, *args: Any, goal: GoalReadouts, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._goal = goal
        self._achieved = self._desired = np.zeros(goal.size, np.float32)
        one = spaces.Box(-np.inf, np.inf, (goal.size,), np.float32)
        parts: Any = {OBSERVATION: self.observation_space, ACHIEVED: one, DESIRED: one}
        self.observation_space = spaces.Dict(parts)  # type: ignore[assignment]

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.ndarray:
        """The reward of reaching a goal, as Gymnasium's goal environments have it: 0 where it is reached, else -1.

        Args:
            achieved_goal: [..., goal].
            desired_goal: [..., goal].
            info: not used.

        Returns:
            float32 [...].
        """
        return self._goal.reward(achieved_goal, desired_goal)

    def reset(  # type: ignore[override]
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See `SafeEnv`."""
        state, info = super().reset(seed=seed, options=options)
        shown = self.at_goal()
        assert shown is not None, "checked when it was made"
        self._achieved, self._desired = self._goal.of(self.readouts()), self._goal.of(shown[1])
        return self._observed(state), info

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:  # type: ignore[override]
        """See `SafeEnv`."""
        state, reward, terminated, truncated, info = super().step(action)
        if not info.get(DIVERGED_KEY, False):  # else it is that from before, as the state is
            self._achieved = self._goal.of(self.readouts())
        return self._observed(state), reward, terminated, truncated, info

    def _observed(self, state: np.ndarray) -> dict[str, np.ndarray]:
        return {OBSERVATION: state, ACHIEVED: self._achieved.copy(), DESIRED: self._desired.copy()}

    def _still(self, state: np.ndarray) -> dict[str, np.ndarray]:
        """See `SafeEnv`: what is observed in the goal's own state, where it is achieved."""
        there = self._goal.of(self.readouts())
        return {OBSERVATION: state, ACHIEVED: there, DESIRED: there.copy()}

    def snapshot(self) -> dict[str, Any]:
        """See `SafeEnv`."""
        saved = super().snapshot()
        return saved | {DESIRED: self._desired.copy()} if saved["started"] else saved

    def restore(self, saved: Mapping[str, Any]) -> bool:
        """See `SafeEnv`."""
        exact = super().restore(saved)
        if exact and saved["started"]:
            self._desired = np.array(saved[DESIRED], np.float32)
            self._achieved = self._goal.of(self.readouts())
        return exact

    def check_restorable(self, saved: Mapping[str, Any]) -> None:
        """See `SafeEnv`."""
        super().check_restorable({name: value for name, value in saved.items() if name != DESIRED})
        if saved["started"]:
            check_array(saved.get(DESIRED), ArraySpec((self._goal.size,), "float32"), f"env.{DESIRED}")
