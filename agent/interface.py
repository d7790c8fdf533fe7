"""What an agent asks of its environment, and what a run asks of an agent, as small protocols.

The agent package never imports the environments: they are handed in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from agent.clock import Clock
from agent.configurator.settings import Config
from agent.forecast import Forecast

Arrays = dict[str, np.ndarray]
"""Flat names, parts separated by "/", to arrays."""
Columns = dict[str, tuple[tuple[int, ...], str]]
"""Name of a replay column -> (shape of one row, numpy dtype name)."""
Observation = np.ndarray | Mapping[str, np.ndarray]
"""One array where the observation has one part, else an array for each part; leading axes as needed."""


@runtime_checkable
class ObservationPart(Protocol):
    """A named part of an observation."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str:
        """NumPy's name of the dtype, such as float32 or uint8."""
        ...

    @property
    def angles(self) -> Sequence[int]:
        """Places of numbers that are angles without limits, in rad."""
        ...

    @property
    def stack(self) -> int:
        """Frames that lie one after the other on the first axis, oldest first; only the newest one is new."""
        ...


@runtime_checkable
class EnvSpec(Protocol):
    """Sizes and names of an environment that do not change during a run."""

    @property
    def env(self) -> str:
        """The id that the user gave."""
        ...

    @property
    def observation(self) -> Sequence[ObservationPart]:
        """The parts of an observation; a flat state is one part."""
        ...

    @property
    def observation_size(self) -> int:
        """Numbers in an observation of one flat part."""
        ...

    @property
    def action_size(self) -> int: ...
    @property
    def episode_limit(self) -> int | None:
        """Decisions until truncation; None where nothing limits an episode."""
        ...

    @property
    def action_repeat(self) -> int:
        """Simulator frames per decision."""
        ...

    @property
    def readout_sizes(self) -> dict[str, int]: ...
    @property
    def derived_readouts(self) -> dict[str, Any]:
        """Names for parts of the readouts; see `envs.readouts.derived`."""
        ...


@runtime_checkable
class TrainingEnv(Protocol):
    """A Gymnasium environment with flat float32 observations, actions in [-1, 1], and readouts."""

    @property
    def env_spec(self) -> EnvSpec: ...

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, dict[str, Any]]: ...

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]: ...

    def readouts(self) -> np.ndarray:
        """Named physical quantities now, [sum of readout_sizes]."""
        ...

    def snapshot(self) -> dict[str, Any]: ...

    def restore(self, snapshot: dict[str, Any]) -> bool:
        """Goes back to a snapshot; False when only an episode's start could be had."""
        ...

    def close(self) -> None: ...


DIVERGED_KEY = "joule/diverged"
"""The key of `info` by which an environment's wrappers say that the physics diverged in this step."""
DRAWN_KEY = "joule/drawn"
"""The key of `info` for the values that perturbations drew in this episode, by name; only where some are drawn."""
DIVERGED_DECISIONS = "learning/diverged_decisions"
"""The metric that counts the decisions of training from which nothing was learned, because the physics diverged."""

StepResult = tuple[Observation, float, bool, bool, dict[str, Any]]
"""Observation, reward, terminated, truncated, info."""


@runtime_checkable
class TrainingEnvs(Protocol):
    """Several environments of one kind, stepped side by side; see `agent.training_env.OneEnv` for one."""

    @property
    def env_spec(self) -> EnvSpec: ...
    @property
    def num_envs(self) -> int: ...

    def reset(self, seeds: Mapping[int, int | None]) -> Mapping[int, Observation]:
        """Begins an episode in each environment that `seeds` names; its first observation, by number."""
        ...

    def step(self, actions: np.ndarray) -> Sequence[StepResult]:
        """One decision in every environment, `actions` [envs, act]."""
        ...

    def readouts(self) -> np.ndarray:
        """[envs, readouts]"""
        ...

    def snapshot(self) -> dict[str, Any]: ...

    def restore(self, snapshot: dict[str, Any]) -> bool:
        """Goes back to a snapshot; False when only an episode's start could be had."""
        ...

    def close(self) -> None: ...


def moment_of(env: object) -> Any:
    """The moment at which an environment is, where it says so as `envs.safe_env.SafeEnv` does; None elsewhere."""
    moment = getattr(env, "moment", None)
    return moment if isinstance(moment, tuple) else None


@runtime_checkable
class ExperienceSource(Protocol):
    """Where experience comes from: an environment, several of them, or actors (`agent.chunks.Actors`)."""

    @property
    def env_spec(self) -> EnvSpec: ...

    def snapshot(self) -> dict[str, Any]: ...

    def restore(self, snapshot: dict[str, Any]) -> bool: ...

    def close(self) -> None: ...


class Policy(Protocol):
    """Acts. The method is that of stable-baselines3, so that its tools evaluate any agent."""

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """The action for an observation [obs] or a batch [batch, obs], and the state for the next decision."""
        ...


