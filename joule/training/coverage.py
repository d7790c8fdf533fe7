"""How much of an environment exploration reaches: occupied cells, against random actions for as many decisions.

The readouts of both are put on one grid for each pair of numbers. A pair has CELLS x CELLS cells, which cover RANGE
standard deviations of the random actions' readouts on either side of their mean; values beyond count in the
outermost cells. Coverage is the mean over the pairs of the cells that are occupied. It assumes only that readouts
that differ by much are different states.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from agent.agent import WorldModelAgent
from agent.interface import Policy
from agent.learning.undirected import smooth_action, uniform_action
from joule.training.evaluation import Evaluation, Evaluator

CELLS, RANGE = 20, 10.0
MOST_NUMBERS = 24
"""Numbers of the readouts that are paired at most: the first ones, which are positions in Joule's order."""


def coverage(readouts: np.ndarray, reference: np.ndarray) -> float:
    """The mean number of occupied cells over all pairs of numbers.

    Args:
        readouts: [steps, readouts]
        reference: [steps, readouts] of random actions, whose mean and standard deviation place the grid.
    """
    mean, std = reference.mean(0, dtype=np.float64), reference.std(0, dtype=np.float64)
    varying = np.flatnonzero(std > 1e-6 * (1.0 + np.abs(mean)))[:MOST_NUMBERS]
    scaled = (readouts[:, varying] - mean[varying]) / std[varying]
    cells = np.clip((scaled / RANGE + 1.0) * (CELLS / 2), 0, CELLS - 1).astype(np.int64)
    if len(varying) == 1:
        return float(len(np.unique(cells)))
    counts = [
        len(np.unique(cells[:, a] * CELLS + cells[:, b])) for a, b in combinations(range(len(varying)), 2)
    ]
    return float(np.mean(counts)) if counts else 0.0


@dataclass(frozen=True)
class EpisodeNumbers:
    """Which episodes are played side by side, as the state of a policy."""

    numbers: np.ndarray

    def rows(self, keep: np.ndarray) -> EpisodeNumbers:
        """The episodes [count] that go on."""
        return EpisodeNumbers(self.numbers[keep])


class _Numbering:
    """Numbers the episodes of an evaluation in the order in which they begin, and counts their decisions."""

    def __init__(self) -> None:
        self.begun, self.decision = 0, 0

    def next(self, state: EpisodeNumbers | None, starts: np.ndarray) -> EpisodeNumbers:
        """The episodes of the next decision; `starts` [episodes] marks those that begin: all or none."""
        if state is not None and not starts.all():
            self.decision += 1
            return state
        first, self.decision = self.begun, 0
        self.begun += len(starts)
        return EpisodeNumbers(np.arange(first, self.begun))


class Exploring:
    """Acts as training does: it samples, seeks disagreement, or takes random actions; see `explore.kind`."""

    def __init__(self, agent: WorldModelAgent) -> None:
        self.modules, self.numbering = agent.modules, _Numbering()

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """See `Policy`; it explores whatever `deterministic` says."""
        modules = self.modules
        if modules.config.explore.kind == "disagreement":
            return modules.predict(observation, state, episode_start, False)
        assert episode_start is not None, "an evaluation says where episodes start"
        state = self.numbering.next(state, episode_start)
        return self._undirected(state.numbers), state

    def _undirected(self, episodes: np.ndarray) -> np.ndarray:
        modules = self.modules
        key = modules.config.seed + 1  # not the episodes of training
        act, decision = modules.env_spec.action_size, self.numbering.decision
        if modules.config.explore.kind == "smooth":
            return np.stack([smooth_action((key, int(number)), decision, act) for number in episodes])
        return _uniform(key, episodes, decision, act)


class RandomActions:
    """Uniformly random actions of one evaluation, the same in every evaluation."""

    def __init__(self, act: int) -> None:
        self.act, self.numbering = act, _Numbering()

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """See `Policy`."""
        assert episode_start is not None, "an evaluation says where episodes start"
        state = self.numbering.next(state, episode_start)
        return _uniform(0, state.numbers, self.numbering.decision, self.act), state


def _uniform(seed: int, episodes: np.ndarray, decision: int, act: int) -> np.ndarray:
    """Actions [episodes, act] of one decision, which depend on no other episode."""
    rows = [uniform_action(act, np.random.default_rng((seed, int(number), decision))) for number in episodes]
    return np.stack(rows)


@dataclass(frozen=True)
class Exploration:
    """What an evaluation of an agent without rewards measures."""

    coverage: float
    """Of the held-out episodes, played as training explores."""
    coverage_random: float
    """The same of random actions, in as many episodes."""
    prediction_error: float | None
    """Error of the predicted latents in these episodes, over that of training; None where nothing was predicted."""

    def scores(self) -> dict[str, float]:
        """The measurements by name."""
        found = {"coverage": self.coverage, "coverage_random": self.coverage_random}
        return found if self.prediction_error is None else found | {"prediction_error": self.prediction_error}


def explored(evaluator: Evaluator, agent: WorldModelAgent, watched: Policy) -> Exploration:
    """Plays the held-out episodes as training explores, and again with random actions.

    Args:
        evaluator: plays them, and keeps readouts.
        agent: the agent.
        watched: `Exploring(agent)`, or that behind a check for signals.
    """
    played: Evaluation = evaluator(watched)
    random: Evaluation = evaluator(RandomActions(agent.env_spec.action_size))
    assert evaluator.read, "coverage is that of readouts"
    if played.read_steps is None or random.read_steps is None:  # physics diverged in every first step
        return Exploration(0.0, 0.0, played.surprise)
    reference = random.read_steps.readouts
    return Exploration(
        coverage(played.read_steps.readouts, reference), coverage(reference, reference), played.surprise
    )
