"""An episode, decision by decision, and the outcome of one of its decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.interface import Policy
from envs.safe_env import SafeEnv

CostOf = Callable[[Any], float] | None
"""The cost of an observation, where a plan minimises another one than minus the reward."""
NEGLIGIBLE = 0.01
"""Costs are summed until the discounted future that is left is this share of the whole."""


class Episode:
    """An agent in an environment, without exploration.

    Args:
        policy: the agent.
        env: the environment; it is reset.
        seed: of the episode.
    """

    def __init__(self, policy: Policy, env: SafeEnv, seed: int) -> None:
        self.policy, self.env, self.seed = policy, env, seed
        self.obs, _ = env.reset(seed=seed)
        self.state: Any = None
        """What the last decision returned; None before the first."""
        self.decisions = 0
        self.ended = self.terminated = False
        self.cost_of: CostOf = None
        """Costs observations from now on in place of minus the reward."""

    def decide(self) -> np.ndarray:
        """The next action [act]."""
        start = np.array([self.state is None])
        action, self.state = self.policy.predict(self.obs, self.state, start, deterministic=True)
        return action

    def act(self, action: np.ndarray) -> float:
        """Takes one step with `action` [act]. Returns its cost."""
        self.obs, reward, self.terminated, truncated, _ = self.env.step(action)
        self.decisions += 1
        self.ended = self.terminated or truncated
        return _cost(self.obs, reward, self.cost_of)


@dataclass(frozen=True)
class Outcome:
    """What was observed after a decision, while the agent made a new plan at every further decision."""

    costs: list[float]
    readouts: list[np.ndarray]
    """[readouts] before the decision and after each step, as far as the imagined futures reach."""
    hidden: float
    """Share of the discounted future that was not observed any more."""

    def total_return(self, discount: float) -> float:
        """The discounted return."""
        return -sum(discount**k * cost for k, cost in enumerate(self.costs))


def outcome_of(episode: Episode, action: np.ndarray, discount: float, ahead: int) -> Outcome:
    """Continues an episode until the future that is left is negligible, or the episode ends.

    Args:
        episode: before the decision.
        action: [act], what was decided.
        discount: per decision.
        ahead: decisions of which the readouts are kept.
    """
    costs, readouts = [], [episode.env.readouts()]
    while True:
        costs.append(episode.act(action))
        if len(costs) <= ahead:
            readouts.append(episode.env.readouts())
        hidden = 0.0 if episode.terminated else discount ** len(costs)
        if episode.ended or hidden < NEGLIGIBLE:
            return Outcome(costs, readouts, hidden)
        action = episode.decide()


def executed_costs(
    env: SafeEnv, snapshot: dict[str, Any], plans: Sequence[np.ndarray], cost_of: CostOf = None
) -> list[list[float] | None]:
    """The costs of plans, each executed from a snapshot, without planning again.

    Args:
        env: the environment.
        snapshot: its state before the plans.
        plans: [horizon, act] each.
        cost_of: costs observations in place of minus the reward.

    Returns:
        For each plan one cost per step, fewer where the episode ends. None from the first plan on for which the
        state could not be restored exactly: an environment that once could not says so, and is not asked again.
    """
    found: list[list[float] | None] = []
    for actions in plans:
        if None in found or not env.restore(snapshot):
            found.append(None)
            continue
        costs: list[float] = []
        for action in actions:
            obs, reward, terminated, truncated, _ = env.step(action)
            costs.append(_cost(obs, reward, cost_of))
            if terminated or truncated:
                break
        found.append(costs)
    return found


def _cost(obs: Any, reward: float, cost_of: CostOf) -> float:
    return -float(reward) if cost_of is None else cost_of(obs)
