"""One gradient step: latent prediction, costs, critic, readouts and policy, on a batch of windows.

The world model learns by predicting representations several steps ahead. The target of a prediction is the
encoder's latent of the observation that followed, without gradient. The equations are those of Hansen et al.
2022 (TD-MPC, equations 3 to 5) and 2024 (TD-MPC2, equations 3 to 6).
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from agent.configurator.settings import LearningConfig
from agent.errors import ConfigError
from agent.fused_networks import refusal
from agent.learning.autograd_update import AutogradUpdate
from agent.learning.compiled_update import CompiledUpdate, check_compiler
from agent.learning.flat_parameters import FlatParameters
from agent.learning.fused_update import FusedUpdate
from agent.learning.losses import Predictions, WindowBatch
from agent.learning.policy_update import PolicyUpdate
from agent.learning.skipped_updates import SkipBudget
from agent.memory.columns import map_parts
from agent.memory.windows import Windows
from agent.networks import Networks
from agent.perception.collapse import latent_health
from agent.perception.pixels import PixelEncoder, augmented
from agent.perception.regularizers import ContrastiveRegularizer

SHOWN = ("prediction", "cost", "critic", "termination", "regularizer")
"""Losses that are metrics under their own name."""


Update = TypeVar("Update", bound=FusedUpdate)
ENCODER = 0
"""Place of the encoder's parameters in `Learner.model_group`."""


