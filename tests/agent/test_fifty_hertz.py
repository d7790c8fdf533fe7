"""An agent of the default size decides fifty times a second on one core of a given speed.

The real times of this computer are measured by `benchmarks/speed/fifty_hertz.py`.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

import joule
from agent.actor.deadline import Pace

pytestmark = pytest.mark.usefixtures("unchecked")

PERIOD_MS, DEADLINE_MS = 20.0, 15.0
OPERATION_SECONDS = 8e-6
"""Of a tensor operation on a slow core: a whole plan of the default search, 1,100 operations, takes 9 ms."""
SPREAD = (0.8, 1.2)
"""Factors on it, drawn for each decision, as other processes empty the caches of a shared core."""
DECISIONS = 100


class OperationClock(TorchDispatchMode):
    """Seconds that pass with each tensor operation, so that a slow moment of this computer changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds, self.speed = 0.0, 1.0

    def __call__(self) -> float:
        return self.seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seconds += OPERATION_SECONDS * self.speed
        return func(*args, **(kwargs or {}))


def timed(deadline_ms: float, iterations: int) -> dict[str, float]:
    """The timing of an agent that acts by a deadline, after the decisions before a robot moves."""
    agent: Any = joule.make(
        "joule", env="HalfCheetah-v5", seed=1, settings={"planner.iterations": iterations}
    )
    # Disagreement is computed only where its usual size is known, and an agent that has not learned does not know.
    agent.modules.networks.usual_disagreement.fill_(1.0)
    rng = random.Random(0)
    obs, _ = agent.env.reset(seed=1)
    with OperationClock() as clock:
        agent.modules.actor.pace = Pace(clock)
        for _ in range(20):
            agent.act(obs, deadline_ms=deadline_ms, episode_start=True)
        agent.timing.clear()
        for _ in range(DECISIONS):
            clock.speed = rng.uniform(*SPREAD)
            obs, *_ = agent.env.step(agent.act(obs, deadline_ms=deadline_ms))
    agent.env.close()
    summary: dict[str, float] = agent.timing.summary()
    return summary


@pytest.mark.slow
@pytest.mark.parametrize(
    ("iterations", "deadline_ms"),
    [(3, DEADLINE_MS), (100, DEADLINE_MS), (3, 10.0)],
    ids=[
        "the default search",
        "a search that never ends by itself",
        "a deadline before the search would end",
    ],
)
def test_the_99th_percentile_of_decision_times_is_within_the_period(
    iterations: int, deadline_ms: float
) -> None:
    timing = timed(deadline_ms, iterations)
    assert timing["decisions"] == DECISIONS
    assert timing["p99_ms"] < deadline_ms + PERIOD_MS - DEADLINE_MS, timing
    assert timing["missed_share"] < 0.1, timing
    assert timing["fell_back_share"] < 0.1, timing
    assert timing["iterations"] >= 1.0, timing
