"""What actors hand over: chunks of experience from processes that act while another one learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from agent.interface import Arrays, EndedEpisode, EnvSpec

ActingCopy = tuple[Arrays, dict[str, Any]]
"""Networks and counts; see `agent.acting_copy`."""


@dataclass(frozen=True)
class Chunk:
    """What one actor experienced in successive decisions."""

    actor: int
    """Its number, which is that of its stream of the replay buffer."""
    rows: Arrays
    """Rows of the replay buffer by column, oldest first. The last one is the newest observation, whose action is
    not known yet."""
    continues: bool
    """Whether the first row is the last one of the actor's chunk before, now with its action."""
    decisions: int
    frames: int
    ended: Sequence[EndedEpisode]
    """Episodes that ended in these decisions."""
    terminations: int
    """Those of them that ended by termination."""
    errors: Sequence[float]
    """Mean squared errors of the one-step latent predictions, in order."""
    diverged: int
    """Decisions in which the physics diverged; nothing is learned from them."""
    updates: int
    """Gradient steps of the networks that acted, when they were handed to the actor."""


@dataclass(frozen=True)
class LearnerState:
    """What actors need to know of the process that learns, when it asks them for more."""

    updates: int
    """Gradient steps so far."""
    decisions: int
    """Decisions that were learned from so far."""
    decisions_left: int
    """Decisions that are still wanted after those."""
    copy: Callable[[], ActingCopy]
    """The networks as they are now."""
    stopped: Callable[[], bool]
    """Whether waiting should end."""


@runtime_checkable
class Actors(Protocol):
    """Processes that act, each in an environment of its own."""

    @property
    def env_spec(self) -> EnvSpec: ...
    @property
    def num_actors(self) -> int: ...

    def next_chunks(self, learner: LearnerState) -> Sequence[Chunk]:
        """Asks for what is due, and waits for the chunks that are learned from next.

        In lockstep they are one of each actor, otherwise the one that arrives first. Empty where the wait was
        ended.

        Raises:
            Stopped: where no actor is left, or an environment has failed.
        """
        ...

    @property
    def metrics(self) -> Mapping[str, float]:
        """What is known of the actors, by name, such as how many were lost."""
        ...

    def begin_episodes(self) -> None:
        """Has every actor forget its open episode, and what it was asked for."""
        ...

    def snapshot(self) -> dict[str, Any]: ...

    def restore(self, snapshot: dict[str, Any]) -> bool:
        """Goes back to a snapshot; False when the actors begin episodes."""
        ...

    def close(self) -> None: ...
