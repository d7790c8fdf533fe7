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

    m is n, or fewer where the window or the episode ends before: truncation bootstraps from the
    last observation, termination does not. Rows that are not `valid` hold no meaning.
    """
    steps = cost.shape[0]
    target, running = torch.zeros_like(cost), torch.ones_like(cost)  # running: 1 while a row's sum goes on
    follows = torch.zeros_like(cost)
    follows[:-1] = valid[1:].to(cost)
    for j in range(min(n, steps)):  # the j-th step after t, for all t at once
        if j == n - 1:
            follows = torch.zeros_like(cost)
        goes_on = running * (1.0 - terminated[j:])
        bootstrap = goes_on * (1.0 - follows[j:]) * discount * next_value[j:]
        target[: steps - j] += discount**j * (running * cost[j:] + bootstrap)
        running = (goes_on * follows[j:])[:-1]
    return target


def bootstraps(valid: Bool[Tensor, "time batch"], n: int) -> Bool[Tensor, "time batch"]:
    """Where `n_step_targets` asks for `next_value`: the rest counts for nothing, and needs no critic.

    Sums of n steps end no earlier than at the n-th row, but for those that an episode's end cuts short.
    """
    asked, first = torch.ones_like(valid), min(n, valid.shape[0]) - 1
    asked[:first] = ~valid[1 : first + 1]
    return asked
