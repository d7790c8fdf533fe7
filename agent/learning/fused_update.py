"""The gradients of one update, derived by hand: the numbers of autograd in less time.

`agent.learning.autograd_update` has the losses for autograd. That is the reference, and the only way for
configurations other than the default. `FusedUpdate` computes the same losses for the default, with the same random
numbers, and gradients that differ by rounding alone. `agent.fused_layers` has the passes through a network. Here
is how gradients flow from one network to another:

    critic, cost head, latent prediction -> predicted step W -> ... -> predicted step 1 -> encoder
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from agent.configurator.settings import LearningConfig
from agent.cost.returns import bootstraps
from agent.fused_layers import Pass, TwoHotLoss, simplicial_norm_backward
from agent.fused_networks import FusedNetworks, ensemble_logits
from agent.learning import curiosity as bonus
from agent.learning.fused_policy import FusedPolicy
from agent.learning.losses import Losses, Predictions, WindowBatch, known_readouts, row_weights
from agent.networks import Networks
from agent.perception.regularizers import simplicial_norm
from agent.world_model.dynamics import mean_of


@dataclass(slots=True)
class Rollout:
    """The predicted steps along the windows, and what their backward pass needs; lists are in order of time."""

    pairs: Float[Tensor, "window batch pair"]
    """Latents and actions from which the steps were predicted."""
    latents: list[Float[Tensor, "batch latent"]]
    """As in `Predictions`."""
    heads: list[Float[Tensor, "heads batch latent"]]
    errors: list[Float[Tensor, "heads batch latent"]]
    """Predictions minus targets."""
    features: list[Float[Tensor, "batch hidden"]]
    passes: list[list[Pass]]
    """Of the trunk and of every head, a list each."""


class FusedUpdate:
    """Losses and gradients of model, critics and readout; those of the policy are in `policy`.

    Args:
        networks: the networks; `agent.fused_networks.refusal` is None for them. Their parameters have gradients, as
            `agent.learning.flat_parameters` gives them.
        config: the settings of learning.
        discount: per decision.
        tau: rate at which the usual disagreement follows.
        step_weight: [window, 1], weights of the prediction steps.
    """

    def __init__(
        self,
        networks: Networks,
        config: LearningConfig,
        discount: float,
        tau: float,
        step_weight: Float[Tensor, "window 1"],
    ) -> None:
        self.networks, self.config, self.discount, self.tau = networks, config, discount, tau
        self.step_weight, self.window = step_weight, config.window_decisions
        model, critic = networks.world_model, networks.critic
        self.fused = fused = FusedNetworks(networks)
        self.latent = fused.latent
        self.policy = FusedPolicy(fused.policy, fused.critics, critic.two_hot)
        self.cost_loss, self.critic_loss = TwoHotLoss(model.two_hot), TwoHotLoss(critic.two_hot)
        self.cost_scale, self.critic_scale = model.cost_scale, critic.scale

    @torch.inference_mode()
    def model(self, batch: WindowBatch, curiosity: float, encoder_frozen: bool) -> tuple[Losses, Predictions]:
        """As `gradients`."""
        return self.gradients(batch, curiosity, encoder_frozen, batch.whole(len(batch.action)))

    def gradients(
        self, batch: WindowBatch, curiosity: float, encoder_frozen: bool, whole: bool
    ) -> tuple[Losses, Predictions]:
        """Writes the gradients of encoder, world model, critics and readout.

        Args:
            batch: the windows.
            curiosity: as in `Learner.update`.
            encoder_frozen: leaves out the encoder's gradients.
            whole: whether no window has the end of an episode in it.

        Returns:
            The losses and the predictions of `AutogradUpdate`.
        """
        time, size, _ = batch.action.shape
        valid = batch.valid[: self.window]
        raw, encoder_pass = self.fused.encoder.forward(batch.obs.flatten(0, 1))
        encoder_pass = encoder_pass.first(size)  # the targets get no gradient
        z = simplicial_norm(raw, self.fused.group).view(time + 1, size, self.latent)
        first, target_z = z[0], z[1:]
        value = self.next_value(target_z, batch.valid, whole)
        pairs = torch.cat((z[:-1], batch.action), -1)
        rollout = self.rollout(first, pairs[: self.window], target_z)
        cost, usual = self.cost_with_curiosity(batch, pairs, rollout.heads, curiosity, whole)
        target = self.n_step_targets(cost, batch, value)[: self.window]

        weight = row_weights(self.step_weight, valid)
        critic, on_latents = self.critic_gradients(rollout.pairs.flatten(0, 1), target, weight)
        features = torch.cat(rollout.features)
        cost, termination, on_features = self.cost_gradients(features, batch, weight)
        prediction, back = self.rollout_gradients(rollout, features, weight, on_latents, on_features)
        if not encoder_frozen:
            g = simplicial_norm_backward(back, first, self.fused.group)
            self.fused.encoder.backward(g, encoder_pass)
            self.fused.encoder.write_gradients([encoder_pass])
        readout = self.readout_gradients(first, batch.readout[0])
        none = first.new_zeros(())  # of the terms that other configurations have
        losses = Losses(prediction, cost, critic, termination, none, readout, none)
        return losses, Predictions(target_z, target, rollout.latents, usual)

    # Targets

    def value(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, " rows"]:
        """As `AutogradUpdate.value`."""
        pairs = torch.cat((z, self.policy.draw(z)), -1)
        critic = self.networks.target_critic
        logits, _ = ensemble_logits(self.fused.target_critics, pairs, critic.two_hot.bins)
        return (critic.two_hot.value(logits) * critic.scale).amax(1)

    def next_value(
        self, target_z: Float[Tensor, "time batch latent"], valid: Bool[Tensor, "time batch"], whole: bool
    ) -> Float[Tensor, "time batch"]:
        """The value after every transition from which a target bootstraps; 0 elsewhere."""
        value = target_z.new_zeros(valid.shape)
        if whole:
            first = min(self.config.n_step, valid.shape[0]) - 1
            value[first:] = self.value(target_z[first:].flatten(0, 1)).view(-1, valid.shape[1])
        else:
            used = bootstraps(valid, self.config.n_step)
            value[used] = self.value(target_z[used])
        return value

    def n_step_targets(
        self, cost: Float[Tensor, "time batch"], batch: WindowBatch, next_value: Float[Tensor, "time batch"]
    ) -> Float[Tensor, "time batch"]:
        """As `agent.cost.returns.n_step_targets`, by recursion.

        A target of j steps is the cost and the target of j - 1 steps from the next state, while the episode lasts.
        """
        one = self.one_step_target(cost, batch.terminated, next_value)
        target, ends = one, batch.terminated[:-1].bool().logical_or_(~batch.valid[1:])
        for _ in range(min(self.config.n_step, cost.shape[0]) - 1):
            further = self.with_later(cost[:-1], target[1:])
            target = torch.cat((torch.where(ends, one[:-1], further), one[-1:]))
        return target

    def one_step_target(
        self,
        cost: Float[Tensor, "time batch"],
        terminated: Float[Tensor, "time batch"],
        next_value: Float[Tensor, "time batch"],
    ) -> Float[Tensor, "time batch"]:
        """The cost, and what follows where the episode does not terminate."""
        return torch.addcmul(cost, 1.0 - terminated, next_value, value=self.discount)

    def with_later(
        self, cost: Float[Tensor, "steps batch"], target: Float[Tensor, "steps batch"]
    ) -> Float[Tensor, "steps batch"]:
        """The cost, and the target of the step after it."""
        return torch.add(cost, target, alpha=self.discount)

    def with_bonus(
        self, cost: Float[Tensor, "time batch"], novelty: Float[Tensor, "time batch"], curiosity: float
    ) -> Float[Tensor, "time batch"]:
        """The cost, less the bonus of curiosity."""
        return torch.add(cost, novelty, alpha=-curiosity * self.cost_scale.item())

    def cost_with_curiosity(
        self,
        batch: WindowBatch,
        pairs: Float[Tensor, "time batch pair"],
        heads: list[Float[Tensor, "heads batch latent"]],
        curiosity: float,
        whole: bool,
    ) -> tuple[Float[Tensor, "time batch"], Float[Tensor, ""]]:
        """The costs of the critic's targets, and the usual disagreement from now on.

        Args:
            batch: the windows.
            pairs: stored latents and actions.
            heads: of the predicted steps. The first one starts from stored latents too.
            curiosity: weight of the bonus; with 0 the disagreement is that of the predicted steps.
            whole: whether every transition is valid.
        """
        if curiosity:
            stored, _, _ = self.fused.predict(pairs[1:].flatten(0, 1))
            measured, valid = [heads[0], stored], batch.valid
        else:
            measured, valid = heads, batch.valid[: self.window]
        disagreement = torch.cat([self.fused.disagreement(one) for one in measured])
        usual = self.usual(disagreement, valid, whole)
        if not curiosity:
            return batch.cost, usual
        novelty = bonus.novelty(disagreement, usual).view(batch.cost.shape)
        return self.with_bonus(batch.cost, novelty, curiosity), usual

    def usual(
        self, disagreement: Float[Tensor, " rows"], valid: Bool[Tensor, "time batch"], whole: bool
    ) -> Float[Tensor, ""]:
        """The usual disagreement from now on."""
        newest = disagreement if whole else disagreement[valid.flatten()]
        return bonus.usual_disagreement(self.networks.usual_disagreement, newest, self.tau)

    # Predicted steps

    def rollout(
        self,
        first: Float[Tensor, "batch latent"],
        pairs: Float[Tensor, "window batch pair"],
        target_z: Float[Tensor, "time batch latent"],
    ) -> Rollout:
        """The predicted steps along the windows.

        Args:
            first: latents at which the windows begin.
            pairs: stored latents and actions.
            target_z: latents that followed.
        """
        rollout = Rollout(pairs.clone(), [first], [], [], [], [[] for _ in range(1 + len(self.fused.heads))])
        for k, step in enumerate(rollout.pairs.unbind(0)):
            if k:
                step[:, : self.latent] = rollout.latents[k]
            heads, features, passes = self.fused.predict(step)
            rollout.latents.append(mean_of(heads))
            rollout.heads.append(heads)
            rollout.errors.append(heads - target_z[k])
            rollout.features.append(features)
            for every, kept in zip(rollout.passes, passes, strict=True):
                every.append(kept)
        return rollout

    # Losses and gradients

    def critic_gradients(
        self,
        pairs: Float[Tensor, "rows pair"],
        target: Float[Tensor, "window batch"],
        weight: Float[Tensor, " rows"],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "rows latent"]]:
        """Writes the critics' gradients. Returns their loss, and the gradient of the latents."""
        members = len(self.fused.critics)
        logits, passes = ensemble_logits(self.fused.critics, pairs, self.critic_loss.bins)
        scaled = (target / self.critic_scale).view(-1, 1).expand(-1, members)
        share = (weight * (self.config.critic_weight / members)).unsqueeze(1).expand(-1, members)
        loss, g = self.critic_loss(logits, scaled, share)
        back = torch.zeros_like(pairs[:, : self.latent])
        for critic, kept, on_logits in zip(self.fused.critics, passes, g.unbind(1), strict=True):
            critic.backward(on_logits, kept)
            back += critic.input_gradient(kept, slice(0, self.latent))
            critic.write_gradients([kept])
        return weight.dot(loss.mean(1)), back

    def cost_gradients(
        self, features: Float[Tensor, "rows hidden"], batch: WindowBatch, weight: Float[Tensor, " rows"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, "rows hidden"]]:
        """Writes the cost head's gradients.

        Returns:
            The losses of cost and termination, and the gradient of the features.
        """
        out, kept = self.fused.cost.forward(features)
        ended = batch.terminated[: self.window].flatten()
        scaled = (batch.cost[: self.window] / self.cost_scale).flatten()
        loss, on_cost = self.cost_loss(out[:, :-1], scaled, weight * self.config.cost_weight)
        logits = out[:, -1]
        termination = F.binary_cross_entropy_with_logits(logits, ended, reduction="none")
        on_logit = (logits.sigmoid() - ended).mul_(weight * self.config.termination_weight)
        g = torch.cat((on_cost, on_logit.unsqueeze(1)), 1)
        self.fused.cost.backward(g, kept)
        self.fused.cost.write_gradients([kept])
        return weight.dot(loss), weight.dot(termination), self.fused.cost.input_gradient(kept)

    def rollout_gradients(
        self,
        rollout: Rollout,
        features: Float[Tensor, "rows hidden"],
        weight: Float[Tensor, " rows"],
        on_latents: Float[Tensor, "rows latent"],
        on_features: Float[Tensor, "rows hidden"],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "batch latent"]]:
        """Writes the gradients of trunk and heads.

        Args:
            rollout: the predicted steps.
            features: of all steps.
            weight: of the rows.
            on_latents: gradient of the latents from which steps were predicted; the predictions' own is added.
            on_features: gradient of the features, likewise.

        Returns:
            The latent prediction loss, and the gradient of the first latents.
        """
        count, size = len(self.fused.heads), rollout.pairs.shape[1]
        entries = count * self.latent
        by_head = torch.cat([torch.linalg.vector_norm(error, dim=-1) for error in rollout.errors], 1)
        loss = weight.dot(by_head.square_().sum(0)) / entries
        share = (
            (weight * (2.0 * self.config.prediction_weight / entries)).view(self.window, size, 1).unbind(0)
        )
        on_latent, on_feature = on_latents.split(size), on_features.split(size)
        trunk_passes, *passes = rollout.passes
        back: Tensor | None = None
        for k in range(self.window - 1, -1, -1):
            g = rollout.errors[k].mul_(share[k])
            if back is not None:
                g.add_(back, alpha=1.0 / count)
            g = simplicial_norm_backward(g, rollout.heads[k], self.fused.group)
            onward = on_feature[k]
            for head, kept, on_head in zip(self.fused.heads, passes, g.unbind(0), strict=True):
                head.backward(on_head, kept[k])
                onward += head.input_gradient(kept[k])
            self.fused.trunk.backward(onward, trunk_passes[k])
            back = self.fused.trunk.input_gradient(trunk_passes[k], slice(0, self.latent)).add_(on_latent[k])
        self.fused.trunk.write_gradients(trunk_passes, rollout.pairs.flatten(0, 1))
        for head, kept in zip(self.fused.heads, passes, strict=True):
            head.write_gradients(kept, features)
        assert back is not None
        return loss, back

    def readout_gradients(
        self, z: Float[Tensor, "batch latent"], observed: Float[Tensor, "batch readouts"]
    ) -> Float[Tensor, ""]:
        """Writes the readout's gradients. Returns its loss; the latents get no gradient."""
        read, kept = self.fused.readout.forward(z)
        off = read - known_readouts(self.networks.readout_normalizer(observed), read)
        self.fused.readout.backward(off * (2.0 / off.numel()), kept)
        self.fused.readout.write_gradients([kept])
        return off.square_().mean()
