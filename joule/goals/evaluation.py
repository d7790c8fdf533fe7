"""How often an agent reaches goals: by plans and by policies, beside random actions and true physics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.errors import ConfigError
from joule.datasets.swm_recording import Recording
from joule.goals.acting import reaching
from joule.goals.attempts import Act, Towards, attempt, summary, timed
from joule.goals.nearness import Nearness
from joule.goals.own_goals import recorded_pairs, sampled_pairs
from joule.goals.pairs import GoalPair, GoalPairs, make_pairs, unsolved
from joule.goals.request import DEFAULT_OFFSET, GoalRequest

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
            that cannot be made, and for attempts that are longer than an episode.
    """

    def __init__(self, agent: Agent, env: Any, request: GoalRequest, scratch: Any | None = None) -> None:
        self.env, self.request, self._scratch = env, request, scratch
        self.decisions = self._decisions_of_an_attempt()
        self.nearness: Nearness | None = None
        """When a goal is reached; None where the environment says so, by terminating the episode."""
        self.found = self._pairs()
        self._reaching = reaching(agent, request, self.nearness.within if self.nearness else None)
        if scratch is not None:
            self._oracle(
                self.found.pairs[0]
            )  # physics that cannot be planned in is refused before any attempt

    def _decisions_of_an_attempt(self) -> int:
        spec, request = self.env.env_spec, self.request
        asked = request.decisions
        if asked is None and request.recording is not None:
            asked = -(-2 * (request.offset or DEFAULT_OFFSET) // spec.action_repeat)
        limit = spec.episode_limit
        if asked is not None and limit is not None and asked > limit:
            option = "goal-decisions" if request.decisions is not None else "goal-offset"
            raise ConfigError(
                f"--{option}: an attempt of {asked:,} decisions is longer than an episode of {spec.env}, which has "
                f"{limit:,}; give --goal-decisions {limit} or fewer"
            )
        return asked or limit or DEFAULT_DECISIONS

    def _pairs(self) -> GoalPairs:
        """The pairs; `nearness` is set where it counts. Raises ConfigError."""
        request = self.request
        if request.recording is not None:
            recording = Recording(request.recording, "--goal-data")
            offset = request.offset or DEFAULT_OFFSET
            return recorded_pairs(self.env, recording, request.pairs, offset, request.seed)
        own = self.env.goal_within
        within = own if request.within is None else request.within
        drawn = None if own else sampled_pairs(self.env, request.pairs, request.seed, required=not within)
        if drawn is not None and not within:
            if self._scratch is not None:
                raise ConfigError(
                    f"--goal-oracle: {self.env.env_spec.env} says by itself when a goal is reached, and the oracle "
                    "needs distances; add --goal-within"
                )
            return drawn
        given_by = f"goal_within of {self.env.env_spec.env}" if request.within is None else "--goal-within"
        self.nearness = Nearness(self.env.env_spec, within, given_by)
        if drawn is not None:
            return unsolved(self.env, drawn, self.nearness)
        return make_pairs(self.env, self.nearness, request.pairs, request.seed, self.decisions)

    @property
    def kinds(self) -> dict[str, Towards]:
        """What acts, by name."""
        kinds = self._reaching.kinds | {"random": self._random}
        if self._scratch is not None:
            kinds["oracle"] = self._oracle
        return kinds

    @property
    def horizon_decisions(self) -> int | None:
        """How far plans look ahead; None where nothing plans."""
        return self._reaching.horizon_decisions

    @property
    def subject(self) -> dict[str, Any]:
        """What is evaluated, as JSON values."""
        return {
            "pairs": len(self.found.pairs),
            "first_seed": self.request.seed,
            "solved_at_start": self.found.solved,
            "source": self.found.source,
            "within": {} if self.nearness is None else dict(self.nearness.within),
            "decisions": self.decisions,
            "energy": self._reaching.energy,
            "sub_goal_decisions": self._reaching.sub_goal_decisions,
            "goal_data": self.request.recording,
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

        nearness = self.nearness
        assert nearness is not None, "an oracle is refused without distances"
        there = nearness.values(pair.readouts)

        def distance(named: NamedReadouts) -> torch.Tensor:
            here = {name: named[name].reshape(named.rows, -1) for name in there}
            return nearness.shares(here, there).sum(0)

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
