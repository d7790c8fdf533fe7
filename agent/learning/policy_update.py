"""The policy's part of one gradient step: least cost-to-go, an entropy bonus, and behaviour cloning."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from agent.configurator.settings import LearningConfig
from agent.layers import full
from agent.learning.compiled_update import Compiled
from agent.learning.flat_parameters import FlatParameters
from agent.learning.fused_policy import FusedPolicy, quantiles
from agent.networks import Networks

ENTROPY_GAIN = 3e-3
"""Change of the log entropy weight per update and nat of entropy error: an integral controller."""
LARGEST_ENTROPY_ERROR = 5.0
"""In nats: a larger error moves the entropy weight no faster."""
LOG_ENTROPY_WEIGHTS = (math.log(1e-4), 0.0)
"""Bounds of the log entropy weight, in units of the range of costs-to-go."""


@dataclass(slots=True)
class PolicyTerms:
    """What an update of the policy computes beside its gradient."""

    log_prob: Float[Tensor, " rows"]
    """Of the actions that were drawn."""
    to_go: Float[Tensor, " rows"]
    """Their cost-to-go."""
    spread: Float[Tensor, ""]
    """The range of the costs-to-go from now on."""
    log_entropy_weight: Float[Tensor, ""]
    """From now on."""


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
        self.compiled_gradients = Compiled(self.gradients)

    def __call__(
        self,
        z: Float[Tensor, "rows latent"],
        measure: bool,
        stored: tuple[Float[Tensor, "rows act"], Float[Tensor, " rows"]] | None,
        fused: FusedPolicy | None,
        *,
        compiled: bool = False,
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
            compiled: whether what is computed by hand is compiled.

        Returns:
            The metrics, by name; empty without `measure`.

        Raises:
            FloatingPointError: for a gradient that is not finite; the policy did not change.
        """
        networks = self.networks
        if fused is None:
            terms = self.gradients_by_autograd(z, stored)
        else:
            gradients = self.compiled_gradients if compiled else self.gradients
            with torch.inference_mode():
                terms = gradients(z, stored, fused)
        networks.spread.copy_(terms.spread)
        norm = self.group.step(self.config.max_grad_norm)
        if not math.isfinite(norm.item()):
            raise FloatingPointError(f"the policy's gradient is not finite (norm {norm.item()})")
        networks.log_entropy_weight.copy_(terms.log_entropy_weight)
        if not measure:
            return {}
        cloning = {}
        if stored is not None:
            with torch.no_grad():
                cloning = {"policy/cloning_error": self.cloning_error(z, *stored).item()}
        return cloning | {
            "policy/entropy": -terms.log_prob.mean().item(),
            "policy/entropy_weight": terms.log_entropy_weight.exp().item(),
            "policy/cost_to_go": terms.to_go.mean().item(),
            "policy/gradient_norm": norm.item(),
        }

    def gradients(
        self,
        z: Float[Tensor, "rows latent"],
        stored: tuple[Float[Tensor, "rows act"], Float[Tensor, " rows"]] | None,
        fused: FusedPolicy,
    ) -> PolicyTerms:
        """Writes the policy's gradient, computed by hand. Arguments as `__call__`."""
        networks = self.networks
        log_prob, to_go = fused.evaluate(z, networks.critic.scale)
        terms = PolicyTerms(log_prob, to_go, self.spread(to_go), self.next_log_entropy_weight(log_prob))
        fused.backward(
            (networks.critic.scale / self.unit(terms.spread)).item(),
            networks.log_entropy_weight.exp().item(),
            stored,
            self.config.behaviour_cloning,
        )
        return terms

    def gradients_by_autograd(
        self,
        z: Float[Tensor, "rows latent"],
        stored: tuple[Float[Tensor, "rows act"], Float[Tensor, " rows"]] | None,
    ) -> PolicyTerms:
        """The same by autograd."""
        log_prob, to_go = self.evaluate(z)
        with torch.no_grad():
            terms = PolicyTerms(
                log_prob.detach(), to_go.detach(), self.spread(to_go), self.next_log_entropy_weight(log_prob)
            )
        self.group.zero_grad()
        entropy_weight = self.networks.log_entropy_weight.exp()
        loss = (to_go / self.unit(terms.spread) + entropy_weight * log_prob).mean()
        if stored is not None:
            loss = loss + self.config.behaviour_cloning * self.cloning_error(z, *stored)
        loss.backward()
        return terms

    def unit(self, spread: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Unit of the cost-to-go in the policy's loss."""
        return spread.clamp_min(0.1 * self.networks.critic.scale)

    def next_log_entropy_weight(self, log_prob: Float[Tensor, " rows"]) -> Float[Tensor, ""]:
        """The log entropy weight from now on."""
        networks = self.networks
        surplus = -log_prob.mean() - self.target_entropy * networks.policy.action_size
        surplus = surplus.clamp(-LARGEST_ENTROPY_ERROR, LARGEST_ENTROPY_ERROR).nan_to_num(0.0)
        return (networks.log_entropy_weight - ENTROPY_GAIN * surplus).clamp(*LOG_ENTROPY_WEIGHTS)

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

    def spread(self, to_go: Float[Tensor, " rows"]) -> Float[Tensor, ""]:
        """The range of the costs-to-go from now on, which follows that of a batch."""
        before, ends = self.networks.spread, self.networks.quantiles
        if self.served and not torch.compiler.is_compiling():
            low, high = quantiles(to_go.tolist(), ends.tolist())
            newest = to_go.new_tensor(high - low)
        else:
            newest = torch.quantile(to_go, ends).diff().squeeze(0)
        followed = torch.lerp(before, newest.clamp_min(1e-8), self.tau)
        return torch.where(newest.isfinite(), followed, before)  # an infinity would stay for ever
