"""Pairs of a real clip and an edited one: the same states and actions, with physics violated from one step on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.comprehension.mixed_episodes import Episode
from benchmarks.comprehension.surprise_detectors import Clip
from benchmarks.comprehension.violations import MEANINGS, Violation
from envs.safe_env import SafeEnv

BEFORE, AFTER = 20, 20
"""Steps of a clip before and after the violation that are scored."""
LEAD = 8
"""Steps before those that are not scored: a detector needs some steps before it."""


@dataclass(frozen=True)
class Pair:
    """A real clip, and the same clip with a violation; see `pairs_of`."""

    episode: Episode
    at: int
    """The step of the episode that violates physics first."""
    real: Clip
    edited: Clip

    @property
    def first(self) -> int:
        """The step of the episode with which the clips begin."""
        return first_step(self.at)


ONSET = BEFORE + LEAD
"""The step of a clip that violates physics first."""


def first_step(at: int) -> int:
    """The step of an episode with which a clip begins whose violation begins at step `at`."""
    return at - ONSET


def edited_episode(env: SafeEnv, episode: Episode, kind: str, at: int) -> tuple[Clip, list[Any]]:
    """Repeats an episode with a violation.

    Args:
        env: the environment.
        episode: the real episode.
        kind: kind of violation.
        at: the step from which on physics is violated.

    Returns:
        The episode until AFTER steps later, or until its end, and where the environment renders, its frames from
        BEFORE steps before.

    Raises:
        RuntimeError: when the episode does not repeat itself up to that step.
    """
    real = episode.clip
    obs, _ = env.reset(seed=episode.seed)
    violation = Violation(env, kind, np.random.default_rng([episode.seed, at]))
    observations, costs, readouts, frames = [obs], [], [env.readouts()], []
    renders = env.env.render_mode is not None
    for step in range(min(at + AFTER, len(real.action))):
        if step == at:
            violation.begin()
        obs, reward, terminated, truncated, _ = env.step(real.action[step])
        if step < at and not np.array_equal(obs, real.obs[step + 1]):
            raise RuntimeError(
                f"{env.env_spec.env}: seed {episode.seed} does not repeat itself at step {step}"
            )
        observations.append(obs)
        costs.append(-reward)
        readouts.append(env.readouts())
        if renders and step >= at - BEFORE:
            frames.append(env.render())
        if terminated or truncated:
            break
    violation.end()
    actions = real.action[: len(costs)]
    clip = Clip(np.stack(observations), actions, np.array(costs, np.float32), np.stack(readouts))
    return clip, frames


def real_frames(env: SafeEnv, episode: Episode, at: int) -> list[Any]:
    """Frames of the real episode from BEFORE steps before the step `at` to AFTER steps after it."""
    env.reset(seed=episode.seed)
    frames = []
    for step, action in enumerate(episode.clip.action[: at + AFTER]):
        env.step(action)
        if step >= at - BEFORE:
            frames.append(env.render())
    return frames


def pairs_of(env: SafeEnv, episodes: Sequence[Episode], kind: str, count: int, seed: int) -> list[Pair]:
    """Pairs at steps that are drawn from those at which a violation is visible.

    Args:
        env: the environment.
        episodes: real episodes.
        kind: kind of violation.
        count: how many pairs at most.
        seed: determines the steps.
    """
    places = [
        (episode, at)
        for episode in episodes
        for at in range(ONSET, len(episode.clip.action) - AFTER + 1)
        if kind in episode.opportunities[at]
    ]
    rng = np.random.default_rng([seed, list(MEANINGS).index(kind)])
    pairs = []
    for index in rng.permutation(len(places))[:count]:
        episode, at = places[index]
        first, last = first_step(at), at + AFTER
        edited, _ = edited_episode(env, episode, kind, at)
        pairs.append(Pair(episode, at, episode.clip.part(first, last), edited.part(first, last)))
    return pairs
