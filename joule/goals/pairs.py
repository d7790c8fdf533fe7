"""Pairs of a start and a goal, by seeds that no training uses."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.errors import ConfigError
from agent.interface import DIVERGED_KEY
from joule.goals.nearness import Nearness

if TYPE_CHECKING:
    from agent.interface import Observation

ACTION_MEMORY = 0.9
"""Correlation of successive actions of an episode that goals are taken from: uncorrelated ones go nowhere."""
MOST_TRIES = 20
"""Seeds that are tried for each pair that is wanted."""


@dataclass(frozen=True)
class GoalPair:
    """Where an episode begins, and where it is to lead."""

    seed: int
    """The environment is reset by it."""
    goal: Observation
    """What is observed at the goal."""
    readouts: np.ndarray
    """[readouts] at the goal."""
    options: Mapping[str, Any] | None = None
    """Of that reset; None where the seed alone says where the episode begins, and what its goal is."""


@dataclass(frozen=True)
class GoalPairs:
    """Pairs, and how they were found."""

    pairs: tuple[GoalPair, ...]
    solved: int
    """Pairs that were refused because the start was at the goal already."""
    source: str
    """`task`: the state in which the environment's own task is done. `episodes`: where random actions led.
    `environment`: goals that it draws itself. `recording`: a moment of a recording, and a later one."""


def make_pairs(env: Any, nearness: Nearness, number: int, first_seed: int, decisions: int) -> GoalPairs:
    """Pairs in an environment.

    The goal is the state in which the task of the episode is done, where the environment can say; else the state
    to which smooth random actions lead from the same start within `decisions`, or halfway to where they terminate
    the episode.

    Args:
        env: a `SafeEnv`.
        nearness: when a goal is reached.
        number: of pairs.
        first_seed: of the first start; the others follow.
        decisions: that an episode may take.

    Raises:
        ConfigError: where nearly every goal is reached at the start, or nearly every start leads nowhere.
    """
    pairs: list[GoalPair] = []
    solved, ended, by_task, farthest = 0, 0, True, 0.0
    for seed in range(first_seed, first_seed + MOST_TRIES * number):
        env.reset(seed=seed)
        start = env.readouts()
        shown = env.at_goal()
        by_task = shown is not None
        found = _wandered(env, seed, decisions) if shown is None else shown
        if found is None:
            ended += 1
            continue
        goal, readouts = found
        distance = nearness.excess(start, readouts)
        farthest = max(farthest, distance)
        if distance <= 1.0:
            solved += 1
            continue
        pairs.append(GoalPair(seed, goal, readouts))
        if len(pairs) == number:
            return GoalPairs(tuple(pairs), solved, "task" if by_task else "episodes")
    reasons = []
    if ended:
        reasons.append(f"in {ended} the first random action ends the episode, or physics diverges")
    if solved:
        reasons.append(f"{solved} are at their goal already: {_other_distances(nearness, farthest)}")
    raise ConfigError(
        f"--goals: of {MOST_TRIES * number} starts only {len(pairs)} give a pair; {'; '.join(reasons)}"
    )


def unsolved(env: Any, drawn: GoalPairs, nearness: Nearness) -> GoalPairs:
    """Those of drawn pairs whose start is not at the goal already.

    Raises:
        ConfigError: where none is left.
    """
    left, farthest = [], 0.0
    for pair in drawn.pairs:
        env.reset(seed=pair.seed, options=None if pair.options is None else dict(pair.options))
        distance = nearness.excess(env.readouts(), pair.readouts)
        farthest = max(farthest, distance)
        if distance > 1.0:
            left.append(pair)
    if not left:
        drew = len(drawn.pairs)
        starts = f"all of {drew} starts are at their goal" if drew > 1 else "the one start is at its goal"
        raise ConfigError(f"--goals: {starts} already; {_other_distances(nearness, farthest)}")
    return GoalPairs(tuple(left), len(drawn.pairs) - len(left), drawn.source)


def _other_distances(nearness: Nearness, farthest: float) -> str:
    """What to ask for, where nearly every start is at its goal.

    Args:
        nearness: what was asked for.
        farthest: the largest of `Nearness.excess` between start and goal.
    """
    if farthest == 0.0:
        differ = "differs" if len(nearness.within) == 1 else "differ"
        named = " and ".join(nearness.within)
        return f"{named} never {differ} from the goal's; name another readout by --goal-within"
    return f"ask for smaller distances by --goal-within: the farthest start is {farthest:.2g} of them away"


def _wandered(env: Any, seed: int, decisions: int) -> tuple[Observation, np.ndarray] | None:
    """What is observed after smooth random actions from a start, for half to all of `decisions`.

    Where they end the episode by termination, it is what is observed halfway: a robot that has fallen is no goal.
    It is None where the first action ends it, and where physics diverges.
    """
    rng = np.random.default_rng(seed)
    size = env.env_spec.action_size
    action = rng.uniform(-1.0, 1.0, size)
    actions = list[np.ndarray]()
    observation: Any = None
    for _ in range(int(rng.integers(max(1, decisions // 2), decisions + 1))):
        fresh = rng.standard_normal(size)
        action = ACTION_MEMORY * action + np.sqrt(1.0 - ACTION_MEMORY**2) * fresh
        actions.append(np.clip(action, -1.0, 1.0).astype(np.float32))
        observation, _, terminated, truncated, info = env.step(actions[-1])
        # What is observed after physics diverged is no moment of this environment.
        if info.get(DIVERGED_KEY, False) or (terminated and len(actions) == 1):
            return None
        if terminated:
            # Played again: to keep every observation of an episode may take gigabytes.
            env.reset(seed=seed)
            for again in actions[: (len(actions) + 1) // 2]:
                observation = env.step(again)[0]
            break
        if truncated:
            break
    return copy.deepcopy(observation), env.readouts().copy()
