"""One gradient step: latent prediction, costs, critic, readouts and policy, on a batch of windows.

The world model learns by predicting representations several steps ahead; the error is measured in
latent space against the encoder's own view of what came next, with the gradient stopped. Rewritten
from the equations of Hansen et al. 2022, 2024 (TD-MPC, equations 3 to 5 and TD-MPC2, equations 3 to 6).
"""

import math
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from agent.configurator.settings import LearningConfig
from agent.cost.returns import bootstraps, n_step_targets
from agent.learning.flat_parameters import FlatParameters
from agent.learning.losses import Losses, Predictions, WindowBatch
from agent.learning.skipped_updates import SkipBudget
from agent.memory.windows import Windows
from agent.networks import Networks
from agent.perception.collapse import latent_health
from agent.world_model.dynamics import Step

# The weight of the policy's entropy is steered as an integral controller would: its logarithm moves by
# this much per update and nat that the entropy is off, within bounds that the costs' spread sets.
ENTROPY_GAIN, ENTROPY_REACH = 3e-3, 5.0
ENTROPY_WEIGHTS = (math.log(1e-4), 0.0)
# More disagreement than this, in units of what is usual, counts for no more: an outlier must not lead.
MOST_NOVEL = 5.0
SHOWN = ("prediction", "cost", "critic", "termination", "regularizer")
"""Losses that are metrics under their own name."""


