"""Pairs of a possible and an impossible clip as a camera sees them: the same states and actions up to one decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.learning.undirected import smooth_action
from benchmarks.comprehension.violations import State, Violation, stage_of
from envs.rendering.pixels import Camera
from envs.safe_env import SafeEnv
from joule_errors import Stopped

LEAD = 2
"""Decisions at the beginning of a clip that are not scored: an observation stacks so many pictures."""
BEFORE, AFTER = 4, 8
"""Decisions before and after the violation that are scored."""
ONSET = LEAD + BEFORE
"""The decision of a clip that violates physics first."""
LONGEST = 100
"""Decisions of an episode, at most."""
Pictures = NDArray[np.uint8]
Floats = NDArray[np.float64]


def change(one: Pictures, other: Pictures) -> float:
    """Mean absolute difference of two pictures [3, height, width], in grey levels."""
    return float(np.abs(one.astype(np.float64) - other).mean())


@dataclass(frozen=True)
class SeenClip:
    """A part of an episode: what the camera saw, and what was done."""

    pictures: Pictures
    """[decisions + 1, 3, height, width]"""
    action: NDArray[np.float32]
    """[decisions, act]"""

    def changes(self) -> Floats:
        """The `change` from one picture to the next, [decisions]."""
        return np.array([change(*both) for both in zip(self.pictures, self.pictures[1:], strict=False)])

    def part(self, first: int, last: int) -> SeenClip:
        """The decisions from `first` to before `last`."""
        return SeenClip(self.pictures[first : last + 1], self.action[first:last])


@dataclass(frozen=True)
class SeenEpisode:
    """A real episode, and where violations would be seen."""

    seed: int
    clip: SeenClip
    opportunities: list[frozenset[str]]
    """[decisions], the kinds of violation that would be visible from a decision on."""
    changes: Floats
    """See `SeenClip.changes`."""
    observations: NDArray[np.float32]
    """[decisions, obs], after each decision; they tell whether the episode repeats itself."""

    def around(self, at: int) -> SeenClip:
        """The clip around a decision."""
        return self.clip.part(at - ONSET, at + AFTER)


@dataclass(frozen=True)
class SeenPair:
    """A possible clip, and the same clip with a violation."""

    episode: SeenEpisode
    at: int
    """The decision that violates physics first."""
    kind: str
    strength: float
    real: SeenClip
    edited: SeenClip


def seen_episode(env: SafeEnv, camera: Camera, seed: int, decisions: int) -> SeenEpisode:
    """An episode of the actions that were trained on, of at most so many decisions.

    Args:
        env: the environment, which observes its state.
        camera: sees it.
        seed: of the reset and of the actions.
        decisions: at most.
    """
    env.reset(seed=seed)
    stage, taken, kinds, pictures = stage_of(env, seen=True), [], [], [camera.frame()]
    observations = []
    for decision in range(decisions):
        kinds.append(stage.opportunities())
        taken.append(smooth_action((seed,), decision, env.env_spec.action_size))
        obs, _, terminated, truncated, _ = env.step(taken[-1])
        observations.append(obs)
        pictures.append(camera.frame())
        if terminated or truncated:
            break
    clip = SeenClip(np.stack(pictures), np.stack(taken))
    return SeenEpisode(seed, clip, kinds, clip.changes(), np.stack(observations))


def seen_episodes(env: SafeEnv, camera: Camera, decisions: int, first_seed: int) -> list[SeenEpisode]:
    """Episodes of at most `LONGEST` decisions, until there are so many decisions.

    Args:
        env: the environment, which observes its state.
        camera: sees it.
        decisions: in all, or a few more.
        first_seed: seed of the first episode; the next ones follow.
    """
    episodes: list[SeenEpisode] = []
    while sum(len(episode.changes) for episode in episodes) < decisions:
        episodes.append(seen_episode(env, camera, first_seed + len(episodes), LONGEST))
    return episodes


class RepeatedEpisode:
    """A real episode that is taken again without pictures, with violations in between.

    Args:
        env: the environment, which observes its state.
        camera: sees it.
        episode: the real episode.
    """

    def __init__(self, env: SafeEnv, camera: Camera, episode: SeenEpisode) -> None:
        self.env, self.camera, self.episode = env, camera, episode
        env.reset(seed=episode.seed)
        self._stage = stage_of(env, seen=True)
        self._at = 0
        self._past: list[State] = []

    def go_to(self, at: int) -> None:
        """Goes on to the decision `at`, which is no earlier than now.

        Raises:
            Stopped: when the episode does not repeat itself.
        """
        data = self._stage.data
        for decision in range(self._at, at):
            self._past.append((data.qpos.copy(), data.qvel.copy()))
            obs, *_ = self.env.step(self.episode.clip.action[decision])
            if not np.array_equal(obs, self.episode.observations[decision]):
                raise Stopped(
                    f"{self.env.env_spec.env}: an episode of seed {self.episode.seed} does not repeat itself at "
                    f"decision {decision}, so no violation can be compared with it"
                )
        self._at = at

    def violated(self, kind: str, strength: float, largest: float = np.inf) -> SeenPair | None:
        """The pair of a violation that begins now; the episode goes on afterwards as if it had not been.

        Args:
            kind: of the violation.
            strength: of the violation.
            largest: change from one picture to the next at which it is given up.

        Returns:
            The pair; its impossible clip is shorter where the episode ends. None where it was given up.

        Raises:
            Stopped: when the episode does not go on from a snapshot.
        """
        env, episode, at = self.env, self.episode, self._at
        saved = env.snapshot()
        rng = np.random.default_rng([episode.seed, at])
        violation = Violation(env, kind, rng, strength, self._stage)
        violation.remember(self._past)
        violation.begin()
        pictures = [episode.clip.pictures[at]]
        for action in episode.clip.action[at : at + AFTER]:
            violation.before_step()
            _, _, terminated, truncated, _ = env.step(action)
            pictures.append(self.camera.frame())
            if terminated or truncated or change(*pictures[-2:]) > largest:
                break
        violation.end()
        if not env.restore(saved):
            raise Stopped(
                f"{env.env_spec.env}: an episode of seed {episode.seed} cannot be resumed at decision {at}, so no "
                "violation can be compared with it"
            )
        if change(*pictures[-2:]) > largest:
            return None
        before = episode.clip.part(at - ONSET, at)
        action = episode.clip.action[at - ONSET : at + len(pictures) - 1]
        edited = SeenClip(np.concatenate((before.pictures, pictures[1:])), action)
        return SeenPair(episode, at, kind, strength, episode.around(at), edited)


def places_of(episodes: Sequence[SeenEpisode], kind: str) -> Iterator[tuple[SeenEpisode, int]]:
    """The decisions at which a violation would be visible, and around which a clip fits.

    The calmest one of every episode comes first, then the second calmest of every episode. Calm is a decision by whose
    own change of the picture the largest change of its clip can hardly be exceeded.
    """
    in_order = [
        sorted(
            (
                at
                for at in range(ONSET, len(episode.opportunities) - AFTER + 1)
                if kind in episode.opportunities[at]
            ),
            key=lambda at, e=episode: e.changes[at] / max(scored(e.changes, at).max(), 1e-9),  # type: ignore[misc]
        )
        for episode in episodes
    ]
    for place in range(max(map(len, in_order), default=0)):
        for episode, places in zip(episodes, in_order, strict=True):
            if place < len(places):
                yield episode, places[place]


def scored(changes: Floats, at: int) -> Floats:
    """The changes of an episode in the scored part of the clip around a decision."""
    return changes[at - BEFORE : at + AFTER]


def by_episode(places: Sequence[tuple[SeenEpisode, int]]) -> Mapping[int, tuple[SeenEpisode, list[int]]]:
    """Places by the seed of their episode, in the order of time."""
    found: dict[int, tuple[SeenEpisode, list[int]]] = {}
    for episode, at in sorted(places, key=lambda place: (place[0].seed, place[1])):
        found.setdefault(episode.seed, (episode, []))[1].append(at)
    return found
