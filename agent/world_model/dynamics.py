"""WORLD MODEL: predicts the next latent by an ensemble, and the cost of the step.

LeCun 2022, section 4.4: it predicts the representation of the next state, never the observation. A trunk
reads (z, action). From its features the dynamics heads predict the next latent, and the cost head predicts
the immediate cost and the probability of termination, so that a predicted step needs one pass of matrix
products.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from agent.layers import NormedLinear, TwoHot, full, through, zero_linear
from agent.perception.regularizers import Regularizer, predicts_changes


@dataclass(frozen=True)
class Step:
    """A predicted step of `rows` states at once."""

    heads: Float[Tensor, "heads rows latent"]
    """Each head's prediction of the next latent."""
    cost_logits: Float[Tensor, "rows bins"]
    """Two-hot logits of the immediate cost."""
    termination: Float[Tensor, " rows"]
    """Logit of the episode terminating with this step."""

    @property
    def z(self) -> Float[Tensor, "rows latent"]:
        """The ensemble's mean, from which a rollout continues."""
        return mean_of(self.heads)

    @property
    def disagreement(self) -> Float[Tensor, " rows"]:
        """Ensemble disagreement, the model's uncertainty; see `disagreement`."""
        return disagreement(self.heads)


def mean_of(heads: Float[Tensor, "heads rows latent"]) -> Float[Tensor, "rows latent"]:
    """The mean over heads. Along an axis of few entries, `Tensor.mean` takes five times as long."""
    total, *others = heads.unbind(0)
    for other in others:
        total = total + other
    return total / heads.shape[0]


def disagreement(heads: Float[Tensor, "heads rows latent"]) -> Float[Tensor, " rows"]:
    """Ensemble disagreement: the root of the variance over heads, averaged over dimensions."""
    # Not `Tensor.var`: along a leading axis it is ten times slower.
    return (heads - mean_of(heads)).square().mean((0, 2)).sqrt()


@runtime_checkable
class StepModel(Protocol):
    """What plans predict by: the world model, or another model of the same latents."""

    def predict(self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]) -> Step:
        """One predicted step from `z` under `action`."""
        ...

    def expect(
        self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]
    ) -> Float[Tensor, "rows latent"]:
        """The `z` of `predict`."""
        ...


class CostHead(nn.Sequential):
    """Reads the cost and the termination of a step off the trunk's features, by one product.

    Args:
        hidden: size of the features.
        width: of the layer between.
        bins: of the two-hot cost.
    """

    def __init__(self, hidden: int, width: int, bins: int):
        super().__init__(NormedLinear(hidden, width), zero_linear(width, bins + 1))

    def read(
        self, features: Float[Tensor, "rows hidden"]
    ) -> tuple[Float[Tensor, "rows bins"], Float[Tensor, " rows"]]:
        """Two-hot logits of the immediate cost, and the logit of termination."""
        logits = full(through(self, features))
        return logits[:, :-1], logits[:, -1]

    @torch.no_grad()
    def forget_costs(self) -> None:
        """From now on it reads costs like an untrained head, and terminations as before."""
        for parameter in self[-1].parameters():
            parameter[:-1] = 0.0


class WorldModel(nn.Module):
    """(z, action) -> Step.

    The cost head learns costs over `cost_scale`, their root mean square in this environment.

    Args:
        latent: size of z.
        act: size of an action.
        hidden: width of the trunk.
        head_width: width of the layer before each head.
        heads: dynamics heads in the ensemble.
        bins: of the two-hot cost head.
        regularizer: shapes the predicted latents.
    """

    cost_scale: Tensor

    def __init__(
        self, latent: int, act: int, hidden: int, head_width: int, heads: int, bins: int,
        regularizer: Regularizer,
    ):  # fmt: skip
        super().__init__()
        self.costs_shape_features = True
        """Whether the features get the gradient of the cost head."""
        self.regularizer = regularizer
        self.residual = predicts_changes(regularizer)
        """Whether the heads predict the change of the latent."""
        self.two_hot = TwoHot(bins, limit=10.0, logarithmic=True)
        self.register_buffer("cost_scale", torch.ones(()))
        self.trunk = NormedLinear(latent + act, hidden)
        self.dynamics = nn.ModuleList(
            nn.Sequential(NormedLinear(hidden, head_width), nn.Linear(head_width, latent))
            for _ in range(heads)
        )
        self.cost = CostHead(hidden, head_width, bins)

    def heads(
        self, features: Float[Tensor, "rows hidden"], z: Float[Tensor, "rows latent"]
    ) -> Float[Tensor, "heads rows latent"]:
        """The next latent by each head, from the trunk's features and the latent before."""
        # Along SimNorm's axis a bfloat16 softmax takes eight times as long as a cast and a float32 softmax.
        raw = full(torch.stack([through(head, features) for head in self.dynamics]))
        return self.regularizer.project(raw + z if self.residual else raw)

    def predict(self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]) -> Step:
        """One predicted step from `z` under `action`."""
        features = self.trunk.forward(torch.cat((z, action), -1))
        cost_logits, termination = self.cost.read(
            features if self.costs_shape_features else features.detach()
        )
        return Step(self.heads(features, z), cost_logits, termination)

    def expect(
        self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]
    ) -> Float[Tensor, "rows latent"]:
        """The `z` of `predict`, without the cost head."""
        return mean_of(self.heads(self.trunk.forward(torch.cat((z, action), -1)), z))

    def disagreement(
        self, z: Float[Tensor, "rows latent"], action: Float[Tensor, "rows act"]
    ) -> Float[Tensor, " rows"]:
        """The `disagreement` of `predict`, without the cost head."""
        return disagreement(self.heads(self.trunk.forward(torch.cat((z, action), -1)), z))

    def rollout(
        self, z: Float[Tensor, "rows latent"], actions: Float[Tensor, "rows horizon act"]
    ) -> list[Step]:
        """The `horizon` predicted steps from `z` under an action sequence."""
        steps: list[Step] = []
        for action in actions.unbind(1):
            steps.append(self.predict(z, action))
            z = steps[-1].z
        return steps

    def expected_cost(self, step: Step) -> Float[Tensor, " rows"]:
        """The immediate cost in the environment's units."""
        return self.two_hot.value(step.cost_logits) * self.cost_scale

    def loss(
        self,
        step: Step,
        target: Float[Tensor, "rows latent"],
        cost: Float[Tensor, " rows"],
        terminated: Float[Tensor, " rows"],
    ) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"], Float[Tensor, " rows"]]:
        """Losses of predicted steps, per row.

        Args:
            step: the predicted steps.
            target: the latents that followed.
            cost: the costs that were paid.
            terminated: 1 where the episode terminated.

        Returns:
            The squared latent prediction error, averaged over heads and dimensions; the cost head's
            cross-entropy; and the termination's.
        """
        prediction = (step.heads - target).square().mean((0, 2))
        cost_loss = self.two_hot.loss(step.cost_logits, cost / self.cost_scale)
        termination_loss = F.binary_cross_entropy_with_logits(step.termination, terminated, reduction="none")
        return prediction, cost_loss, termination_loss
