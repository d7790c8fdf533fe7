"""Episodes in the known world, as the agent acts in it: what is usual there.

The steps of training do not tell it. The networks were trained on them, and the policy that took them was an
earlier one, which explored. So before the agent meets a world that may change, it plays in the one that it knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from agent.errors import ConfigError
from agent.interface import DIVERGED_KEY, TrainingEnv
from agent.memory.columns import stack_parts
from agent.modules import Modules
from agent.world_model.observed_steps import ObservedSteps, observed_steps, remembered_steps

HOME_DECISIONS = 10_000
"""Decisions in the known world that calibrate the tests for a change: some fifty seconds, with plans."""
REMEMBERED = 20_000
"""Steps of training, at most, that tell the usual errors of states which these decisions do not reach."""
FEWEST_HOME_DECISIONS = 1_000
"""With fewer, the usual errors are not known well enough to be taken out."""
SHORT_DECISIONS = 100
"""Four episodes of five are broken off after so many: starts differ more than the middles of episodes do."""
LEAST_HALF = 0.3
"""Share of the steps that every other episode must have to serve as a half: the first one may have most of them."""
DEVIATIONS, ROUND = 2.0, 0.05
"""Standard deviations, and share of the mean, by which a return may be less and still be a usual one."""
FIRST_HOME_SEED = 500_000
"""Seed of the first episode; those of evaluations are others."""


@dataclass(frozen=True)
class HomeEpisodes:
    """Steps in the known world."""

    steps: ObservedSteps
    episode: np.ndarray
    """Number of each step's episode, [rows]."""
    returns: tuple[float, ...] = ()
    """Of the episodes that were to be whole."""
    remembered: ObservedSteps | None = None
    """Steps of training: they reached states that these episodes do not, such as a robot on its back."""
    remembered_weight: float = 1.0
    """How much one of these counts beside a step of the episodes, where usual errors are learned."""

    def at(self, rows: np.ndarray) -> HomeEpisodes:
        """These rows of the episodes alone: numbers, or a mask. What is remembered stays whole."""
        return replace(self, steps=self.steps.at(rows), episode=self.episode[rows])

    @property
    def usual_return(self) -> float:
        """What an episode returns at least, but for outliers; infinite where none was played to its end."""
        if not self.returns:
            return math.inf
        mean, deviation = float(np.mean(self.returns)), float(np.std(self.returns))
        return mean - max(DEVIATIONS * deviation, ROUND * abs(mean))

    @property
    def halves(self) -> np.ndarray:
        """Marks one half of the steps: every other episode, or the later steps where that is far from a half."""
        other = self.episode % 2 == 1
        share = other.mean()
        if min(share, 1.0 - share) >= LEAST_HALF:
            return other
        return np.arange(len(self.episode)) >= len(self.episode) // 2


def play_home_episodes(
    modules: Modules,
    env: TrainingEnv,
    decisions: int = HOME_DECISIONS,
    on_decision: Callable[[int], None] | None = None,
) -> HomeEpisodes:
    """Plays in the known world without learning.

    Args:
        modules: those of the agent.
        env: the environment, without changes.
        decisions: how many.
        on_decision: called after every decision with how many were made.

    Raises:
        ConfigError: where the physics diverged in every decision.
    """
    before, actions, costs, terminations, after, episodes = [], [], [], [], [], []
    obs, state, number = np.zeros(0), None, -1
    over, begun, total = True, 0, 0.0
    returns: list[float] = []
    for row in range(decisions):
        if over or (number % 5 and row - begun >= SHORT_DECISIONS):
            number, state, begun, total = number + 1, None, row, 0.0
            obs, _ = env.reset(seed=FIRST_HOME_SEED + number)
        action, state = modules.predict(obs, state, np.array([state is None]), True)
        seen = obs
        obs, reward, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        if on_decision is not None:
            on_decision(row + 1)
        if info.get(DIVERGED_KEY, False):  # what is observed then is not of this environment
            over = True
            continue
        total += reward
        if over and not number % 5:  # of the others only those are whole that end early
            returns.append(total)
        before.append(seen)
        actions.append(action)
        costs.append(-reward)
        terminations.append(terminated)
        after.append(obs)
        episodes.append(number)
    if not after:
        raise ConfigError(
            "adapt: the physics diverged in every decision at home, so that nothing tells what is usual"
        )
    acted = (np.stack(actions), np.array(costs), np.array(terminations))
    parts = (stack_parts(before), *acted, stack_parts(after))
    steps = observed_steps(modules, modules.networks.world_model, *parts)
    remembered = remembered_steps(modules, REMEMBERED)
    return HomeEpisodes(steps, np.array(episodes), tuple(returns), remembered)
