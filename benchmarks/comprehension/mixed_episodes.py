"""Real episodes of mixed behaviour: on them detectors of surprise are calibrated and tested."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import joule
from agent.agent import WorldModelAgent
from benchmarks.comprehension.surprise_detectors import Clip
from benchmarks.comprehension.violations import stage_of
from envs.safe_env import SafeEnv
from joule_errors import Refused

LONGEST = 200
"""Steps of an episode, at most."""
BEHAVIOURS = ("policy", "held", "policy", "random", "planner")
"""Behaviours of the episodes, in turn.

`policy` and `planner` are the exploring agent, without and with its planner. `held` repeats a random action for some
steps, `random` draws a new one at every step.
"""
CALIBRATION_SEED, TEST_SEED = 50_000, 60_000
"""First seeds of the two sets of episodes."""


@dataclass(frozen=True)
class Episode:
    """A real episode."""

    seed: int
    clip: Clip
    opportunities: list[frozenset[str]]
    """[steps], the kinds of violation that would be visible from a step on."""


def loaded(run: Path, **settings: Any) -> WorldModelAgent:
    """The world-model agent of a run, with settings changed.

    Raises:
        Refused: for another agent.
    """
    agent = joule.load(run, settings=settings)
    if not isinstance(agent, WorldModelAgent):
        raise Refused(f"{run}: {agent.kind} has no world model that could be surprised; joule has")
    return agent


def actions(behaviour: str, agents: dict[str, WorldModelAgent], size: int, seed: int) -> Iterator[Any]:
    """A behaviour as a generator: send an observation, get an action.

    Args:
        behaviour: one of `BEHAVIOURS`.
        agents: behaviour -> the agent that acts; without one, actions are random.
        size: length of an action.
        seed: determines the random actions, and the noise of an agent.
    """
    rng = np.random.default_rng([seed, 2])
    agent = agents.get(behaviour)
    state: Any = None
    obs: Any = yield None
    while agent is not None:
        first = state is None
        if first:  # a new state draws the noise of the agent's seed, which is the same in every episode
            _, state = agent.predict(obs, None, np.array([True]), deterministic=False)
            state.generator.manual_seed(seed)
        action, state = agent.predict(obs, state, np.array([first]), deterministic=False)
        obs = yield action
    while True:
        action = rng.uniform(-1.0, 1.0, size).astype(np.float32)
        for _ in range(int(rng.integers(2, 20)) if behaviour == "held" else 1):
            obs = yield action


def record(env: SafeEnv, behaviour: Any, seed: int, watch: bool = True) -> Episode:
    """One episode of at most `LONGEST` steps.

    Args:
        env: the environment.
        behaviour: as from `actions`.
        seed: of the reset.
        watch: whether to look for opportunities of violations.
    """
    obs, _ = env.reset(seed=seed)
    next(behaviour)
    stage = stage_of(env) if watch else None
    taken: list[np.ndarray] = []
    costs: list[float] = []
    observations, readouts = [obs], [env.readouts()]
    kinds: list[frozenset[str]] = []
    for _ in range(LONGEST):
        kinds.append(frozenset() if stage is None else stage.opportunities())
        action = behaviour.send(obs)
        obs, reward, terminated, truncated, _ = env.step(action)
        taken.append(action)
        costs.append(-reward)
        observations.append(obs)
        readouts.append(env.readouts())
        if terminated or truncated:
            break
    clip = Clip(
        np.stack(observations), np.stack(taken), np.array(costs, np.float32), np.stack(readouts)
    )  # fmt: skip
    return Episode(seed, clip, kinds)


def mixed_episodes(env: SafeEnv, run: Path, steps: int, first_seed: int, watch: bool = True) -> list[Episode]:
    """Episodes of all behaviours in turn, until there are `steps` steps.

    Args:
        env: the environment.
        run: the run folder of the agent that acts.
        steps: steps in all, or a few more.
        first_seed: seed of the first episode; the next ones follow.
        watch: whether to look for opportunities of violations.
    """
    agents = {"planner": loaded(run), "policy": loaded(run, **{"planner.kind": "policy"})}
    size = env.env_spec.action_size
    episodes: list[Episode] = []
    for seed, behaviour in zip(itertools.count(first_seed), itertools.cycle(BEHAVIOURS), strict=False):
        if sum(len(episode.clip.action) for episode in episodes) >= steps:
            break
        episodes.append(record(env, actions(behaviour, agents, size, seed), seed, watch))
    return episodes
