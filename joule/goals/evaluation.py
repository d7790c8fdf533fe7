"""How often an agent reaches goals: by plans and by policies, beside random actions and true physics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from joule.goals.acting import reaching
from joule.goals.attempts import Act, Towards, attempt, summary, timed
from joule.goals.nearness import Nearness
from joule.goals.pairs import GoalPair, GoalPairs, make_pairs
from joule.goals.request import GoalRequest

if TYPE_CHECKING:
    from agent.interface import Agent

DEFAULT_DECISIONS = 200
"""Decisions of an attempt, where an episode has no limit."""


class GoalEvaluation:
    """Evaluates an agent on pairs of starts and goals.

    Args:
        agent: the agent; it acts as before when an evaluation has ended.
        env: the environment; whoever made it closes it.
        request: what is asked.
        scratch: another one of the same, where the oracle reads predicted states; None without an oracle.

    Raises:
        ConfigError: for an environment that does not say when a goal is reached, where nobody does, and for pairs
            that cannot be made.
    """

    def __init__(self, agent: Agent, env: Any, request: GoalRequest, scratch: Any | None = None) -> None:
        self.env, self.request, self._scratch = env, request, scratch
        self._reaching = reaching(agent, request)
        within = self.env.goal_within if request.within is None else request.within
        self.nearness = Nearness(self.env.env_spec, within)
        limit = self.env.env_spec.episode_limit or DEFAULT_DECISIONS
        self.decisions = limit if request.decisions is None else min(request.decisions, limit)
        self.found: GoalPairs = make_pairs(
            self.env, self.nearness, request.pairs, request.seed, self.decisions
        )
        if scratch is not None:
            self._oracle(
                self.found.pairs[0]
            )  # physics that cannot be planned in is refused before any attempt

    @property
    def kinds(self) -> dict[str, Towards]:
        """What acts, by name."""
        kinds = self._reaching.kinds | {"random": self._random}
        if self._scratch is not None:
            kinds["oracle"] = self._oracle
        return kinds

    @property
    def subject(self) -> dict[str, Any]:
        """What is evaluated, as JSON values."""
        return {
            "pairs": len(self.found.pairs),
            "first_seed": self.request.seed,
            "solved_at_start": self.found.solved,
            "source": self.found.source,
            "within": dict(self.nearness.within),
            "decisions": self.decisions,
            "energy": self._reaching.energy,
            "sub_goal_decisions": self._reaching.sub_goal_decisions,
        }

    def run(
        self,
        on_progress: Callable[[int, int], None],
        on_result: Callable[[str, dict[str, Any]], None],
    ) -> dict[str, Any]:
        """Plays every pair with everything that acts.

        Args:
            on_progress: told how many of all attempts have ended.
            on_result: told of the name of what acted, and of the summary of its attempts, when they have ended.

        Returns:
            The summaries by name.
        """
        with self._reaching.unchanged():
            return self._results(on_progress, on_result)

    def _results(
        self,
        on_progress: Callable[[int, int], None],
        on_result: Callable[[str, dict[str, Any]], None],
    ) -> dict[str, Any]:
        results: dict[str, Any] = {}
        kinds, pairs, done = self.kinds, self.found.pairs, 0
        for name, towards in kinds.items():
            taken: list[float] = []
            attempts = []
            for pair in pairs:
                act = partial(self._timed, towards, taken)
                attempts.append(attempt(self.env, pair, self.nearness, act, self.decisions))
                done += 1
                on_progress(done, len(pairs) * len(kinds))
            results[name] = summary(attempts, taken)
            on_result(name, results[name])
        return results

    @staticmethod
    def _timed(towards: Towards, taken: list[float], pair: GoalPair) -> Act:
        return timed(towards(pair), taken)

    def _random(self, pair: GoalPair) -> Act:
        rng, size = np.random.default_rng(pair.seed), self.env.env_spec.action_size
        return lambda observation: rng.uniform(-1.0, 1.0, size).astype(np.float32)

    def _oracle(self, pair: GoalPair) -> Act:
        import torch

        from agent.cost.readouts import NamedReadouts
        from agent.cost.task import Task
        from joule.physics_oracle import oracle_for

        there = {name: torch.from_numpy(value) for name, value in self.nearness.values(pair.readouts).items()}

        def distance(named: NamedReadouts) -> torch.Tensor:
            return torch.stack(
                [
                    (named[name].reshape(named.rows, -1) - value).norm(dim=-1) / self.nearness.within[name]
                    for name, value in there.items()
                ]
            ).sum(0)

        scratch = self._scratch
        assert scratch is not None, "given where an oracle is asked for"
        scratch.reset(seed=pair.seed)
        generator = torch.Generator().manual_seed(pair.seed)
        _, decide = oracle_for(self.env, scratch, Task("distance from the goal", distance), generator)
        plan: Any = None

        def act(observation: Any) -> np.ndarray:
            nonlocal plan
            action, plan = decide(observation, plan, np.array([plan is None]))
            return action[0]

        return act