class Learner:
    """Holds the optimisers and takes gradient steps on the networks.

    Args:
        networks: the networks.
        config: the settings of learning.
        discount: gives the discount per decision, which may change from one update to the next.
        target_entropy: of the policy, per action dimension, in nats.
        curiosity: reward for the usual disagreement, in units of the usual cost.
        regularizer_weight: weight of the regulariser's loss.
        rewardless: learns without rewards: costs are 0 but for curiosity, and neither the cost head nor the critic
            shapes the latent.
        tau: rate at which target networks follow; None takes the setting.
    """

    def __init__(
        self,
        networks: Networks,
        config: LearningConfig,
        discount: Callable[[], float],
        *,
        target_entropy: float,
        curiosity: float,
        regularizer_weight: float,
        rewardless: bool = False,
        tau: float | None = None,
    ):
        self.networks, self.config, self._discount = networks, config, discount
        self.target_entropy, self.curiosity = target_entropy, curiosity
        self.regularizer_weight = regularizer_weight
        self.tau = config.tau if tau is None else tau
        self.rewardless = rewardless
        self.shown = SHOWN if networks.inverse is None else ("inverse", *SHOWN)
        others = [networks.world_model, networks.critic, networks.readout]
        if networks.inverse is not None:
            others.append(networks.inverse)
        self.model_group = FlatParameters(
            [
                (list(networks.encoder.parameters()), networks.encoder_learning_rate),
                ([p for part in others for p in part.parameters()], config.learning_rate),
            ]
        )
        self.policy_group = FlatParameters([(list(networks.policy.parameters()), config.learning_rate)])
        followed: list[tuple[nn.Module, nn.Module]] = [(networks.critic, networks.target_critic)]
        if networks.target_encoder is not networks.encoder:
            followed.append((networks.encoder, networks.target_encoder))
        self.targets: list[tuple[list[Tensor], list[Tensor]]] = [
            (list(learned.parameters()), list(target.parameters())) for learned, target in followed
        ]
        """Learned parameters, and the target parameters that follow them: the critic's, then the encoder's."""
        self.updates = 0
        self.budget = SkipBudget(config.max_skipped_updates)
        self.collapsed = 0
        """Successive measurements that showed a collapse."""
        self.first_std = 0.0
        """Standard deviation of the latents at the first measurement."""
        steps = torch.arange(config.window_decisions, device=networks.quantiles.device, dtype=torch.float32)
        weight = config.rho**steps
        self.weight = (weight / weight.sum()).unsqueeze(1)
        """[window, 1], weights of the prediction steps."""
        self.autograd = AutogradUpdate(networks, config, discount, rewardless, self.tau, self.weight)
        self.left_to_autograd = self._why_autograd()
        """Why gradients are left to autograd; None where they are computed by hand (see `FusedUpdate`)."""
        self.served = self.left_to_autograd is None
        self.compiled = config.compiled and self.served and tau is None
        """Whether training compiles them."""
        self._fused: FusedUpdate | None = None
        self._compiled_update: CompiledUpdate | None = None
        self.policy_update = PolicyUpdate(
            networks,
            self.policy_group,
            config,
            target_entropy,
            self.tau,
            self.served,
            self.autograd.arithmetic,
        )
        self.attach()

    def _why_autograd(self) -> str | None:
        if not self.config.fused:
            return "learning.fused is false"
        if self.rewardless:
            return "the agent learns without rewards"
        if self.networks.inverse is not None:
            return "inverse dynamics is learned (learning.inverse_weight)"
        return refusal(self.networks, self.config.precision)

    def check_compiled(self) -> None:
        """Raises ConfigError where the settings ask for compiled gradients, and there can be none."""
        if self.config.compiled and self.left_to_autograd is not None:
            raise ConfigError(
                f"learning.compiled: {self.left_to_autograd}, so that gradients are left to autograd; leave the "
                "setting out"
            )
        if self.config.compiled:
            check_compiler()

    def attach(self) -> None:
        """Takes the networks over, from another learner too, with the parameters that this one came to."""
        self.networks.world_model.costs_shape_features = not self.rewardless
        self.model_group.attach()
        self.policy_group.attach()

    @property
    def windows_per_episode(self) -> int:
        """Windows of a batch that are to come from one episode."""
        kind = self.networks.regularizer
        return kind.windows_per_episode if isinstance(kind, ContrastiveRegularizer) else 1

    @property
    def encoder_learns(self) -> bool:
        """Whether there is an encoder whose latents could collapse."""
        return any(True for _ in self.networks.encoder.parameters())

    @property
    def skipped(self) -> int:
        """Updates that were skipped because a loss or a gradient was not finite."""
        return self.budget.total

    def update(
        self,
        windows: Windows,
        *,
        measure: bool = False,
        encoder_frozen: bool = False,
        curiosity: float | None = None,
        rate_share: float = 1.0,
    ) -> dict[str, float]:
        """One gradient step on all networks.

        The model and the critic step together, then the policy. A step of either whose loss or gradient is not
        finite changes nothing of it, and the update is counted in `skipped`; where it is the model's, the policy
        makes none.

        Args:
            windows: a sample of the replay buffer.
            measure: computes metrics.
            encoder_frozen: leaves out the encoder: it gets no gradient, and its parameters and its optimiser
                state do not change.
            curiosity: replaces the learner's own, for this step.
            rate_share: of the learning rates, for this step.

        Returns:
            The metrics, by name; empty without `measure`.

        Raises:
            StopRun: when more updates are skipped than `learning.max_skipped_updates` allows.
        """
        curiosity = self.curiosity if curiosity is None else curiosity
        self.model_group.rate_share = self.policy_group.rate_share = rate_share
        batch = self.batch_of(windows)
        # Steps of adaptation are made by hand, and so is the first of all, which finds what is usual.
        as_trained = not encoder_frozen and curiosity == self.curiosity
        compiled = self.compiled and as_trained and bool(self.networks.usual_disagreement)
        fused = self.compiled_update if compiled else self.fused
        if fused is not None:
            losses, view = fused.model(batch, curiosity, encoder_frozen)
        else:
            with self.autograd.arithmetic():
                view, outputs = self.autograd.predict(batch, curiosity, encoder_frozen)
            losses = self.autograd.losses(batch, view, outputs)
        loss = losses.total(self.config, self.regularizer_weight, self.networks.inverse_weight)
        self.updates += 1
        if not math.isfinite(loss.item()):
            bad = ", ".join(
                f"{name} {term.item()}" for name, term in vars(losses).items() if not term.isfinite()
            )
            self.budget.skipped(self.updates, f"a loss is not finite ({bad or loss.item()})")
            return {}
        with self.model_group.frozen(ENCODER) if encoder_frozen else nullcontext():
            if fused is None:
                self.model_group.zero_grad()
                loss.backward()
            norm = self.model_group.step(self.config.max_grad_norm)
        if not math.isfinite(norm.item()):
            self.budget.skipped(self.updates, f"the model's gradient is not finite (norm {norm.item()})")
            return {}
        self.networks.usual_disagreement.copy_(view.usual_disagreement)
        stored = batch.stored_actions(self.config.window_decisions) if self.config.behaviour_cloning else None
        states = self.policy_states(batch, view)
        policy_metrics = self.update_policy(states, measure, stored, compiled=compiled)
        self.update_targets(encoder_frozen)
        if not measure:
            return {}
        used = self.networks.used_latent
        health = latent_health(view.target_z[0, :, :used], view.latents[1][:, :used].detach())
        if not self.first_std > 0.0:
            self.first_std = health.std
        learned = self.encoder_learns
        self.collapsed = self.collapsed + 1 if learned and health.collapsed(self.first_std) else 0
        return policy_metrics | {
            **{f"loss/{name}": term.item() for name, term in vars(losses).items() if name in self.shown},
            "loss/gradient_norm": norm.item(),
            "latent/std": health.std,
            "latent/dead": health.dead,
            "latent/rank": health.rank,
            "latent/relative_error": health.relative_error,
            "latent/collapsed": float(self.collapsed),
            "latent/readout_error": losses.readout.item(),
            "critic/target_mean": view.target.mean().item(),
        }

    def _tensor(self, column: np.ndarray) -> Tensor:
        return torch.from_numpy(column).to(self.weight.device)

    def batch_of(self, windows: Windows) -> WindowBatch:
        """Windows as tensors on the learner's device, with normalised observations."""
        obs = self.networks.normalizer(map_parts(self._tensor, windows.obs))
        if isinstance(self.networks.encoder, PixelEncoder) and self.config.picture_shift:
            obs = augmented(obs, self.networks.encoder.pixels, self.config.picture_shift)
        return WindowBatch(
            obs,
            self._tensor(windows.action),
            self._tensor(np.zeros_like(windows.cost) if self.rewardless else windows.cost),
            self._tensor(windows.terminated),
            self._tensor(windows.valid),
            self._tensor(windows.readout),
        )

    def policy_states(self, batch: WindowBatch, view: Predictions) -> Float[Tensor, "rows latent"]:
        """States for the policy update: of each window the first, and the last that is not an episode's end."""
        window = self.config.window_decisions
        if batch.whole(window):
            return torch.cat((view.latents[0].detach(), view.latents[-1].detach()))
        length = batch.valid[:window].sum(0)
        over = (length < window) | (batch.terminated[:window] > 0).any(0)
        every = torch.arange(length.numel(), device=length.device)
        ends = torch.stack(view.latents).detach()[length - over.long(), every]
        return torch.cat((view.latents[0].detach(), ends))

    def update_policy(
        self,
        z: Float[Tensor, "rows latent"],
        measure: bool,
        stored: tuple[Float[Tensor, "rows act"], Float[Tensor, " rows"]] | None = None,
        *,
        compiled: bool = False,
    ) -> dict[str, float]:
        """One gradient step of the policy at `z`; see `PolicyUpdate`. Raises StopRun as `update`."""
        fused = self.fused
        try:
            return self.policy_update(
                z, measure, stored, None if fused is None else fused.policy, compiled=compiled
            )
        except FloatingPointError as error:
            self.budget.skipped(self.updates, str(error))
            return {}

    @property
    def discount(self) -> float:
        """Per decision."""
        return self._discount()

    @property
    def fused(self) -> FusedUpdate | None:
        """The gradients by hand; None where the settings or the networks leave them to autograd."""
        if not self.served:
            return None
        self._fused = self._present(self._fused, FusedUpdate)
        return self._fused

    @property
    def compiled_update(self) -> CompiledUpdate:
        """The gradients by hand, compiled."""
        self._compiled_update = self._present(self._compiled_update, CompiledUpdate)
        return self._compiled_update

    def _present(self, update: Update | None, kind: type[Update]) -> Update:
        """The same update, or a new one where parameters have moved, with the present discount."""
        if update is None or update.fused.outdated:
            update = kind(self.networks, self.config, self.discount, self.tau, self.weight)
        update.discount = self.discount
        return update

    @torch.no_grad()
    def update_targets(self, encoder_frozen: bool = False) -> None:
        """Target networks move towards the learned ones by the rate `tau`; that of a frozen encoder stays too."""
        for learned, targets in self.targets[: 1 if encoder_frozen else None]:
            torch._foreach_lerp_(targets, learned, self.tau)
