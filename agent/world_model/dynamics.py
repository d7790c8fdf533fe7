"""WORLD MODEL: what the next latent will be, by an ensemble, and what the step costs.

The module LeCun puts at the centre: it predicts the representation of the next state, never the
observation. One trunk reads (z, action); from it an ensemble of heads predicts z', and the
immediate cost and the chance of termination are read off the same features, so that one pass of
matrix products serves a whole step of imagination.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from agent.layers import NormedLinear, TwoHot, full, zero_linear
from agent.perception.regularizers import Regularizer


class Step(NamedTuple):
    """One step of imagination for `rows` states at once."""

    heads: Float[Tensor, "heads rows latent"]
    """Each head's prediction of the next latent."""
    cost_logits: Float[Tensor, "rows bins"]
    """Two-hot logits of the immediate cost."""
    termination: Float[Tensor, " rows"]
    """Logit of the episode terminating with this step."""

    @property
    def z(self) -> Float[Tensor, "rows latent"]:
        """The ensemble's mean: the state that imagination goes on from."""
        return self.heads.mean(0)

    @property
    def disagreement(self) -> Float[Tensor, " rows"]:
        """Ensemble disagreement, what the model does not know: the root of the heads' mean variance."""
        return disagreement(self.heads)


def disagreement(heads: Float[Tensor, "heads rows latent"]) -> Float[Tensor, " rows"]:
    """Root over heads' variance, averaged over dimensions.

    `Tensor.var` along a leading axis is ten times slower.
    """
    return (heads - heads.mean(0)).square().mean((0, 2)).sqrt()


class WorldModel(nn.Module):
    """predict(z, a) -> Step, for latents of width `latent` and actions of width `act`.

    The cost head sees costs over `cost_scale`, their root mean square here.
    """

    cost_scale: Tensor

    def __init__(
        self, latent: int, act: int, hidden: int, head_width: int, heads: int, bins: int,
        regularizer: Regularizer,
    ):  # fmt: skip
        super().__init__()
        self.regularizer = regularizer
        self.two_hot = TwoHot(bins, limit=10.0, logarithmic=True)
        self.register_buffer("cost_scale", torch.ones(()))
        self.trunk = NormedLinear(latent + act, hidden)
        self.dynamics = nn.ModuleList(
            nn.Sequential(NormedLinear(hidden, head_width), nn.Linear(head_width, latent))
            for _ in range(heads)
        )
        self.cost = nn.Sequential(NormedLinear(hidden, head_width), zero_linear(head_width, bins + 1))

    def heads(self, features: Float[Tensor, "rows hidden"]) -> Float[Tensor, "heads rows latent"]:
        """What each head makes of the trunk's features."""
        # Over the axis that SimNorm takes, a bfloat16 softmax takes eight times a cast and a float32 one.
        raw = full(torch.stack([head(features) for head in self.dynamics]))
        return self.regularizer.project(raw)

    def predict(self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]) -> Step:
        """One step of imagination from `z` under `action`."""
        features = self.trunk(torch.cat((z, action), -1))
        logits = full(self.cost(features))
        return Step(self.heads(features), logits[:, :-1], logits[:, -1])

    def expect(
        self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]
    ) -> Float[Tensor, "rows latent"]:
        """The `z` of `predict`, without the work of what the step costs."""
        return self.heads(self.trunk(torch.cat((z, action), -1))).mean(0)

    def disagreement(
        self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]
    ) -> Float[Tensor, " rows"]:
        """The disagreement of `predict`, without what else a step has."""
        return disagreement(self.heads(self.trunk(torch.cat((z, action), -1))))

    def rollout(
        self, z: Float[Tensor, "rows latent"], actions: Float[Tensor, "rows horizon act"]
    ) -> list[Step]:
        """Imagines `horizon` steps from `z` under an action sequence."""
        steps: list[Step] = []
        for action in actions.unbind(1):
            steps.append(self.predict(z, action))
            z = steps[-1].z
        return steps

    def expected_cost(self, step: Step) -> Float[Tensor, " rows"]:
        """Immediate cost in the environment's units."""
        return self.two_hot.value(step.cost_logits) * self.cost_scale

    def loss(
        self,
        step: Step,
        target: Float[Tensor, "rows latent"],
        cost: Float[Tensor, " rows"],
        terminated: Float[Tensor, " rows"],
    ) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"], Float[Tensor, " rows"]]:
        """Per row: latent prediction error (mean over heads), cost and termination losses."""
        prediction = (step.heads - target).square().mean((0, 2))
        cost_loss = self.two_hot.loss(step.cost_logits, cost / self.cost_scale)
        termination_loss = F.binary_cross_entropy_with_logits(step.termination, terminated, reduction="none")
        return prediction, cost_loss, termination_loss
