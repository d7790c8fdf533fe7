"""What an agent asks of its body, and what a run asks of an agent, as protocols.

The agent package never imports the environments; the doors hand them in.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from agent.clock import Clock
from agent.configurator.settings import Config

Arrays = dict[str, np.ndarray]
"""Flat names, parts separated by "/", to arrays."""


@runtime_checkable
class BodyFacts(Protocol):
    """Sizes and names that do not change during a run."""

    @property
    def env(self) -> str: ...
    @property
    def observation_size(self) -> int: ...
    @property
    def action_size(self) -> int: ...
    @property
    def episode_limit(self) -> int | None: ...
    @property
    def action_repeat(self) -> int: ...
    @property
    def readout_sizes(self) -> dict[str, int]: ...
    @property
    def readout_views(self) -> dict[str, Any] | None:
        """Everyday names for parts of the readouts; None for a run made before there were any."""
        ...


@runtime_checkable
class TrainingEnv(Protocol):
    """A Gymnasium environment with flat float32 observations, actions in [-1, 1], and readouts."""

    @property
    def facts(self) -> BodyFacts: ...

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]: ...

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]: ...

    def readouts(self) -> np.ndarray: ...

    def snapshot(self) -> dict[str, Any]: ...

    def restore(self, snapshot: dict[str, Any]) -> bool:
        """Back to a snapshot; False when only an episode's start could be had."""
        ...


class Agent(Protocol):
    """The four verbs, the counters of a run, and the state that an exact resume needs."""

    kind: str
    facts: BodyFacts
    config: Config
    env: TrainingEnv | None
    frames: int
    """Simulator frames lived."""
    decisions: int
    """Actions taken."""
    episodes: int
    """Episodes ended."""
    metrics: dict[str, float]
    """The newest value of everything measured, by name, such as `episode/return`, `surprise`."""
    clock: Clock
    """How long `learn` has taken, without what a trainer evaluates in between."""
    hurried: bool
    """Set to make `learn` come to the end of a decision soon: long learning may wait for the next call."""

    def learn(
        self, steps: int, env: TrainingEnv | None = None, on_step: Callable[[Any], bool] | None = None
    ) -> Any: ...

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]: ...

    def save(self, path: str | Path) -> None:
        """Writes a run folder at `path`, which `agent.load` opens and `train.py --resume` goes on with."""
        ...

    def explain(self, state: Any) -> dict[str, np.ndarray]:
        """Energy terms [batch] behind a decision; empty for an agent without energies."""
        ...

    def begin_episode(self) -> None:
        """Forgets the open episode: the next decision resets the environment, with `seeds.reset_seed`."""
        ...

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything but the replay rows that a resume needs, as arrays and JSON values."""
        ...

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None: ...

    def replay_columns(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Name -> (shape of one row, numpy dtype name); empty for an agent without a replay."""
        ...

    def replay_total(self) -> int:
        """Rows ever written whose content is final."""
        ...

    def replay_first(self) -> int:
        """Number of the oldest final row that is still held."""
        ...

    def replay_rows(self, first: int) -> Arrays:
        """Columns of the final rows since absolute row `first`, oldest first."""
        ...

    def restore_replay(self, rows: Arrays, total: int) -> None:
        """Puts back the newest rows (oldest first) of `total` ever written. Call before load_state."""
        ...

    def replay_capacity(self) -> int:
        """How many of the newest rows a resume needs."""
        ...
