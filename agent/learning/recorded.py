"""Recorded episodes as the experience of an agent that learns without interaction (offline).

Levine et al. 2020, Offline Reinforcement Learning. The episodes fill the replay buffer once; gradient steps follow.
"""

from collections.abc import Sequence

import numpy as np

from agent.cost.readouts import Readouts
from agent.cost.task import Task
from agent.errors import ConfigError
from agent.interface import Arrays
from agent.learning.relabelling import observed_costs, rescale
from agent.learning.running_statistics import take_in_new_rows
from agent.modules import Modules


def remember(modules: Modules, episodes: Sequence[Arrays]) -> None:
    """Puts recorded episodes into an empty replay buffer, and into the running statistics.

    Args:
        modules: of an agent with one stream.
        episodes: rows of the replay buffer by column, those of each episode; only its last one is `last`.

    Raises:
        ConfigError: for more rows than the replay buffer may hold, and for a buffer that holds some.
    """
    buffer, stream = modules.replay_buffer, modules.replay_buffer.streams[0]
    if stream.rows:
        raise ConfigError("data: this agent has experience already")
    rows, capacity = sum(len(rows["last"]) for rows in episodes), stream_capacity(modules)
    if rows > capacity:
        raise ConfigError(
            f"learning.replay_capacity_transitions: the data take {rows} rows, one of them for the end of each "
            f"episode, and the replay buffer has {capacity}; allow more"
        )
    buffer.reserve(rows)
    modules.terminations = sum(bool(rows["terminated"].any()) for rows in episodes)
    for episode in episodes:
        stream.extend(episode, continues=False)
        take_in_new_rows(modules)
    rescale_recorded(modules)


def rescale_recorded(modules: Modules) -> None:
    """Makes the scales those of recorded episodes, whose order says nothing, at the present discount."""
    rescale(modules, forgets=False)


def stream_capacity(modules: Modules) -> int:
    """Rows that the replay buffer of an agent with one stream may hold."""
    return modules.config.learning.replay_capacity_transitions


def with_costs_of(task: Task, episodes: Sequence[Arrays], layout: Readouts) -> list[Arrays]:
    """Recorded episodes with the costs of a task, by the readouts after each transition.

    Raises:
        ConfigError: where a cost is not finite.
    """
    found = []
    for rows in episodes:
        of_transitions = rows["readout"][1:], rows["action"][:-1], rows["cost"][:-1]
        cost = observed_costs(task, layout, *of_transitions, where="on the recorded episodes")
        found.append({**rows, "cost": np.append(cost, 0.0).astype(np.float32)})
    return found
