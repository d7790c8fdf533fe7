"""The policy's part of a fused update: its loss at given states, and the gradient of it."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from agent.actor.policy import LOG_STD_HIGH, LOG_STD_LOW
from agent.fused_layers import FusedMLP, Pass
from agent.fused_networks import ensemble_logits
from agent.layers import TwoHot

HALF_RANGE = 0.5 * (LOG_STD_HIGH - LOG_STD_LOW)
"""Half the range of the log standard deviation."""


def quantiles(values: list[float], shares: list[float]) -> list[float]:
    """As `torch.quantile`, whose checks take longer than the rest; all NaN where a value is NaN."""
    if any(map(math.isnan, values)):
        return [math.nan] * len(shares)
    ordered, found = sorted(values), []
    for share in shares:
        rank = share * (len(ordered) - 1)
        low, high = ordered[math.floor(rank)], ordered[math.ceil(rank)]
        found.append(low + (rank - math.floor(rank)) * (high - low))
    return found


class FusedPolicy:
    """A squashed Gaussian policy, and what critics say of its actions.

    Args:
        policy: the network of the policy.
        critics: the networks of the critics, which get no gradient here.
        two_hot: the head of every critic.
    """

    def __init__(self, policy: FusedMLP, critics: Sequence[FusedMLP], two_hot: TwoHot) -> None:
        self.policy, self.critics, self.two_hot = policy, critics, two_hot
        self.kept: tuple[Tensor, ...] = ()
        """Of the last `evaluate`: action, noise, standard deviation, its tanh, shares and values by critic, and the
        most likely action before squashing."""
        self.passes: list[Pass] = []
        """Of the last `evaluate`: the policy's, and those of the critics."""

    def draw(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, "rows act"]:
        """As `Policy.draw`."""
        mean, width = self.policy.forward(z)[0].chunk(2, -1)
        noise = torch.randn(mean.shape, dtype=mean.dtype)
        log_std = LOG_STD_LOW + HALF_RANGE * (width.tanh() + 1.0)
        return torch.addcmul(mean, noise, log_std.exp_()).tanh_()

    def evaluate(
        self, z: Float[Tensor, "rows latent"], critic_scale: Float[Tensor, ""]
    ) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"]]:
        """Draws an action in every state, as `Policy.sample`.

        Args:
            z: states.
            critic_scale: unit of the critics.

        Returns:
            The log-probability of the actions, and their cost-to-go by the mean of the critics.
        """
        out, own = self.policy.forward(z)
        mean, width = out.chunk(2, -1)
        noise = torch.randn(mean.shape, dtype=mean.dtype)
        tanh = width.tanh()
        log_std = LOG_STD_LOW + HALF_RANGE * (tanh + 1.0)
        std = log_std.exp()
        raw = torch.addcmul(mean, noise, std)
        # log(1 - tanh(x)^2) = 2 (log 2 - x - softplus(-2x)); the constants of all dimensions are added at the end.
        terms = F.softplus(-2.0 * raw).add_(raw).mul_(2.0).sub_(log_std)
        log_prob = torch.addcmul(terms, noise, noise, value=-0.5).sum(-1)
        log_prob -= mean.shape[1] * (2.0 * math.log(2.0) + 0.5 * math.log(2.0 * math.pi))
        action = raw.tanh_()
        logits, passes = ensemble_logits(self.critics, torch.cat((z, action), -1), self.two_hot.bins)
        share = logits.softmax(-1)
        value = share @ self.two_hot.centres
        self.kept, self.passes = (action, noise, std, tanh, share, value, mean), [own, *passes]
        return log_prob, value.mean(1) * critic_scale

    def backward(
        self,
        critic_weight: float,
        entropy_weight: float,
        stored: tuple[Float[Tensor, "rows act"], Float[Tensor, " rows"]] | None = None,
        cloning_weight: float = 0.0,
    ) -> None:
        """Writes the policy's gradient of the mean over states of its loss.

        Args:
            critic_weight: of the cost-to-go over the unit of the critics.
            entropy_weight: of the log-probability.
            stored: as for `Learner.update_policy`.
            cloning_weight: of the squared distance from the stored actions.
        """
        action, noise, std, tanh, share, value, likely_mean = self.kept
        own, *passes = self.passes
        rows, members = value.shape
        act = action.shape[1]
        inputs = slice(own.inputs[0].shape[1], None)
        g = (self.two_hot.centres - value.unsqueeze(-1)).mul_(share).mul_(critic_weight / (rows * members))
        back = torch.zeros_like(action)
        for critic, kept, on_logits in zip(self.critics, passes, g.unbind(1), strict=True):
            critic.backward(on_logits, kept, parameters=False)
            back += critic.input_gradient(kept, inputs)
        per_row = entropy_weight / rows
        out = action.new_empty(rows, 2 * act)
        # The log-probability loses log(1 - tanh(x)^2), whose derivative is -2 tanh(x).
        mean = torch.addcmul(back, back.mul(action), action, value=-1.0).add_(action, alpha=2.0 * per_row)
        out[:, :act] = mean
        spread = mean.mul_(noise).mul_(std).sub_(per_row)
        out[:, act:] = torch.addcmul(spread, spread.mul(tanh), tanh, value=-1.0).mul_(HALF_RANGE)
        if stored is not None:
            actions, known = stored
            likely = likely_mean.tanh()
            share_of_row = known.mul(2.0 * cloning_weight / rows).unsqueeze(1)
            out[:, :act] += (likely - actions).mul_(share_of_row).mul_(1.0 - likely.square())
        self.policy.backward(out, own)
        self.policy.write_gradients([own])
        self.kept, self.passes = (), []
