"""Pairs of a real clip and an edited one: the same states and actions, with physics violated from one step on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.comprehension.mixed_episodes import Episode
from benchmarks.comprehension.surprise_detectors import Clip
from benchmarks.comprehension.violations import MEANINGS, Stage, State, Violation, stage_of
from envs.physics import find_physics
from envs.safe_env import SafeEnv
from joule_errors import Stopped

BEFORE, AFTER = 20, 20
"""Steps of a clip before and after the violation that are scored."""
LEAD = 8
"""Steps before those that are not scored: a detector needs some steps before it."""


ONSET = BEFORE + LEAD
"""The step of a clip that violates physics first."""


def first_step(at: int) -> int:
    """The step of an episode with which a clip begins whose violation begins at step `at`."""
    return at - ONSET


@dataclass(frozen=True)
class Pair:
    """A real clip, and the same clip with a violation; see `pairs_of`."""

    episode: Episode
    at: int
    """The step of the episode that violates physics first."""
    real: Clip
    edited: Clip
    strength: float = 1.0
    """Of the violation."""

    @property
    def first(self) -> int:
        """The step of the episode with which the clips begin."""
        return first_step(self.at)

    @staticmethod
    def clip_of(episode: Episode, at: int) -> Clip:
        """The real clip of an episode around the step `at`."""
        return episode.clip.part(first_step(at), at + AFTER)


@dataclass(frozen=True)
class Edit:
    """A violation of an episode."""

    episode: Episode
    at: int
    """The step that violates physics first."""
    kind: str
    strength: float = 1.0


def edited_pairs(env: SafeEnv, edits: Sequence[Edit]) -> list[Pair]:
    """The pairs of many violations. Each episode is repeated once, and goes on from a snapshot after each violation.

    Args:
        env: the environment.
        edits: the violations, in any order.

    Returns:
        A pair for each violation, in the same order.

    Raises:
        Stopped: when an episode does not repeat itself, or does not go on from a snapshot.
    """
    found: dict[int, Pair] = {}
    by_episode: dict[int, list[int]] = {}
    for number, edit in enumerate(edits):
        by_episode.setdefault(edit.episode.seed, []).append(number)
    for numbers in by_episode.values():
        by_step: dict[int, list[int]] = {}
        for number in numbers:
            by_step.setdefault(edits[number].at, []).append(number)
        episode = edits[numbers[0]].episode
        repeated = Repeated(env, episode)
        for at in sorted(by_step):
            repeated.go_to(at)
            for number in by_step[at]:
                after = repeated.violated(edits[number].kind, edits[number].strength)
                real = Pair.clip_of(episode, at)
                edited = real.part(0, ONSET).followed_by(after)
                found[number] = Pair(episode, at, real, edited, edits[number].strength)
    return [found[number] for number in range(len(edits))]


class Repeated:
    """A real episode that is taken again, with violations in between.

    Args:
        env: the environment.
        episode: the real episode.
    """

    def __init__(self, env: SafeEnv, episode: Episode) -> None:
        self.env, self.real, self.seed = env, episode.clip, episode.seed
        env.reset(seed=episode.seed)
        self.at = 0
        self._saved: Mapping[str, Any] | None = None
        self._stage = stage_of(env)
        self.past: list[State] = []
        """The states before each step so far."""

    def go_to(self, at: int) -> None:
        """Goes on to the step `at`, which is no earlier than now."""
        self._restore()
        for step in range(self.at, at):
            data = self._physics_stage().data
            self.past.append((data.qpos.copy(), data.qvel.copy()))
            obs, *_ = self.env.step(self.real.action[step])
            if not np.array_equal(obs, self.real.obs[step + 1]):
                raise Stopped(
                    f"{self.env.env_spec.env}: an episode of seed {self.seed} does not repeat itself at step {step}, "
                    "so no violation can be compared with it"
                )
        self.at, self._saved = at, None

    def violated(self, kind: str, strength: float) -> Clip:
        """The next AFTER steps with a violation, or fewer where the episode ends."""
        self._restore()
        if self._saved is None:
            self._saved = self.env.snapshot()
        rng = np.random.default_rng([self.seed, self.at])
        violation = Violation(self.env, kind, rng, strength, self._physics_stage())
        violation.remember(self.past)
        violation.begin()
        actions = self.real.action[self.at : self.at + AFTER]
        clip = _recorded(self.env, actions, violation.before_step)
        violation.end()
        return clip

    def _restore(self) -> None:
        if self._saved is not None and not self.env.restore(self._saved):
            raise Stopped(
                f"{self.env.env_spec.env}: an episode of seed {self.seed} cannot be resumed at step {self.at}, so no "
                "violation can be compared with it"
            )

    def _physics_stage(self) -> Stage:
        """The stage of the model now: an environment may build a new one when it is reset."""
        physics = find_physics(self.env)
        if physics is None or physics.data is not self._stage.data:
            self._stage = stage_of(self.env)
        return self._stage


def _recorded(env: SafeEnv, actions: np.ndarray, before_step: Callable[[], None]) -> Clip:
    """The clip of these actions [steps, act], from now on, until the episode ends."""
    observations, costs, readouts = [env.observation.copy()], [], [env.readouts()]
    for action in actions:
        before_step()
        obs, reward, terminated, truncated, _ = env.step(action)
        observations.append(obs)
        costs.append(-reward)
        readouts.append(env.readouts())
        if terminated or truncated:
            break
    return Clip(
        np.stack(observations), actions[: len(costs)], np.array(costs, np.float32), np.stack(readouts)
    )


def edited_frames(env: SafeEnv, pair: Pair, kind: str) -> list[Any]:
    """Frames of the edited episode of a pair from BEFORE steps before its violation to its end."""
    repeated, frames = Repeated(env, pair.episode), []
    repeated.go_to(pair.at - BEFORE)
    for step in range(pair.at - BEFORE, pair.at):
        repeated.go_to(step + 1)
        frames.append(env.render())
    violation = Violation(env, kind, np.random.default_rng([pair.episode.seed, pair.at]), pair.strength)
    violation.remember(repeated.past)
    violation.begin()
    for action in pair.episode.clip.action[pair.at : pair.at + len(pair.edited.action) - ONSET]:
        violation.before_step()
        env.step(action)
        frames.append(env.render())
    violation.end()
    return frames


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
    return edited_pairs(
        env, edits_of(episodes, kind, count, np.random.default_rng([seed, list(MEANINGS).index(kind)]))
    )


def edits_of(episodes: Sequence[Episode], kind: str, count: int, rng: np.random.Generator) -> list[Edit]:
    """Violations of one kind, at most `count`, at places that are drawn from those at which it is visible."""
    places = places_of(episodes, kind)
    chosen = [places[index] for index in rng.permutation(len(places))[:count]]
    return [Edit(episode, at, kind) for episode, at in chosen]


def places_of(episodes: Sequence[Episode], kind: str) -> list[tuple[Episode, int]]:
    """The steps of episodes at which a violation would be visible, and around which a clip fits."""
    return [
        (episode, at)
        for episode in episodes
        for at in range(ONSET, len(episode.clip.action) - AFTER + 1)
        if kind in episode.opportunities[at]
    ]
