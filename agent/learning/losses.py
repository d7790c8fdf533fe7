"""The data, the predictions and the losses of one gradient step."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from agent.configurator.settings import LearningConfig
from agent.world_model.dynamics import Step


@dataclass(frozen=True)
class WindowBatch:
    """Windows of the replay buffer as tensors; the columns of `Windows`, with normalised observations."""

    obs: Any
    """[time + 1, batch, obs], normalised, or such a tensor for each part of the observation."""
    action: Float[Tensor, "time batch act"]
    cost: Float[Tensor, "time batch"]
    terminated: Float[Tensor, "time batch"]
    valid: Bool[Tensor, "time batch"]
    readout: Float[Tensor, "time_and_one batch readouts"]

    def stored_actions(self, decisions: int) -> tuple[Float[Tensor, "rows act"], Float[Tensor, " rows"]]:
        """The actions that were taken in the states of a policy update, and 1 where one is known.

        Args:
            decisions: those of the prediction window; the states are those of `Learner.policy_states`.
        """
        length = self.valid[:decisions].sum(0)
        over = (length < decisions) | (self.terminated[:decisions] > 0).any(0)
        place, every = length - over.long(), torch.arange(length.numel(), device=length.device)
        held = place.clamp_max(len(self.action) - 1)
        known = (place < len(self.action)) & self.valid[held, every]
        rows = torch.cat((self.action[0], self.action[held, every]))
        return rows, torch.cat((torch.ones_like(known), known)).to(rows)

    def whole(self, decisions: int) -> bool:
        """Whether every window has so many transitions of one episode, and none terminates it."""
        return bool(self.valid[:decisions].all()) and not bool(self.terminated[:decisions].any())


@dataclass(frozen=True)
class Predictions:
    """What the networks compute from a batch of windows."""

    target_z: Float[Tensor, "time batch latent"]
    """Latents of the observations that followed, by the target encoder."""
    target: Float[Tensor, "window batch"]
    """Targets of the critic."""
    latents: list[Float[Tensor, "batch latent"]]
    """Predicted along the window, beginning with the encoder's first latent."""
    usual_disagreement: Float[Tensor, ""]
    """The moving average of the disagreement, this batch included."""
    following: Float[Tensor, "steps batch latent"] | None = None
    """The encoder's latents of the first observations that followed, with their gradient: of the second one for
    inverse dynamics, of all of the window for a contrast; None without both."""


@dataclass(frozen=True)
class HeadOutputs:
    """What the heads predict along the windows, flattened over time and batch."""

    imagined: Step
    """Predicted steps."""
    critic_logits: Float[Tensor, "rows critics bins"]


def row_weights(
    step_weight: Float[Tensor, "window 1"], valid: Bool[Tensor, "window batch"]
) -> Float[Tensor, " rows"]:
    """Weights of the rows of a loss, flattened over window and batch.

    The loss is the mean over the valid rows of a batch, weighted by the prediction step.

    Args:
        step_weight: of the prediction steps.
        valid: where a transition belongs to the window's episode.
    """
    weight = step_weight * valid
    return (weight / valid.to(step_weight).mean().clamp_min(1e-6) / valid.shape[1]).flatten()


@dataclass(frozen=True)
class Losses:
    """The terms that one gradient step minimises."""

    prediction: Float[Tensor, ""]
    cost: Float[Tensor, ""]
    critic: Float[Tensor, ""]
    termination: Float[Tensor, ""]
    regularizer: Float[Tensor, ""]
    readout: Float[Tensor, ""]
    inverse: Float[Tensor, ""]

    def total(
        self, config: LearningConfig, regularizer_weight: float, inverse_weight: float
    ) -> Float[Tensor, ""]:
        """Their weighted sum."""
        total = (
            config.prediction_weight * self.prediction
            + config.cost_weight * self.cost
            + config.critic_weight * self.critic
            + config.termination_weight * self.termination
            + regularizer_weight * self.regularizer
            + self.readout
        )
        return total + inverse_weight * self.inverse if inverse_weight else total


def known_readouts(
    observed: Float[Tensor, "batch readouts"], read: Float[Tensor, "batch readouts"]
) -> Float[Tensor, "batch readouts"]:
    """What is observed, and in rows without readouts (NaN throughout) what was read: the difference there is 0."""
    return torch.where(observed.isnan().all(-1, keepdim=True), read.detach(), observed)
