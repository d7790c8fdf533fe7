"""Transfer: an untrained agent begins with the networks and the replay buffer of one that has learned.

What the earlier agent learned of perception and dynamics serves every task. Where the new task is another one,
the transitions get its costs. A task that contains the environment's own cost goes on from the earlier critic
and policy. For any other one both start untrained: a policy that has settled on other motions explores too
little. So they do after learning without rewards, where the recorded costs are learned for the first time.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from agent.acting_copy import act_as, acting_copy
from agent.cost.task_cost import TaskCost
from agent.errors import ConfigError
from agent.learning.relabelling import relabel, rescale, reset_costs
from agent.learning.running_statistics import take_in_new_rows
from agent.modules import Modules


def begin_with(modules: Modules, earlier: Modules, task_cost: TaskCost | None) -> None:
    """Gives an untrained agent what another one has learned.

    Args:
        modules: those of the untrained agent.
        earlier: those of the other one, which has as many environments side by side.
        task_cost: the costs that the untrained agent is to learn by; None where they are those of the other one.

    Raises:
        ConfigError: for networks of other sizes, and a task whose costs are not finite on the stored transitions.
    """
    networks, buffer = modules.networks, modules.replay_buffer
    untrained = copy.deepcopy(networks)
    with _normalised(earlier):
        _take_over(modules, earlier)
    other_costs = earlier.rewardless != modules.rewardless
    if task_cost is None and not other_costs:
        return
    if task_cost is not None:
        relabel(buffer, task_cost.task, modules.layout())
    if other_costs or task_cost is None or not task_cost.uses_own_cost:
        reset_costs(networks, untrained)
        networks.policy.load_state_dict(untrained.policy.state_dict())
    rescale(modules)


@contextmanager
def _normalised(earlier: Modules) -> Iterator[None]:
    """Inside, its running statistics know of all that it has experienced; afterwards they are as before."""
    weights = {name: value.clone() for name, value in earlier.networks.state_dict().items()}
    rows = list(earlier.normalised_rows)
    take_in_new_rows(earlier)
    try:
        yield
    finally:
        earlier.networks.load_state_dict(weights)
        earlier.normalised_rows[:] = rows


def _take_over(modules: Modules, earlier: Modules) -> None:
    """Networks and replay buffer of the earlier agent. Raises ConfigError for networks of other sizes."""
    networks, buffer = modules.networks, modules.replay_buffer
    learned = earlier.networks.state_dict()
    own = networks.like(learned)
    for name in (*own, *learned):
        if name not in own or name not in learned or own[name].shape != learned[name].shape:
            raise ConfigError(f"init_from: that agent's networks have other sizes, such as those of {name}")
    act_as(modules, *acting_copy(earlier))
    known = earlier.replay_buffer.streams
    all_rows = len(known) * max(len(stream) + 1 for stream in known)
    buffer.reserve(min(all_rows, modules.config.learning.replay_capacity_transitions))
    for number, stream in enumerate(known):
        if stream.rows == 0:
            continue
        # The newest row has no action. Its episode ends with it: the next row begins another one.
        newest_that_fit = max(stream.first, stream.rows - buffer.rows_per_stream)
        rows = stream.through_newest(newest_that_fit)
        buffer.streams[number].restore(rows, len(rows["last"]))
        modules.normalised_rows[number] = buffer.streams[number].total
    modules.learner.first_std = earlier.learner.first_std
