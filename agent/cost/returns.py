"""n-step targets of the critic."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def n_step_targets(
    cost: Float[Tensor, "time batch"],
    terminated: Float[Tensor, "time batch"],
    valid: Bool[Tensor, "time batch"],
    next_value: Float[Tensor, "time batch"],
    discount: float,
    n: int,
) -> Float[Tensor, "time batch"]:
    """Targets y_t = sum_{j<m} gamma^j c_{t+j} + gamma^m (1 - terminated) V_{t+m}.

    Sutton and Barto 2018, section 7.1. m is n, or fewer where the window or the episode ends before.
    Truncation bootstraps from the last observation, termination does not.

    Args:
        cost: immediate costs.
        terminated: 1 where the episode terminates with the transition.
        valid: where a transition belongs to the window's episode.
        next_value: cost-to-go after each transition; used where `bootstraps` is true.
        discount: per decision.
        n: largest number of costs in a sum.

    Returns:
        The targets; rows that are not `valid` have no meaning.
    """
    steps = cost.shape[0]
    target, running = torch.zeros_like(cost), torch.ones_like(cost)  # running: 1 while a row's sum continues
    follows = torch.zeros_like(cost)
    follows[:-1] = valid[1:].to(cost)
    for j in range(min(n, steps)):  # the j-th step after t, for all t at once
        if j == n - 1:
            follows = torch.zeros_like(cost)
        continues = running * (1.0 - terminated[j:])
        bootstrap = continues * (1.0 - follows[j:]) * discount * next_value[j:]
        target[: steps - j] += discount**j * (running * cost[j:] + bootstrap)
        running = (continues * follows[j:])[:-1]
    return target


def bootstraps(valid: Bool[Tensor, "time batch"], n: int) -> Bool[Tensor, "time batch"]:
    """Where `n_step_targets` uses `next_value`; elsewhere the critic need not be evaluated.

    A sum of n steps ends at the n-th row or later, unless the end of an episode cuts it short.
    """
    used, first = torch.ones_like(valid), min(n, valid.shape[0]) - 1
    used[:first] = ~valid[1 : first + 1]
    return used
