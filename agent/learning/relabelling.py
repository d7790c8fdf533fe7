"""Another task's costs for what an agent remembers and for the networks that know costs.

The transitions in the replay buffer get the costs of the task, by the readouts stored with them (Andrychowicz
et al. 2017). Critic, scales and cost head are of the task before.
"""

import numpy as np
import torch

from agent.cost.readouts import Readouts
from agent.cost.task import Task
from agent.errors import ConfigError
from agent.memory.columns import has_readouts
from agent.memory.replay_buffer import ReplayBuffer
from agent.modules import Modules
from agent.networks import Networks


def relabel(buffer: ReplayBuffer, task: Task, layout: Readouts) -> None:
    """Gives every transition in the replay buffer the task's cost, by the readouts after it.

    Raises:
        ConfigError: where a cost is not finite.
    """
    rows = buffer.place(buffer.transitions())
    buffer.cost[rows] = observed_costs(
        task, layout, *buffer.outcomes(rows), where="on the transitions in the replay buffer"
    )


def observed_costs(
    task: Task, layout: Readouts, after: np.ndarray, action: np.ndarray, own: np.ndarray, *, where: str
) -> np.ndarray:
    """Costs [rows] of a task for transitions that were observed.

    Args:
        task: its costs are computed.
        layout: of the readouts.
        after: [rows, readouts], after each transition.
        action: [rows, act].
        own: [rows], the environment's own costs.
        where: names the transitions in the sentence of an error.

    Raises:
        ConfigError: where a cost is not finite.
    """
    rows, acts, costs = (torch.from_numpy(np.ascontiguousarray(column)) for column in (after, action, own))
    cost: np.ndarray = task(layout.of(rows, acts, lambda: costs)).numpy()
    if not np.isfinite(cost).all():
        lacking = int((~has_readouts(after)).sum())
        if lacking:
            raise ConfigError(
                f"task: {task.name!r} is not known {where}: {lacking:,} of {len(after):,} have no readouts"
            )
        raise ConfigError(f"task: {task.name!r} is not finite {where}")
    return cost


def reset_costs(networks: Networks, untrained: Networks, *, keeps_termination: bool = False) -> None:
    """Replaces critic, cost head and entropy weight by untrained ones; the world model stays.

    The policy stays too: the data, and so the model, are near what it does.

    Args:
        networks: of the agent.
        untrained: of the same sizes.
        keeps_termination: whether the cost head, which predicts terminations too, forgets costs alone.
    """
    for name in ("critic", "target_critic"):
        getattr(networks, name).load_state_dict(getattr(untrained, name).state_dict())
    if keeps_termination:
        networks.world_model.cost.forget_costs()
    else:
        networks.world_model.cost.load_state_dict(untrained.world_model.cost.state_dict())
    networks.spread.copy_(untrained.spread)
    networks.log_entropy_weight.copy_(untrained.log_entropy_weight)


def rescale(modules: Modules, *, forgets: bool = True) -> None:
    """Makes the scales those of the costs that all rows in the running statistics have now.

    Costs of before do not count, and the discount is the present one. Without rewards costs are novelty.

    Args:
        modules: of the agent.
        forgets: whether old rows count less; see `Scales.update`.
    """
    buffer, networks = modules.replay_buffer, modules.networks
    networks.scales.reset()
    if modules.rewardless:
        networks.scale_novelty(modules.discount)
        return
    for number, end in enumerate(modules.normalised_rows):
        held = buffer.place(buffer.numbers(number, end=end))
        cost, last = (torch.from_numpy(c[held]).to(modules.device) for c in (buffer.cost, buffer.last))
        networks.rescale(
            cost,
            last,
            modules.discount,
            number,
            episode_decisions=modules.env_spec.episode_limit,
            forgets=forgets,
        )
