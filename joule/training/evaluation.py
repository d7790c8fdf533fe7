"""Evaluation: episodes on held-out seeds, without learning and without exploration.

All episodes are played side by side, so that the agent decides for a whole batch at once. An evaluation changes
nothing, neither in the agent nor in the random generators of the process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from agent import random_state
from agent.actor.actor import ActingState
from agent.configurator.settings import Config
from agent.interface import DIVERGED_KEY, Forecasting, Observation, Policy, TrainingEnv
from agent.memory.columns import stack_parts
from agent.seeds import FIRST_SEED
from joule.callbacks.episodes import EpisodeCallback, NoEpisodeCallback
from joule.environment import make_env
from joule.training.forecast_log import (
    MAX_PER_EVALUATION,
    ForecastLog,
    ForecastRecorder,
    joined,
    max_entries,
)
from joule.training.success import succeeded, success_rate
from joule_errors import Refused

PARALLEL_EPISODES = 32
"""Episodes played side by side at most: each holds an environment in memory."""
MOST_READ = 2_000
"""Steps of an evaluation at most whose readouts are kept."""
ALMOST_ALL = 0.999
"""The largest share that is told before an evaluation has ended."""


class EvaluationError(Refused):
    """An evaluation that cannot be made; the message is one sentence."""


class ReadSteps(NamedTuple):
    """Steps spread over the episodes: what was observed, and the true readouts of the same moment."""

    observations: Any
    """[steps, obs], or such parts"""
    readouts: np.ndarray
    """[steps, readouts]"""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The results of the episodes, in the order of their seeds."""

    returns: np.ndarray
    """[episodes], the sum of rewards, float64"""
    lengths: np.ndarray
    """[episodes], decisions"""
    frames: np.ndarray
    """[episodes], simulator frames"""
    diverged: int
    """Episodes that ended because the physics diverged."""
    surprise: float | None
    """Mean over all decisions that had one; None for an agent without a world model."""
    forecast_log: ForecastLog | None
    """Predicted and observed values of some decisions; None for an agent that predicts nothing."""
    successes: np.ndarray
    """[episodes], 1 or 0 as the environment says in `info`; NaN where it says nothing"""
    read_steps: ReadSteps | None = None
    """What readouts are compared on; None where none were asked for."""

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def std(self) -> float:
        """Standard deviation of the return over episodes."""
        return float(self.returns.std())

    @property
    def success_rate(self) -> float | None:
        """Share of the episodes that succeeded; None where the environment does not say."""
        return success_rate(self.successes)


