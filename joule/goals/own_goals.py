"""Goals of environments that are given one at a reset, and that terminate where it is reached.

That is the convention of stable-worldmodel: `reset(options={"state": ..., "goal_state": ...})` begins an episode in
a state and sets the goal, `info["goal_state"]` says it, and the episode terminates at the goal. Its protocol takes
both from a recording: the state of a moment, and that of some steps later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.errors import ConfigError
from agent.memory.columns import same_observation
from joule.goals.pairs import GoalPair, GoalPairs

if TYPE_CHECKING:
    from joule.datasets.swm_recording import Recording

GOAL = "goal_state"
"""The key of `info` for the goal of an episode."""


@dataclass(frozen=True)
class Convention:
    """How a start and a goal are recorded, and given to a reset."""

    state: tuple[str, ...]
    """Columns of a recording that make up a state, end to end."""
    goal: tuple[str, ...]
    """Columns that make up a goal."""
    options: tuple[str, ...]
    """Options of a reset that take the goal; `state` takes the state."""

    def reset_options(self, state: np.ndarray, goal: np.ndarray) -> dict[str, np.ndarray]:
        """The options by which an episode begins in a state with a goal."""
        return {"state": state.copy()} | {name: goal.copy() for name in self.options}

    def at(self, columns: Mapping[str, np.ndarray], row: int, names: Sequence[str]) -> np.ndarray:
        """The numbers of a row in these columns, end to end."""
        return np.concatenate([np.asarray(columns[name][row], np.float64).ravel() for name in names])


BY_STATE = Convention(("state",), ("state",), (GOAL, "target_state"))
CONVENTIONS = (
    BY_STATE,
    Convention(("pos_agent",), ("pos_agent",), BY_STATE.options),
    Convention(("qpos", "qvel"), ("qpos",), ("target_qpos",)),
)
"""In the order in which they are tried: a recording has the columns of one."""


def sampled_pairs(env: Any, number: int, first_seed: int, *, required: bool = True) -> GoalPairs | None:
    """Starts and goals as the environment itself draws them at a reset.

    Args:
        env: a `SafeEnv`.
        number: of pairs.
        first_seed: of the first start; the others follow.
        required: whether an environment is refused that does not begin where it is told to.

    Returns:
        The pairs; None for an environment that draws no goal of numbers.

    Raises:
        ConfigError: for an environment that is refused.
    """
    pairs = []
    for seed in range(first_seed, first_seed + number):
        begun, info = env.reset(seed=seed)
        if GOAL not in info:
            return None
        try:
            goal = np.array(info[GOAL], np.float64).ravel()
        except (TypeError, ValueError):  # the key has another meaning there
            return None
        pairs.append(_pair(env, seed, begun, BY_STATE.reset_options(goal, goal), None))
    if not required and _all_alike(pairs):
        return None
    return _checked(env, pairs, "environment")


def recorded_pairs(env: Any, recording: Recording, number: int, offset: int, seed: int) -> GoalPairs:
    """Starts and goals from a recording: a moment of an episode, and the moment `offset` rows later.

    Args:
        env: a `SafeEnv`.
        recording: has the states.
        number: of pairs.
        offset: rows from a start to its goal.
        seed: by which moments are drawn, each at most once; resets have it and those that follow.

    Raises:
        ConfigError: for a recording without states or with too few moments, and for an environment that does not
            begin where it is told to.
    """
    known = recording.columns
    found = next((one for one in CONVENTIONS if {*one.state, *one.goal} <= {*known}), None)
    if found is None:
        wanted = ", or ".join(" and ".join(one.state) for one in CONVENTIONS)
        raise ConfigError(
            f"--goal-data: {recording.source} has no states: {wanted}; it has {', '.join(known)}"
        )
    counts = [max(recording.length(k) - offset, 0) for k in range(len(recording))]
    edges = np.cumsum(counts)
    if not counts or edges[-1] < number:
        raise ConfigError(
            f"--goal-data: {recording.source} has {edges[-1] if counts else 0} moments with another one {offset} "
            f"rows later, and {number} are asked for"
        )
    drawn = np.sort(np.random.default_rng(seed).choice(int(edges[-1]), number, replace=False))
    pairs, episode, columns = [], -1, {}
    for k, moment in enumerate(drawn):
        at = int(np.searchsorted(edges, moment, side="right"))
        if at != episode:
            episode, columns = at, recording.episode(at)
        row = int(moment - edges[at] + counts[at])
        start, there = (found.at(columns, place, found.state) for place in (row, row + offset))
        goal = found.at(columns, row + offset, found.goal)
        options = found.reset_options(start, goal)
        begun, _ = env.reset(seed=seed + k, options=options)
        pairs.append(_pair(env, seed + k, begun, found.reset_options(there, goal), options))
    return _checked(env, pairs, "recording")


def _pair(
    env: Any, seed: int, begun: Any, at_goal: dict[str, Any], options: dict[str, Any] | None
) -> tuple[Any, GoalPair]:
    """What is observed at the start, and the pair."""
    goal, _ = env.reset(seed=seed, options=at_goal)
    return begun, GoalPair(seed, goal, env.readouts(), options)


def _all_alike(pairs: Sequence[tuple[Any, GoalPair]]) -> bool:
    """Whether no goal is observed otherwise than its start: then no option was taken."""
    return all(same_observation(begun, pair.goal) for begun, pair in pairs)


def _checked(env: Any, pairs: Sequence[tuple[Any, GoalPair]], source: str) -> GoalPairs:
    """The pairs. Raises ConfigError where no option of a reset was taken."""
    if _all_alike(pairs):
        raise ConfigError(
            f"--goals: {env.env_spec.env} begins where it always does, whatever the options of its reset say"
        )
    return GoalPairs(tuple(pair for _, pair in pairs), 0, source)
