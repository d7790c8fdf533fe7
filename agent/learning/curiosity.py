"""The curiosity bonus: ensemble disagreement on stored transitions, in units of the usual one.

Disagreement marks what can still be learned (Pathak et al. 2019; Sekar et al. 2020). The bonus is small beside the
reward of an environment; it matters where there is no reward yet.
"""

import torch
from jaxtyping import Float
from torch import Tensor

LARGEST_NOVELTY = 5.0
"""Largest disagreement that curiosity rewards, in units of the usual one: an outlier must not dominate."""


def usual_disagreement(
    before: Float[Tensor, ""], newest: Float[Tensor, " rows"], tau: float
) -> Float[Tensor, ""]:
    """The moving average of the disagreement with the newest values; their mean at first.

    Args:
        before: the average; 0 before the first values.
        newest: disagreement on transitions.
        tau: rate at which the average follows.
    """
    mean = newest.mean()
    return torch.lerp(before, mean, tau) if before else mean


def novelty(disagreement: Float[Tensor, "*rows"], usual: Float[Tensor, ""]) -> Float[Tensor, "*rows"]:
    """Disagreement over the usual one, at most LARGEST_NOVELTY."""
    return (disagreement / usual.clamp_min(1e-12)).clamp(max=LARGEST_NOVELTY)