class Evaluator:
    """Plays episodes with seeds `first_seed`, `first_seed` + 1, ...; keeps its environments.

    An agent that is `Forecasting` is asked for its forecasts. When episodes end before others, their rows leave
    the batch: an `ActingState` is reduced to the rows that stay, any other state is passed back as it is.

    Args:
        make_env: makes one environment.
        episodes: number of episodes.
        first_seed: seed of the first.
        entries: decisions in the forecast log at most.
        parallel: episodes side by side at most; 1 for an agent that learns from its episodes.
        callback: told how far an evaluation is.
        read: whether the true readouts of some steps are kept.

    Raises:
        EvaluationError: when an episode of the environment has no limit, or none is asked for.
    """

    def __init__(
        self,
        make_env: Callable[[], TrainingEnv],
        episodes: int,
        first_seed: int = FIRST_SEED,
        entries: int = MAX_PER_EVALUATION,
        parallel: int = PARALLEL_EPISODES,
        callback: EpisodeCallback | None = None,
        read: bool = False,
    ) -> None:
        if episodes < 1:
            raise EvaluationError(f"episodes: {episodes} is too few, an evaluation needs at least 1")
        self.make_env, self.episodes, self.first_seed = make_env, episodes, first_seed
        self.entries, self.parallel, self.read = entries, parallel, read
        self.callback: EpisodeCallback = callback or NoEpisodeCallback()
        self._envs: list[TrainingEnv] = []
        with random_state.preserved():
            self._add_env()

    def _add_env(self) -> None:
        env = self.make_env()
        self._envs.append(env)
        if env.env_spec.episode_limit is None:
            self.close()
            raise EvaluationError(
                f"{env.env_spec.env}: an evaluation needs an episode limit; give --max-episode-frames: "
                "the frames after which the environment ends an episode itself, else such as 1000"
            )

    def __call__(self, agent: Policy) -> Evaluation:
        """Plays all episodes with the agent as it is."""
        with random_state.preserved():
            while len(self._envs) < min(self.episodes, self.parallel):
                self._add_env()
            parts = []
            for k in range(0, self.episodes, self.parallel):
                envs = self._envs[: min(self.parallel, self.episodes - k)]
                share = max(1, self.entries * len(envs) // self.episodes)
                told = _ToldInGroup(self.callback, k / self.episodes, len(envs) / self.episodes)
                steps = MOST_READ * len(envs) // self.episodes if self.read else 0
                parts.append(_play(agent, envs, self.first_seed + k, share, told, steps))
            self.callback.progress(1.0)
        surprises = np.concatenate([part.surprises for part in parts])
        known = surprises[~np.isnan(surprises)]
        log = joined([part.forecast_log for part in parts])
        return Evaluation(
            returns=np.concatenate([part.returns for part in parts]),
            lengths=np.concatenate([part.lengths for part in parts]),
            frames=np.concatenate([part.frames for part in parts]),
            diverged=sum(part.diverged for part in parts),
            surprise=float(known.mean()) if known.size else None,
            forecast_log=log if log.decisions.size else None,
            successes=np.concatenate([part.successes for part in parts]),
            read_steps=_read_steps([step for part in parts for step in part.read_steps]),
        )

    def close(self) -> None:
        """Closes the environments; the next call makes new ones."""
        while self._envs:
            self._envs.pop().close()


def evaluator_of(config: Config) -> Evaluator:
    """The evaluator of a run with these settings. Raises EvaluationError as `Evaluator` does."""
    entries = max_entries(config.steps, config.eval_every_frames)
    read = config.agent == "joule"
    return Evaluator(lambda: make_env(config), config.eval_episodes, entries=entries, read=read)


def evaluate(
    agent: Policy,
    make_env: Callable[[], TrainingEnv],
    episodes: int,
    first_seed: int = FIRST_SEED,
    parallel: int = PARALLEL_EPISODES,
    callback: EpisodeCallback | None = None,
    read: bool = False,
) -> Evaluation:
    """One evaluation with environments of its own. Raises EvaluationError as `Evaluator` does."""
    evaluator = Evaluator(make_env, episodes, first_seed, parallel=parallel, callback=callback, read=read)
    try:
        return evaluator(agent)
    finally:
        evaluator.close()


@runtime_checkable
class HasRows(Protocol):
    """The state of a policy that has something for each episode."""

    def rows(self, keep: np.ndarray) -> Any:
        """That of the episodes which go on."""


class _Played(NamedTuple):
    """Results of episodes that were played side by side, as in `Evaluation`."""

    returns: np.ndarray
    lengths: np.ndarray
    frames: np.ndarray
    diverged: int
    surprises: np.ndarray
    """[decisions], NaN where there was none"""
    forecast_log: ForecastLog
    successes: np.ndarray
    read_steps: list[tuple[Observation, np.ndarray]]
    """Observations [obs] with readouts [readouts]."""


def _read_steps(steps: list[tuple[Observation, np.ndarray]]) -> ReadSteps | None:
    if not steps:
        return None
    return ReadSteps(stack_parts([obs for obs, _ in steps]), np.stack([readouts for _, readouts in steps]))


class _ToldInGroup:
    """Tells a callback of the episodes that are played side by side.

    Args:
        callback: is told.
        before: share of all episodes that was played before.
        share: of all episodes that these are.
    """

    def __init__(self, callback: EpisodeCallback, before: float, share: float) -> None:
        self.callback, self.before, self.share = callback, before, share

    def progress(self, decision: int, limit: int, still_open: float) -> None:
        """After so many of `limit` decisions this share of the episodes is still open."""
        done = 1.0 - still_open * (1.0 - decision / limit)
        self.callback.progress(min(self.before + self.share * done, ALMOST_ALL))

    def episode(self, seed: int, total_return: float, decisions: int) -> None:
        """See `EpisodeCallback`."""
        self.callback.episode(seed, total_return, decisions)


def _play(
    agent: Policy, envs: list[TrainingEnv], first_seed: int, entries: int, told: _ToldInGroup, read: int
) -> _Played:
    """One episode in each environment.

    At most `entries` decisions are in the forecast log. The readouts of at most `read` steps are kept, and of one
    step of each episode at least.
    """
    count = len(envs)
    returns, lengths, frames = np.zeros(count), np.zeros(count, np.int64), np.zeros(count, np.int64)
    successes = np.full(count, np.nan)
    diverged, surprises = 0, []
    obs: Any = stack_parts([env.reset(seed=first_seed + k)[0] for k, env in enumerate(envs)])
    open_episodes = np.arange(count)
    starts = np.ones(count, bool)
    state: Any = None
    limit = envs[0].env_spec.episode_limit
    assert limit is not None
    recorder = ForecastRecorder(first_seed, count, limit, entries)
    forecasting = agent if isinstance(agent, Forecasting) else None
    decision = 0
    read_every = -(-limit * count // max(read, 1))
    read_steps: list[tuple[Observation, np.ndarray]] = []
    while open_episodes.size:
        actions, state = agent.predict(obs, state, starts, deterministic=True)
        if forecasting is not None and recorder.due(decision):
            forecast = forecasting.forecast(state)
            if forecast is not None:
                recorder.record_forecast(decision, open_episodes, forecast)
        decision += 1
        if isinstance(state, ActingState):
            surprises.append(np.asarray(state.surprise, np.float64))
        keep = np.ones(open_episodes.size, bool)
        rows = []
        for row, episode in enumerate(open_episodes):
            observed, reward, terminated, truncated, info = envs[episode].step(actions[row])
            returns[episode] += reward
            lengths[episode] += 1
            frames[episode] += info["frames"]
            recorder.record_outcome(int(episode), float(reward), terminated)
            has_diverged = bool(info.get(DIVERGED_KEY, False))
            diverged += has_diverged
            keep[row] = not (terminated or truncated)
            is_due = decision % read_every == 0 or (decision < read_every and not keep[row])
            if read and is_due and not has_diverged:
                read_steps.append((observed, envs[episode].readouts()))
            if not keep[row]:
                success = None if has_diverged else succeeded(info)
                successes[episode] = np.nan if success is None else success
                told.episode(first_seed + int(episode), float(returns[episode]), int(lengths[episode]))
            rows.append(observed)
        told.progress(decision, limit, float(keep.sum()) / count)
        open_episodes = open_episodes[keep]
        if open_episodes.size:
            obs = stack_parts([row for row, kept in zip(rows, keep, strict=True) if kept])
        starts = np.zeros(open_episodes.size, bool)
        if open_episodes.size and not keep.all() and isinstance(state, HasRows):
            state = state.rows(keep)
    all_surprises = np.concatenate([*surprises, np.zeros(0)])
    return _Played(
        returns, lengths, frames, diverged, all_surprises, recorder.finish(), successes, read_steps
    )
