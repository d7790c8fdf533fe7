"""How long an agent takes to decide for one environment."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

import numpy as np

from agent.interface import Policy, TrainingEnv
from envs.faults.errors import EnvFailure

TIMED_DECISIONS, UNTIMED_DECISIONS = 50, 5
"""Decisions that are timed one by one, after a few that are not: the first ones take longer."""


@dataclass(frozen=True)
class DecisionTime:
    """Medians over `decisions` decisions, in milliseconds."""

    wall_ms: float
    cpu_ms: float
    """Of this process, all its threads."""
    decisions: int


def time_decisions(policy: Policy, make_env: Callable[[], TrainingEnv], seed: int) -> DecisionTime | None:
    """Times decisions for one environment, each plan started from the one before, as a robot would make them.

    An evaluation decides for many episodes at once, so its own duration does not show this.

    Args:
        policy: the agent.
        make_env: makes one environment.
        seed: of the first episode.

    Returns:
        None where the environment fails before any decision is timed: the episodes that were asked for are played.
    """
    spent: list[tuple[float, float]] = []
    with suppress(EnvFailure), closing(make_env()) as env:
        while len(spent) < UNTIMED_DECISIONS + TIMED_DECISIONS:
            obs, _ = env.reset(seed=seed + len(spent))
            state, start, ended = None, True, False
            while not ended and len(spent) < UNTIMED_DECISIONS + TIMED_DECISIONS:
                before = time.perf_counter(), time.process_time()
                action, state = policy.predict(obs, state, np.array([start]), deterministic=True)
                spent.append((time.perf_counter() - before[0], time.process_time() - before[1]))
                obs, _, terminated, truncated, _ = env.step(action)
                start, ended = False, terminated or truncated
    return _medians(spent)


def _medians(spent: list[tuple[float, float]]) -> DecisionTime | None:
    timed = spent[UNTIMED_DECISIONS:]
    if not timed:
        return None
    wall, cpu = np.median(np.array(timed), axis=0) * 1e3
    return DecisionTime(round(float(wall), 3), round(float(cpu), 3), len(timed))
