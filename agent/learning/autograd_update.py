"""The losses of one gradient step for autograd: the reference, and the way of every configuration.

`agent.learning.fused_update` has the same for the default, with gradients by hand.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from agent.configurator.settings import LearningConfig
from agent.cost.returns import bootstraps, n_step_targets
from agent.layers import full
from agent.learning import curiosity as bonus
from agent.learning.losses import (
    HeadOutputs,
    Losses,
    Predictions,
    WindowBatch,
    known_readouts,
    row_weights,
)
from agent.memory.columns import map_parts
from agent.networks import Networks
from agent.perception.regularizers import ContrastiveRegularizer
from agent.world_model.dynamics import Step


class AutogradUpdate:
    """Predictions along windows, and the losses of model, critics and readout.

    Args:
        networks: the networks.
        config: the settings of learning.
        discount: gives the discount per decision, which may change from one update to the next.
        rewardless: learns without rewards: neither the cost head nor the critic shapes the latent.
        tau: rate at which the usual disagreement follows.
        step_weight: [window, 1], weights of the prediction steps.
    """

    def __init__(
        self,
        networks: Networks,
        config: LearningConfig,
        discount: Callable[[], float],
        rewardless: bool,
        tau: float,
        step_weight: Float[Tensor, "window 1"],
    ) -> None:
        self.networks, self.config, self.discount = networks, config, discount
        self.rewardless, self.tau, self.step_weight = rewardless, tau, step_weight

    def arithmetic(self) -> AbstractContextManager[object]:
        """Context of the matrix products, in bfloat16 where the settings say so."""
        if self.config.precision == "bfloat16":
            return torch.autocast(self.step_weight.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def predict(
        self, batch: WindowBatch, curiosity: float, encoder_frozen: bool
    ) -> tuple[Predictions, HeadOutputs]:
        """Latents, targets, and the predicted steps along the windows; arguments as `Learner.update`."""
        networks, config, window = self.networks, self.config, self.config.window_decisions
        followed = 0 if networks.inverse is None else 1
        if isinstance(networks.regularizer, ContrastiveRegularizer):
            followed = window
        following = None
        if followed:
            with torch.no_grad() if encoder_frozen else nullcontext():
                following = full(networks.encoder(map_parts(lambda part: part[1 : 1 + followed], batch.obs)))
        with torch.no_grad():
            target_z = self._target_latents(batch, following)
            used = bootstraps(batch.valid, config.n_step)
            next_value = torch.zeros_like(batch.cost)
            next_value[used] = self.value(target_z[used])
        with torch.no_grad() if encoder_frozen else nullcontext():
            z = full(networks.encoder(map_parts(lambda part: part[0], batch.obs)))
        cost, usual = batch.cost, None
        if curiosity:
            stored = torch.cat((z.detach().unsqueeze(0), target_z[:-1]))
            novelty, usual = self.novelty(stored, batch.action, batch.valid)
            cost = cost - curiosity * networks.world_model.cost_scale * novelty
        target = n_step_targets(
            cost, batch.terminated, batch.valid, next_value, self.discount(), config.n_step
        )[:window]
        latents, steps = [z], []
        for k in range(window):
            steps.append(networks.world_model.predict(latents[-1], batch.action[k]))
            latents.append(full(steps[-1].z))
        imagined = Step(
            torch.cat([step.heads for step in steps], 1),
            torch.cat([step.cost_logits for step in steps]),
            torch.cat([step.termination for step in steps]),
        )
        rows = torch.stack(latents[:-1]).flatten(0, 1)
        rows = rows.detach() if self.rewardless else rows
        critic_logits = full(networks.critic.logits(rows, batch.action[:window].flatten(0, 1)))
        if usual is None:
            disagreement = imagined.disagreement.detach()
            usual = self.usual_disagreement(disagreement[batch.valid[:window].flatten()])
        view = Predictions(target_z, target, latents, usual, following)
        return view, HeadOutputs(imagined, critic_logits)

    def _target_latents(
        self, batch: WindowBatch, following: Float[Tensor, "steps batch latent"] | None
    ) -> Float[Tensor, "time batch latent"]:
        """Latents of all observations but the first, by the target encoder; `following` are the first of them."""
        networks, time = self.networks, len(batch.action)
        if following is None or networks.target_encoder is not networks.encoder:
            return full(networks.target_encoder(map_parts(lambda part: part[1:], batch.obs)))
        known = following.detach()
        if time == len(known):
            return known
        others = map_parts(lambda part: part[1 + len(known) :], batch.obs)
        return torch.cat((known, full(networks.encoder(others))))

    def losses(self, batch: WindowBatch, view: Predictions, outputs: HeadOutputs) -> Losses:
        """The loss of each term: the batch mean over valid steps, rho-weighted over the window."""
        networks, window = self.networks, self.config.window_decisions
        valid = batch.valid[:window]
        weight = row_weights(self.step_weight, valid)
        contrastive = isinstance(networks.regularizer, ContrastiveRegularizer)
        targets = view.following if contrastive and view.following is not None else view.target_z
        observed = (x[:window].flatten(0, 1) for x in (targets, batch.cost, batch.terminated))
        errors = networks.world_model.loss(outputs.imagined, *observed)
        prediction, cost, termination = ((weight * error).sum() for error in errors)
        critics = outputs.critic_logits.shape[1]
        target = (view.target / networks.critic.scale).flatten().unsqueeze(1).expand(-1, critics)
        critic = (weight * networks.critic.two_hot.loss(outputs.critic_logits, target).mean(1)).sum()
        first = view.latents[0]
        regularizer = networks.regularizer.loss(first)
        if isinstance(networks.regularizer, ContrastiveRegularizer):
            predicted = torch.stack(view.latents[1:])
            regularizer = regularizer + networks.regularizer.contrast(predicted, targets, valid)
        read = networks.readout(first.detach())
        readout = F.mse_loss(read, known_readouts(networks.readout_normalizer(batch.readout[0]), read))
        inverse = first.new_zeros(())
        if networks.inverse is not None and view.following is not None:
            with self.arithmetic():
                action = full(networks.inverse(torch.cat((first, view.following[0]), -1)))
            inverse = F.mse_loss(action, batch.action[0])
        return Losses(prediction, cost, critic, termination, regularizer, readout, inverse)

    @torch.no_grad()
    def novelty(
        self,
        z: Float[Tensor, "time batch latent"],
        action: Float[Tensor, "time batch act"],
        valid: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch"], Float[Tensor, ""]]:
        """Ensemble disagreement on stored transitions, for the curiosity bonus.

        Returns:
            The disagreement over the usual one, at most LARGEST_NOVELTY; and the usual one from now on.
        """
        model = self.networks.world_model
        disagreement = model.disagreement(z.flatten(0, 1), action.flatten(0, 1)).view(valid.shape)
        usual = self.usual_disagreement(disagreement[valid])
        return bonus.novelty(disagreement, usual), usual

    def usual_disagreement(self, newest: Float[Tensor, " rows"]) -> Float[Tensor, ""]:
        """The moving average of the disagreement with the newest values; their mean at first."""
        return bonus.usual_disagreement(self.networks.usual_disagreement, newest, self.tau)

    def value(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, " rows"]:
        """Cost-to-go under the policy by the most pessimistic target critic (Fujimoto et al. 2018)."""
        action = self.networks.policy.draw(z)
        return full(self.networks.target_critic(z, action.to(z))).amax(1)
