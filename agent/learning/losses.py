"""What one update computes from a batch of windows."""

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from agent.configurator.settings import LearningConfig
from agent.world_model.dynamics import Step


class WindowBatch(NamedTuple):
    """Windows from memory as tensors: the columns of `Windows`."""

    obs: Float[Tensor, "time_and_one batch obs"]
    action: Float[Tensor, "time batch act"]
    cost: Float[Tensor, "time batch"]
    terminated: Float[Tensor, "time batch"]
    valid: Bool[Tensor, "time batch"]
    readout: Float[Tensor, "time_and_one batch readouts"]


class Predictions(NamedTuple):
    """What the modules make of them."""

    target_z: Float[Tensor, "time batch latent"]
    target: Float[Tensor, "window batch"]
    """The critic's."""
    latents: list[Float[Tensor, "batch latent"]]
    """Imagined along the window, from the encoder's first on."""
    imagined: Step
    critic_logits: Float[Tensor, "rows critics bins"]
    usual: Float[Tensor, ""]
    """What disagreement is usual."""


class Losses(NamedTuple):
    """The terms that one update makes smaller."""

    prediction: Tensor
    cost: Tensor
    critic: Tensor
    termination: Tensor
    regularizer: Tensor
    readout: Tensor

    def total(self, config: LearningConfig, regularizer_weight: float) -> Tensor:
        """Their weighted sum."""
        return (
            config.prediction_weight * self.prediction
            + config.cost_weight * self.cost
            + config.critic_weight * self.critic
            + config.termination_weight * self.termination
            + regularizer_weight * self.regularizer
            + self.readout
        )