@dataclass(frozen=True)
class EndedEpisode:
    """An episode of training that has ended."""

    total_return: float
    """The sum of its rewards."""
    decisions: int
    """Its length."""
    drawn: Mapping[str, float] = field(default_factory=dict)
    """The values that perturbations drew in it, by name, such as `mass.torso`."""


class Trainable(Protocol):
    """Learns from interaction, and counts it."""

    @property
    def kind(self) -> str: ...
    @property
    def env_spec(self) -> EnvSpec: ...
    @property
    def config(self) -> Config: ...
    @property
    def env(self) -> ExperienceSource | None: ...
    @property
    def frames(self) -> int:
        """Simulator frames of training."""
        ...

    @property
    def decisions(self) -> int:
        """Actions taken in training."""
        ...

    @property
    def episodes(self) -> int:
        """Episodes of training that have ended."""
        ...

    @property
    def ended_episodes(self) -> Sequence[EndedEpisode]:
        """Those of them that ended with the newest decision."""
        ...

    @property
    def metrics(self) -> dict[str, float]:
        """The newest value of everything measured, by name, such as `episode/return`, `surprise`."""
        ...

    @property
    def clock(self) -> Clock:
        """How long `learn` has taken, without what a trainer evaluates in between."""
        ...

    stop_requested: bool
    """Set to make `learn` return after the decision in hand; updates that are due may wait for the next call."""

    def learn(
        self,
        steps: int,
        env: Any = None,
        on_step: Callable[[Any], bool] | None = None,
    ) -> Any: ...

    def begin_episode(self) -> None:
        """Forgets the open episode: the next decision resets the environment, with `seeds.reset_seed`."""
        ...


class ReplayRows(Protocol):
    """The final rows of a replay buffer, which the replay log of a run keeps."""

    def columns(self) -> Columns: ...

    @property
    def total(self) -> int:
        """Rows ever written whose content is final."""
        ...

    @property
    def first(self) -> int:
        """Number of the oldest final row that is still held."""
        ...

    @property
    def capacity(self) -> int:
        """How many of the newest rows a resume needs."""
        ...

    def since(self, first: int) -> Arrays:
        """Columns of the final rows from number `first` on, oldest first."""
        ...

    def restore(self, rows: Arrays, total: int) -> None:
        """Puts back the newest rows (oldest first) of `total` ever written. Call before load_state_dict."""
        ...


class Checkpointable(Protocol):
    """Has a state from which a resume is exact."""

    @property
    def replay(self) -> Sequence[ReplayRows]:
        """What the replay logs keep, one for each stream of the replay buffer; empty without one."""
        ...

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """Everything but the replay rows that a resume needs, as arrays and JSON values."""
        ...

    def check_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Raises SchemaError where these are no state of this agent; they may come from another person."""
        ...

    def load_state_dict(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None: ...


@runtime_checkable
class Agent(Policy, Trainable, Checkpointable, Protocol):
    """What a run folder holds and a trainer trains."""

    def save(self, path: str | Path) -> None:
        """Writes a run folder at `path`, which `joule.load` opens and `--resume` goes on with."""
        ...


@runtime_checkable
class Forecasting(Protocol):
    """Predicts what its decisions lead to."""

    def forecast(self, state: Any) -> Forecast | None:
        """The return and the next cost that a decision predicts; None where it predicts none."""
        ...


@runtime_checkable
class Explainable(Forecasting, Protocol):
    """Has energies behind its decisions, and a world model to imagine with."""

    def explain(self, state: Any) -> dict[str, np.ndarray]:
        """Energy terms [batch] behind a decision; empty where it was not planned."""
        ...

    def imagine(self, obs: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Readouts [steps + 1, readouts] predicted from `obs` [obs] under `actions` [steps, act]."""
        ...


@runtime_checkable
class Legible(Protocol):
    """Reads the quantities of its environment off its latents."""

    def legibility(self, obs: Observation, readouts: np.ndarray) -> dict[str, float]:
        """R² of every readout, by name, on steps with observations [steps, obs] and true readouts; NaN for one
        that does not vary in them.
        """
        ...


EnvFactory = Callable[[Config], ExperienceSource]
"""Makes the environment that a configuration names, as many as it asks for, or actors."""


@dataclass(frozen=True)
class Services:
    """What an agent is given of its surroundings, so that it imports neither environments nor run folders."""

    make_env: EnvFactory
    wrap_env: Callable[[Config, Any, Any], TrainingEnv]
    """Wraps an environment of the user's, such as one of `gymnasium.make`, as the agent's own are made.

    (settings, environment, the agent's environment of before) -> the wrapped one. Raises Refused for an object
    that is no environment.
    """
    save_run: Callable[[Agent, str | Path], None]