class Learner:
    """Holds the optimisers and takes gradient steps on `modules`."""

    def __init__(
        self,
        networks: Networks,
        config: LearningConfig,
        discount: float,
        *,
        target_entropy: float,
        curiosity: float,
        regularizer_weight: float,
        tau: float | None = None,
    ):
        self.networks, self.config, self.discount = networks, config, discount
        self.target_entropy, self.curiosity = target_entropy, curiosity
        self.regularizer_weight = regularizer_weight
        self.tau = config.tau if tau is None else tau
        m = networks
        fast = [*m.world_model.parameters(), *m.critic.parameters(), *m.readout.parameters()]
        self.model_group = FlatParameters(
            [
                (list(m.encoder.parameters()), config.encoder_learning_rate),
                (fast, config.learning_rate),
            ]
        )
        self.policy_group = FlatParameters([(list(m.policy.parameters()), config.learning_rate)])
        self.moving: list[tuple[list[Tensor], list[Tensor]]] = [
            (list(m.critic.parameters()), list(m.target_critic.parameters()))
        ]
        if m.target_encoder is not m.encoder:
            self.moving.append((list(m.encoder.parameters()), list(m.target_encoder.parameters())))
        self.updates = 0
        self.budget = SkipBudget(config.max_skipped_updates)
        self.collapsed = 0  # measurements in a row that saw a collapse
        self.first_std = 0.0  # deviation of the latents at the first measurement
        weight = config.rho ** torch.arange(
            config.window_decisions, device=m.quantiles.device, dtype=torch.float32
        )
        self.weight = (weight / weight.sum()).unsqueeze(1)

    @property
    def skipped(self) -> int:
        """Updates that were skipped because a loss or a gradient was not finite."""
        return self.budget.total

    def arithmetic(self) -> AbstractContextManager[object]:
        """bfloat16 for the matrix products when the configuration asks for it."""
        if self.config.precision == "bfloat16":
            return torch.autocast(self.weight.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def update(self, windows: Windows, *, measure: bool = False) -> dict[str, float]:
        """One gradient step on everything. Returns metrics when `measure` is set, else {}.

        A step whose loss or gradient is not finite changes nothing and is counted in `skipped`. Raises
        StopRun when that happens more often than `max_skips` allows.
        """
        lived = self.read(windows)
        with self.arithmetic():
            view = self.look(lived)
        losses = self.losses(lived, view)
        loss = losses.total(self.config, self.regularizer_weight)
        self.updates += 1
        if not torch.isfinite(loss):
            bad = ", ".join(
                f"{name} {term.item()}" for name, term in losses._asdict().items() if not term.isfinite()
            )
            self.budget.skipped(self.updates, f"a loss is not finite ({bad or loss.item()})")
            return {}
        self.model_group.zero_grad()
        loss.backward()
        norm = self.model_group.step(self.config.max_grad_norm)
        if not torch.isfinite(norm):
            self.budget.skipped(self.updates, f"the model's gradient is not finite (norm {norm.item()})")
            return {}
        self.networks.usual_disagreement.copy_(view.usual)
        policy_metrics = self.update_policy(self.places(lived, view), measure)
        self.follow()
        if not measure:
            return {}
        health = latent_health(view.target_z[0], view.latents[1].detach())
        if not self.first_std > 0.0:
            self.first_std = health.std
        self.collapsed = self.collapsed + 1 if health.collapsed(self.first_std) else 0
        return policy_metrics | {
            **{f"loss/{name}": term.item() for name, term in losses._asdict().items() if name in SHOWN},
            "loss/gradient_norm": norm.item(),
            "latent/std": health.std,
            "latent/dead": health.dead,
            "latent/rank": health.rank,
            "latent/relative_error": health.relative_error,
            "latent/collapsed": float(self.collapsed),
            "latent/readout_error": losses.readout.item(),
            "critic/target_mean": view.target.mean().item(),
        }

    def read(self, windows: Windows) -> WindowBatch:
        """Windows from memory as tensors on the learner's device, observations normalised."""
        columns = (getattr(windows, name) for name in WindowBatch._fields)
        obs, *rest = (torch.from_numpy(column).to(self.weight.device) for column in columns)
        return WindowBatch(self.networks.normalizer(obs), *rest)

    def look(self, lived: WindowBatch) -> Predictions:
        """What the modules make of what was lived: representations, targets, and imagination."""
        m, config, window = self.networks, self.config, self.config.window_decisions
        with torch.no_grad():
            target_z = m.target_encoder(lived.obs[1:]).float()
            asked = bootstraps(lived.valid, config.n_step)
            next_value = torch.zeros_like(lived.cost)
            next_value[asked] = self.value(target_z[asked])
        z = m.encoder(lived.obs[0]).float()
        paid, usual = lived.cost, None
        if self.curiosity:
            places = torch.cat((z.detach().unsqueeze(0), target_z[:-1]))
            novelty, usual = self.novelty(places, lived.action, lived.valid)
            paid = paid - self.curiosity * m.world_model.cost_scale * novelty
        target = n_step_targets(
            paid, lived.terminated, lived.valid, next_value, self.discount, config.n_step
        )[:window]
        latents, steps = [z], []
        for k in range(window):
            steps.append(m.world_model.predict(latents[-1], lived.action[k]))
            latents.append(steps[-1].z.float())
        imagined = Step(
            torch.cat([step.heads for step in steps], 1),
            torch.cat([step.cost_logits for step in steps]),
            torch.cat([step.termination for step in steps]),
        )
        rows = torch.stack(latents[:-1]).flatten(0, 1)
        critic_logits = m.critic.logits(rows, lived.action[:window].flatten(0, 1)).float()
        if usual is None:
            found = imagined.disagreement.detach()
            usual = self.usual(found[lived.valid[:window].flatten()])
        return Predictions(target_z, target, latents, imagined, critic_logits, usual)

    def losses(self, lived: WindowBatch, view: Predictions) -> Losses:
        """The loss of each term: of valid steps, the mean over the batch and rho-weighted over the window."""
        m, window = self.networks, self.config.window_decisions
        valid = lived.valid[:window]
        weight = self.weight * valid
        weight = weight / valid.float().mean().clamp_min(1e-6) / valid.shape[1]
        weight = weight.flatten()
        seen = (x[:window].flatten(0, 1) for x in (view.target_z, lived.cost, lived.terminated))
        errors = m.world_model.loss(view.imagined, *seen)
        prediction, cost, termination = ((weight * error).sum() for error in errors)
        critics = view.critic_logits.shape[1]
        wanted = (view.target / m.critic.scale).flatten().unsqueeze(1).expand(-1, critics)
        critic = (weight * m.critic.two_hot.loss(view.critic_logits, wanted).mean(1)).sum()
        first = view.latents[0]
        regularizer = m.encoder.regularizer.loss(first)
        readout = F.mse_loss(m.readout(first.detach()), m.readout_normalizer(lived.readout[0]))
        return Losses(prediction, cost, critic, termination, regularizer, readout)

    def places(self, lived: WindowBatch, view: Predictions) -> Float[Tensor, "rows latent"]:
        """Where the policy is asked: where windows begin, and as far on as somebody still had to act."""
        window = self.config.window_decisions
        length = lived.valid[:window].sum(0)
        over = (length < window) | (lived.terminated[:window] > 0).any(0)
        every = torch.arange(length.numel(), device=length.device)
        ends = torch.stack(view.latents).detach()[length - over.long(), every]
        return torch.cat((view.latents[0].detach(), ends))

    @torch.no_grad()
    def novelty(
        self,
        z: Float[Tensor, "time batch latent"],
        action: Float[Tensor, "time batch act"],
        valid: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch"], Float[Tensor, ""]]:
        """How much the model's heads disagree about what was lived, 1 being as usual, 5 the most; and what is
        usual from now on.

        What they disagree about is what can be learned there (Pathak et al. 2019; Sekar et al. 2020). Beside
        what an environment pays it is small change; where nothing has been paid yet, it is all there is to go
        after.
        """
        m = self.networks
        found = m.world_model.disagreement(z.flatten(0, 1), action.flatten(0, 1)).view(valid.shape)
        usual = self.usual(found[valid])
        return (found / usual.clamp_min(1e-12)).clamp(max=MOST_NOVEL), usual

    def usual(self, found: Float[Tensor, " rows"]) -> Float[Tensor, ""]:
        """What disagreement is usual, now that so much was found: a moving average, from the first on."""
        mean, usual = found.mean(), self.networks.usual_disagreement
        return torch.lerp(usual, mean, self.tau) if usual else mean

    def value(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, " rows"]:
        """The target critics' cost-to-go under the policy: the worst of them (Fujimoto et al. 2018)."""
        action = self.networks.policy.draw(z)
        return self.networks.target_critic(z, action.to(z)).float().amax(1)

    def update_policy(self, z: Float[Tensor, "rows latent"], measure: bool) -> dict[str, float]:
        """Moves the policy at `z` towards least cost-to-go plus an entropy bonus.

        The bonus' weight keeps the entropy at a target (Haarnoja et al. 2018b, section 5), so that the
        policy neither freezes on its first success nor stays a coin toss.
        """
        m, config = self.networks, self.config
        m.critic.requires_grad_(False)
        with self.arithmetic():
            action, log_prob = m.policy.sample(z)
            to_go = m.critic(z, action).float().mean(1)
        m.critic.requires_grad_(True)
        with torch.no_grad():
            spread = torch.quantile(to_go.detach(), self.networks.quantiles)
            if torch.isfinite(spread).all():  # a single infinity would stay in the average for ever
                m.spread.lerp_((spread[1] - spread[0]).clamp_min(1e-8), self.tau)
        log_prob = log_prob.float()
        loss = (
            to_go / m.spread.clamp_min(0.1 * m.critic.scale) + m.log_entropy_weight.exp() * log_prob
        ).mean()
        surplus = -log_prob.detach().mean() - self.target_entropy * action.shape[1]
        surplus = surplus.clamp(-ENTROPY_REACH, ENTROPY_REACH).nan_to_num(0.0)
        # Out of place, because the loss above still needs the weight it was made with.
        steered = (m.log_entropy_weight - ENTROPY_GAIN * surplus).clamp(*ENTROPY_WEIGHTS)
        self.policy_group.zero_grad()
        loss.backward()
        norm = self.policy_group.step(config.max_grad_norm)
        if not torch.isfinite(norm):
            self.budget.skipped(self.updates, f"the policy's gradient is not finite (norm {norm.item()})")
            return {}
        m.log_entropy_weight.copy_(steered)
        if not measure:
            return {}
        return {
            "policy/entropy": -log_prob.mean().item(),
            "policy/entropy_weight": steered.exp().item(),
            "policy/cost_to_go": to_go.mean().item(),
            "policy/gradient_norm": norm.item(),
        }

    @torch.no_grad()
    def follow(self) -> None:
        """Target networks move a little towards the learned ones."""
        for learned, targets in self.moving:
            torch._foreach_lerp_(targets, learned, self.tau)
