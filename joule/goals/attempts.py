"""Attempts to reach goals, and what comes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.interface import DIVERGED_KEY
from joule.goals.nearness import Nearness
from joule.goals.pairs import GoalPair

Act = Callable[[Any], np.ndarray]
"""Observation -> action [act]."""
Towards = Callable[[GoalPair], Act]
"""What acts in one attempt; it is asked for at its start, when the environment has been reset."""


@dataclass(frozen=True)
class Attempt:
    """One attempt."""

    seed: int
    reached: bool
    decisions: int
    """Until the goal, or until the attempt ended."""
    nearest: float
    """The least distance from the goal over what is near enough; infinite where the environment alone judges."""


def attempt(env: Any, pair: GoalPair, nearness: Nearness | None, towards: Towards, decisions: int) -> Attempt:
    """Plays from the start of a pair until its goal is reached, the episode ends, or `decisions` are made.

    Without `nearness` the goal is reached where the environment terminates the episode, unless `info` says there
    under `is_success` or `success` that it failed.
    """
    options = None if pair.options is None else dict(pair.options)
    observation, _ = env.reset(seed=pair.seed, options=options)
    act = towards(pair)
    nearest, reached = np.inf, False
    done = 0
    while done < decisions:
        observation, _, terminated, truncated, info = env.step(act(observation))
        done += 1
        if info.get(DIVERGED_KEY):  # the state is the one as built by now, not where the action led
            break
        if nearness is None:
            reached = bool(terminated) and bool(info.get("is_success", info.get("success", True)))
        else:
            nearest = min(nearest, nearness.excess(env.readouts(), pair.readouts))
            reached = nearest <= 1.0
        if reached or terminated or truncated:
            break
    return Attempt(pair.seed, reached, done, nearest)


def timed(act: Act, milliseconds: list[float]) -> Act:
    """The same, with the CPU time of each action added to a list."""

    def acting(observation: Any) -> np.ndarray:
        begun = time.process_time()
        action = act(observation)
        milliseconds.append(1e3 * (time.process_time() - begun))
        return action

    return acting


def summary(attempts: Sequence[Attempt], milliseconds: Sequence[float]) -> dict[str, Any]:
    """The share that arrived, with Wilson's 95 % interval, and how long it took, as JSON values."""
    from scipy.stats import binomtest

    reached = [one for one in attempts if one.reached]
    interval = binomtest(len(reached), len(attempts)).proportion_ci(method="wilson")
    return {
        "success": len(reached) / len(attempts),
        "low": float(interval.low),
        "high": float(interval.high),
        "reached": [one.reached for one in attempts],
        "decisions": [one.decisions for one in attempts],
        "nearest": [one.nearest if np.isfinite(one.nearest) else None for one in attempts],
        "mean_decisions": float(np.mean([one.decisions for one in reached])) if reached else None,
        "median_ms": float(np.median(milliseconds)) if milliseconds else None,
    }
