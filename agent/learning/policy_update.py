"""The policy's part of one gradient step: least cost-to-go, an entropy bonus, and behaviour cloning."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from jaxtyping import Float
from torch import Tensor

from agent.configurator.settings import LearningConfig
from agent.layers import full
from agent.learning.flat_parameters import FlatParameters
from agent.learning.fused_policy import FusedPolicy, quantiles
from agent.networks import Networks

ENTROPY_GAIN = 3e-3
"""Change of the log entropy weight per update and nat of entropy error: an integral controller."""
LARGEST_ENTROPY_ERROR = 5.0
"""In nats: a larger error moves the entropy weight no faster."""
LOG_ENTROPY_WEIGHTS = (math.log(1e-4), 0.0)
"""Bounds of the log entropy weight, in units of the range of costs-to-go."""


class PolicyUpdate:
    """Takes gradient steps on the policy.

    Args:
        networks: the networks.
        group: the policy's parameters, with their optimiser.
        config: the settings of learning.
        target_entropy: of the policy, per action dimension, in nats.
        tau: rate at which the range of the costs-to-go is followed.
        served: whether the gradients are computed by hand.
        arithmetic: makes the context of the matrix products.
    """

    def __init__(
        self,
        networks: Networks,
        group: FlatParameters,
        config: LearningConfig,
        target_entropy: float,
        tau: float,
        served: bool,
        arithmetic: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self.networks, self.group, self.config = networks, group, config
        self.target_entropy, self.tau = target_entropy, tau
        self.served, self.arithmetic = served, arithmetic

    def __call__(
        self,
        z: Float[Tensor, "rows latent"],
        measure: bool,
        stored: tuple[Float[Tensor, "rows act"], Float[Tensor, " rows"]] | None,
        fused: FusedPolicy | None,
    ) -> dict[str, float]:
        """One gradient step of the policy at `z`, towards least cost-to-go plus an entropy bonus.

        The weight of the bonus keeps the entropy at its target (Haarnoja et al. 2018b, section 5). With stored
        actions the loss has a term of behaviour cloning (Fujimoto and Gu 2021, TD3+BC, equation 3): the squared
        distance of the most likely action from the stored one, beside a cost-to-go in units of its range.

        Args:
            z: states.
            measure: computes metrics.
            stored: the actions that were taken in these states, and 1 where one is known; None without cloning.
            fused: computes the gradient by hand; None leaves it to autograd.

        Returns:
            The metrics, by name; empty without `measure`.

        Raises:
            FloatingPointError: for a gradient that is not finite; the policy did not change.
        """
        networks, config = self.networks, self.config
        if fused is not None:
            log_prob, to_go = fused.evaluate(z, networks.critic.scale)
        else:
            log_prob, to_go = self.evaluate(z)
        self.follow_spread(to_go.detach())
        scale = networks.spread.clamp_min(0.1 * networks.critic.scale)
        entropy_weight = networks.log_entropy_weight.exp()
        surplus = -log_prob.detach().mean() - self.target_entropy * networks.policy.action_size
        surplus = surplus.clamp(-LARGEST_ENTROPY_ERROR, LARGEST_ENTROPY_ERROR).nan_to_num(0.0)
        log_weight = networks.log_entropy_weight - ENTROPY_GAIN * surplus
        log_weight = log_weight.clamp(*LOG_ENTROPY_WEIGHTS)
        if fused is not None:
            fused.backward(
                (networks.critic.scale / scale).item(),
                entropy_weight.item(),
                stored,
                config.behaviour_cloning,
            )
        else:
            self.group.zero_grad()
            loss = (to_go / scale + entropy_weight * log_prob).mean()
            if stored is not None:
                loss = loss + config.behaviour_cloning * self.cloning_error(z, *stored)
            loss.backward()
        norm = self.group.step(config.max_grad_norm)
        if not math.isfinite(norm.item()):
            raise FloatingPointError(f"the policy's gradient is not finite (norm {norm.item()})")
        networks.log_entropy_weight.copy_(log_weight)
        if not measure:
            return {}
        cloning = {}
        if stored is not None:
            with torch.no_grad():
                cloning = {"policy/cloning_error": self.cloning_error(z, *stored).item()}
        return cloning | {
            "policy/entropy": -log_prob.mean().item(),
            "policy/entropy_weight": log_weight.exp().item(),
            "policy/cost_to_go": to_go.mean().item(),
            "policy/gradient_norm": norm.item(),
        }

    def evaluate(
        self, z: Float[Tensor, "rows latent"]
    ) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"]]:
        """Log-probabilities of actions drawn at `z`, and their cost-to-go; the critic gets no gradient."""
        networks = self.networks
        networks.critic.requires_grad_(False)
        try:
            with self.arithmetic():
                action, log_prob = networks.policy.sample(z)
                to_go = full(networks.critic(z, action)).mean(1)
        finally:
            networks.critic.requires_grad_(True)
        return full(log_prob), to_go

    def cloning_error(
        self,
        z: Float[Tensor, "rows latent"],
        stored: Float[Tensor, "rows act"],
        known: Float[Tensor, " rows"],
    ) -> Float[Tensor, ""]:
        """Squared distance of the most likely actions from the stored ones: the mean over rows, 0 if unknown."""
        with self.arithmetic():
            action = full(self.networks.policy(z))
        return ((action - stored).square().sum(-1) * known).mean()

    @torch.no_grad()
    def follow_spread(self, to_go: Float[Tensor, " rows"]) -> None:
        """The range of the costs-to-go follows that of a batch."""
        networks = self.networks
        if self.served:
            low, high = quantiles(to_go.tolist(), networks.quantiles.tolist())
            spread = to_go.new_tensor(high - low)
        else:
            ends = torch.quantile(to_go, networks.quantiles)
            spread = ends[1] - ends[0]
        if math.isfinite(spread.item()):  # a single infinity would stay in the average for ever
            networks.spread.lerp_(spread.clamp_min(1e-8), self.tau)
