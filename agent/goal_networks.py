"""What an agent has learned of reaching goals: how far one is, how to act towards it, and what actions change."""

import copy
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agent.actor.policy import Policy
from agent.cost.critic import Critic
from agent.cost.goal_target import GoalTarget
from agent.layers import full
from agent.world_model.residual_dynamics import ResidualDynamics

DISCOUNT = 0.98
"""Goals beyond some 50 decisions are hard to tell apart."""
LEAST_LEFT = 1e-3
"""Of the discount at a goal: some 340 decisions away, goals are all as far."""


class GoalNetworks(nn.Module):
    """A critic and a policy that are told the goal: both take a latent and the latent of the goal.

    The critic predicts the discounted number of decisions until the goal, sum of gamma^t over the decisions that it
    takes: between 1 and 1 / (1 - gamma). It is the cost-to-go where a decision costs 1 and the goal ends the
    episode.

    Args:
        latent: size of z.
        act: size of an action.
        hidden: width of the hidden layers.
        critics: size of the critic's ensemble.
        bins: of each of its heads.
        discount: gamma, per decision.
        by_changes: whether plans predict by residual dynamics, which are learned beside these networks.
    """

    def __init__(
        self, latent: int, act: int, hidden: int, critics: int, bins: int, discount: float = DISCOUNT,
        *, by_changes: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.discount = discount
        self.critic = Critic(2 * latent, act, hidden, critics, bins)
        self.critic.scale.fill_(1.0 / (1.0 - discount) / Critic.LIMIT)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.policy = Policy(2 * latent, act, hidden)
        self.dynamics = ResidualDynamics(latent, act) if by_changes else None
        """Predict what plans for goals come to; None leaves that to the world model."""

    def decisions(
        self, z: Float[Tensor, "rows latent"], goal: Float[Tensor, "rows latent"]
    ) -> Float[Tensor, " rows"]:
        """The discounted number of decisions from `z` to `goal` under the policy, by the most pessimistic critic.

        Plans and ways look for what takes few decisions, and would find where one critic errs.
        """
        pair = torch.cat((z, goal), -1)
        return full(self.critic(pair, self.policy(pair))).amax(-1)

    @torch.no_grad()
    def steps(
        self, z: Float[Tensor, "rows latent"], goal: Float[Tensor, "rows latent"]
    ) -> Float[Tensor, " rows"]:
        """The number of decisions that has this discounted number: 1 / (1 - gamma) is never reached."""
        left = 1.0 - (1.0 - self.discount) * self.decisions(z, goal)
        return left.clamp(LEAST_LEFT, 1.0).log() / math.log(self.discount)


class PolicyTowards:
    """The goal's policy for one goal, as `Actor` takes a policy.

    Args:
        networks: have the policy.
        target: what is acted towards.
    """

    def __init__(self, networks: GoalNetworks, target: GoalTarget) -> None:
        self._policy, self._target = networks.policy, target
        self.action_size = networks.policy.action_size

    def _pair(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, "rows pair"]:
        return torch.cat((z, self._target.rows(len(z))), -1)

    def __call__(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, "rows act"]:
        """See `Policy.forward`."""
        found: Tensor = self._policy(self._pair(z))
        return found

    def draw(
        self, z: Float[Tensor, "rows latent"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "rows act"]:
        """See `Policy.draw`."""
        return self._policy.draw(self._pair(z), generator)

    def with_noise(
        self, z: Float[Tensor, "rows latent"], noise: Float[Tensor, "n act"]
    ) -> Float[Tensor, "rows act"]:
        """See `Policy.with_noise`."""
        return self._policy.with_noise(self._pair(z), noise)
