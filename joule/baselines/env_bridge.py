"""The environment through which stable-baselines3 steps that of an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agent.interface import (
    DIVERGED_KEY,
    DRAWN_KEY,
    EndedEpisode,
    EnvSpec,
    Observation,
    ObservationPart,
    TrainingEnv,
)
from agent.seeds import reset_seed


def space_of(parts: Sequence[ObservationPart]) -> spaces.Space[Any]:
    """The space of observations of these parts: a Box of one part, a Dict of several."""
    boxes: dict[str, spaces.Space[Any]] = {part.name: _box(part) for part in parts}
    return next(iter(boxes.values())) if len(boxes) == 1 else spaces.Dict(boxes)


def _box(part: ObservationPart) -> spaces.Box:
    if part.dtype == "uint8":
        return spaces.Box(0, 255, tuple(part.shape), np.uint8)
    return spaces.Box(-np.inf, np.inf, tuple(part.shape), np.float32)


class EnvBridge(gymnasium.Env[Any, np.ndarray]):
    """A Gymnasium environment that passes every call to `env`, and counts frames and episodes.

    The library copies `info` deeply at every step, so it gets only what its buffers need.

    Args:
        env_spec: sizes of the environment.
        seed: of the run.
    """

    def __init__(self, env_spec: EnvSpec, seed: int) -> None:
        self.observation_space = space_of(env_spec.observation)
        self.action_space = spaces.Box(-1.0, 1.0, (env_spec.action_size,), np.float32)
        self.action_size = env_spec.action_size
        self.env: TrainingEnv | None = None
        """Where the agent acts; set before the first reset."""
        self.seed = seed
        self.seeded = False
        """Whether `env` was reset with a seed, and continues from there by itself."""
        self.step_diverged = False
        """Whether the physics diverged in the newest step."""
        self.frames = self.episodes = 0
        self.episode_return, self.episode_length = 0.0, 0
        self._ended: list[EndedEpisode] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begins an episode. The library's own seed is not used: it would repeat the run's first episode."""
        assert self.env is not None
        observation, _ = self.env.reset(seed=None if self.seeded else reset_seed(self.seed, self.frames))
        self.seeded = True
        self.episode_return, self.episode_length = 0.0, 0
        return observation, {}

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """One decision, `action` [act]; `info["diverged"]` says whether the physics diverged."""
        assert self.env is not None
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.frames += info["frames"]
        self.episode_return += float(reward)
        self.episode_length += 1
        if terminated or truncated:
            self.episodes += 1
            drawn = info.get(DRAWN_KEY, {})
            self._ended.append(EndedEpisode(self.episode_return, self.episode_length, drawn))
        self.step_diverged = bool(info.get(DIVERGED_KEY, False))
        return observation, reward, terminated, truncated, {"diverged": self.step_diverged}

    def take_ended(self) -> list[EndedEpisode]:
        """The episodes that have ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def forget_episode(self) -> None:
        """Forgets the open episode: the next reset has a seed again."""
        self.seeded = False
        self.episode_return, self.episode_length = 0.0, 0


class GoalBridge(EnvBridge):
    """The bridge to an environment that observes its goal: the library gets the sparse reward of reaching it.

    `episode_return` stays that of the environment's own reward, which other agents are compared by.
    """

    at_goal = False
    """Whether the goal of the episode is reached after the newest step."""

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """See `EnvBridge`; the reward is 0 at the goal, else -1."""
        observation, _, terminated, truncated, info = super().step(action)
        assert isinstance(observation, Mapping)
        reward = float(self.compute_reward(observation["achieved_goal"], observation["desired_goal"], info))
        self.at_goal = reward == 0.0
        return observation, reward, terminated, truncated, info

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.ndarray:
        """Rewards [...] of achieved goals [..., goal], which the library asks for in hindsight."""
        env: Any = self.env  # one that observes its goal: the agent's specification says so
        rewards: np.ndarray = env.compute_reward(achieved_goal, desired_goal, info)
        return rewards
