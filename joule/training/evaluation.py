"""How well an agent does: episodes on held-out seeds, without learning and without exploration.

All episodes are played side by side, so that the agent decides for a whole batch at once. Evaluation
leaves no trace: neither in the agent, nor in the random generators of the process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from agent import random_state as generators
from agent.actor.actor import ActingState
from agent.interface import Explainable, TrainingEnv
from agent.seeds import FIRST_SEED
from joule.training.forecast_log import MOST_OF_AN_EVALUATION, ForecastLog, ForecastRecorder, joined
from joule_errors import Refused

PARALLEL_EPISODES = 32
"""Episodes played side by side at most: each holds an environment in memory."""


class Predictor(Protocol):
    """The one verb of an agent that an evaluation needs.

    When episodes end before others, their rows leave the batch: a state with a method `rows(keep)` is asked
    for the rows that stay; any other state is passed back as it is. An agent with a method `forecast(state)`
    is asked what its decisions expect.
    """

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]: ...


class EvaluationError(Refused):
    """An evaluation that cannot be made; the message is one sentence."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What the episodes gave, in the order of their seeds."""

    returns: np.ndarray
    """[episodes], the sum of rewards, float64"""
    lengths: np.ndarray
    """[episodes], decisions"""
    frames: np.ndarray
    """[episodes], simulator frames"""
    diverged: int
    """Episodes that ended because the physics diverged"""
    surprise: float | None
    """Mean over all decisions that had one; None for an agent without a world model"""
    forecast_log: ForecastLog | None
    """What was foretold and what came, of some decisions; None for an agent that foretells nothing"""

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def std(self) -> float:
        """Standard deviation of the return over episodes."""
        return float(self.returns.std())


class Evaluator:
    """Plays `episodes` episodes with seeds `first_seed`, `first_seed` + 1, ...; keeps its environments.

    The ledger of an evaluation has at most `entries` entries. At most `lanes` episodes are played side by
    side: an agent that learns from its episodes plays them one after the other. Raises EvaluationError when
    an episode of the environment has no limit, or none is asked for.
    """

    def __init__(
        self,
        make_env: Callable[[], TrainingEnv],
        episodes: int,
        first_seed: int = FIRST_SEED,
        entries: int = MOST_OF_AN_EVALUATION,
        lanes: int = PARALLEL_EPISODES,
    ) -> None:
        if episodes < 1:
            raise EvaluationError(f"episodes: {episodes} is too few, an evaluation needs at least 1")
        self.make_env, self.episodes, self.first_seed = make_env, episodes, first_seed
        self.entries, self.lanes = entries, lanes
        self._envs: list[TrainingEnv] = []
        with generators.preserved():
            self._add_env()

    def _add_env(self) -> None:
        env = self.make_env()
        self._envs.append(env)
        if env.env_spec.episode_limit is None:
            self.close()
            raise EvaluationError(
                f"{env.env_spec.env}: an evaluation needs an episode limit, give max_episode_steps"
            )

    def __call__(self, agent: Predictor) -> Evaluation:
        """Plays all episodes with the agent as it is."""
        with generators.preserved():
            while len(self._envs) < min(self.episodes, self.lanes):
                self._add_env()
            parts = []
            for k in range(0, self.episodes, self.lanes):
                envs = self._envs[: min(self.lanes, self.episodes - k)]
                share = max(1, self.entries * len(envs) // self.episodes)
                parts.append(_play(agent, envs, self.first_seed + k, share))
        surprises = np.concatenate([part.surprises for part in parts])
        seen = surprises[~np.isnan(surprises)]
        forecast_log = joined([part.forecast_log for part in parts])
        return Evaluation(
            returns=np.concatenate([part.returns for part in parts]),
            lengths=np.concatenate([part.lengths for part in parts]),
            frames=np.concatenate([part.frames for part in parts]),
            diverged=sum(part.diverged for part in parts),
            surprise=float(seen.mean()) if seen.size else None,
            forecast_log=forecast_log if forecast_log.decisions.size else None,
        )

    def close(self) -> None:
        """Closes the environments; the next call makes new ones."""
        while self._envs:
            self._envs.pop().close()


def evaluate(
    agent: Predictor,
    make_env: Callable[[], TrainingEnv],
    episodes: int,
    first_seed: int = FIRST_SEED,
    lanes: int = PARALLEL_EPISODES,
) -> Evaluation:
    """One evaluation with environments of its own. Raises EvaluationError as `Evaluator` does."""
    evaluator = Evaluator(make_env, episodes, first_seed, lanes=lanes)
    try:
        return evaluator(agent)
    finally:
        evaluator.close()


class _Played(NamedTuple):
    """What episodes that were played side by side gave, as in `Evaluation`."""

    returns: np.ndarray
    lengths: np.ndarray
    frames: np.ndarray
    diverged: int
    surprises: np.ndarray
    """[decisions], NaN where there was none"""
    forecast_log: ForecastLog


def _play(agent: Predictor, envs: list[TrainingEnv], first_seed: int, entries: int) -> _Played:
    """One episode in each environment, `entries` of its decisions at most in the ledger."""
    count = len(envs)
    returns, lengths, frames = np.zeros(count), np.zeros(count, np.int64), np.zeros(count, np.int64)
    diverged, surprises = 0, []
    obs = np.stack([env.reset(seed=first_seed + k)[0] for k, env in enumerate(envs)])
    lanes = np.arange(count)
    starts = np.ones(count, bool)
    state: Any = None
    limit = envs[0].env_spec.episode_limit
    assert limit is not None
    forecasts, forecast = (
        ForecastRecorder(first_seed, count, limit, entries),
        getattr(agent, "forecast", None),
    )
    decision = 0
    while lanes.size:
        actions, state = agent.predict(obs, state, starts, deterministic=True)
        if forecast is not None and forecasts.due(decision) and (predicted := forecast(state)) is not None:
            forecasts.record_forecast(decision, lanes, predicted)
        decision += 1
        if isinstance(state, ActingState):
            surprises.append(np.asarray(state.surprise, np.float64))
        keep = np.ones(lanes.size, bool)
        rows = []
        for row, lane in enumerate(lanes):
            seen, reward, terminated, truncated, info = envs[lane].step(actions[row])
            returns[lane] += reward
            lengths[lane] += 1
            frames[lane] += info["frames"]
            forecasts.record_outcome(int(lane), float(reward), terminated)
            diverged += bool(info.get("diverged", False))
            keep[row] = not (terminated or truncated)
            rows.append(seen)
        obs, lanes = np.stack(rows)[keep], lanes[keep]
        starts = np.zeros(lanes.size, bool)
        if lanes.size and not keep.all() and isinstance(state, ActingState):
            state = state.rows(keep)
    seen_surprises = np.concatenate([*surprises, np.zeros(0)])
    return _Played(returns, lengths, frames, diverged, seen_surprises, forecasts.settle())
