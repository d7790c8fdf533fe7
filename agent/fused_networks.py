"""The networks of the default agent on plain tensors, for gradients derived by hand and for planning.

Both evaluate small networks many times, so that calls of modules and records of autograd take longer than the
products. These are the same networks: every parameter is shared, and the numbers differ by rounding alone.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agent.actor.policy import Policy
from agent.cost.critic import Critic
from agent.fused_layers import FusedMLP, Pass
from agent.networks import Networks
from agent.perception.encoder import Encoder
from agent.perception.regularizers import SimNorm, simplicial_norm
from agent.world_model.dynamics import WorldModel, mean_of


def refusal(networks: Networks, precision: str) -> str | None:
    """Why these networks are left to modules and autograd; None where `FusedNetworks` serves them.

    Args:
        networks: the networks.
        precision: of the matrix products.
    """
    device = networks.quantiles.device
    if device.type != "cpu":
        return f"device {device} is not cpu"
    if precision != "float32":
        return f"learning.precision {precision} is not float32"
    kinds = (
        (networks.regularizer, SimNorm, "regularizer.kind is not simnorm"),
        (networks.encoder, Encoder, "the encoder is not that of one row of numbers"),
        (networks.world_model, WorldModel, "the world model is not Joule's own"),
        (networks.critic, Critic, "the critic is not Joule's own"),
        (networks.policy, Policy, "the policy is not Joule's own"),
    )
    for part, kind, why in kinds:
        if type(part) is not kind:
            return why
    return None


def sequential(layers: nn.Module) -> FusedMLP:
    """A network of normed layers with a linear one at its end."""
    assert isinstance(layers, nn.Sequential)
    *hidden, out = layers
    return FusedMLP(hidden, out)


def ensemble_logits(
    members: Sequence[FusedMLP], pairs: Float[Tensor, "rows pair"], bins: int
) -> tuple[Float[Tensor, "rows members bins"], list[Pass]]:
    """The output of every critic for states and actions, and what their backward passes need."""
    logits = pairs.new_empty(pairs.shape[0], len(members), bins)
    parts = zip(members, logits.unbind(1), strict=True)
    return logits, [member.forward(pairs, into)[1] for member, into in parts]


class FusedNetworks:
    """The networks, without modules.

    Args:
        networks: the networks; `refusal` is None for them. Their gradients are shared where they have them.
    """

    def __init__(self, networks: Networks) -> None:
        model, critic, policy = networks.world_model, networks.critic, networks.policy
        assert isinstance(networks.regularizer, SimNorm)
        self.group, self.latent = networks.regularizer.group_size, networks.encoder.out.out_features
        self.encoder = FusedMLP([networks.encoder.hidden], networks.encoder.out)
        self.trunk, self.cost = FusedMLP([model.trunk]), sequential(model.cost)
        self.heads = [sequential(head) for head in model.dynamics]
        self.critics = [sequential(member) for member in critic.members]
        self.target_critics = [sequential(member) for member in networks.target_critic.members]
        self.policy = FusedMLP([*policy.trunk], policy.out)
        self.readout = sequential(networks.readout)
        parts = (networks.encoder, model, critic, policy)
        self._places = [(p, p.data_ptr()) for p in (next(part.parameters()) for part in parts)]

    @property
    def outdated(self) -> bool:
        """Whether parameters have been moved to other memory since; then another object is needed."""
        return any(parameter.data_ptr() != place for parameter, place in self._places)

    def predict(
        self, pairs: Float[Tensor, "rows pair"]
    ) -> tuple[Float[Tensor, "heads rows latent"], Float[Tensor, "rows hidden"], list[Pass]]:
        """A predicted step from latents and actions.

        Returns:
            The next latent by each head; the features; and the passes of trunk and heads.
        """
        features, kept = self.trunk.forward(pairs)
        passes = [kept]
        raw = pairs.new_empty(len(self.heads), pairs.shape[0], self.latent)
        for head, into in zip(self.heads, raw.unbind(0), strict=True):
            passes.append(head.forward(features, into)[1])
        return simplicial_norm(raw, self.group), features, passes

    def disagreement(self, heads: Float[Tensor, "heads rows latent"]) -> Float[Tensor, " rows"]:
        """As `Step.disagreement`."""
        count = len(self.heads)
        if count == 2:  # both are half their difference away from the mean
            first, second = heads.unbind(0)
            return torch.linalg.vector_norm(first - second, dim=-1).div_(2.0 * self.latent**0.5)
        by_head = torch.linalg.vector_norm(heads - mean_of(heads), dim=-1)
        return torch.linalg.vector_norm(by_head, dim=0).div_((count * self.latent) ** 0.5)
