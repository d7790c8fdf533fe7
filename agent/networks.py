"""The networks of one agent, built together: what a checkpoint of weights holds."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from agent import random_state
from agent.actor.policy import Policy
from agent.configurator.settings import Config
from agent.cost.critic import Critic
from agent.cost.scaling import Scales, share_shown
from agent.goal_networks import GoalNetworks
from agent.interface import Arrays, ObservationPart
from agent.layers import NormedLinear
from agent.perception import regularizers
from agent.perception.encoder import SensorEncoder
from agent.perception.factory import check_encoder, encoder_kind
from agent.perception.normalizer import Normalizer
from agent.perception.pixels import PixelNormalizer
from agent.world_model.dynamics import WorldModel
from joule_schema.picture_defaults import ENCODER_LEARNING_RATE, INVERSE_WEIGHT, OF_PICTURES

SENSOR_CLIP = 100.0
"""Largest normalised sensor where sensors are the latent. What seldom moves has a small deviation, and its speed is
many of them."""
GOALS = "goals."
"""Begins the names of the parameters for reaching goals."""


class Networks(nn.Module):
    """The networks of perception, world model, cost and policy, and their running statistics.

    The readout head reads named physical quantities off the detached latent: they never shape it.

    Args:
        observation: the parts of an observation; they decide the encoder (`agent.perception.factory`).
        act: size of an action.
        readouts: number of named physical quantities.
        config: the settings.
    """

    normalizer: Any
    """Maps observations to what the encoder reads; `update` takes new ones into its statistics."""
    encoder: Any
    """Maps normalised observations to latents."""
    spread: Tensor
    """Range of the costs-to-go in a batch, from the 5 % to the 95 % quantile; a moving average."""
    usual_disagreement: Tensor
    """Moving average of the ensemble disagreement on stored transitions; 0 before the first update."""
    log_entropy_weight: Tensor
    """Logarithm of the weight of the policy's entropy bonus."""
    quantiles: Tensor

    def __init__(self, observation: Sequence[ObservationPart], act: int, readouts: int, config: Config):
        super().__init__()
        sizes, cost = config.model, config.cost
        self._goal_sizes = (sizes.latent_dim, act, sizes.hidden_dim, cost.critics, cost.bins)
        self.goals: GoalNetworks | None = None
        """What was learned of reaching goals; None before `learn_goals`."""
        kind = regularizers.make(config.regularizer.kind, config.regularizer.settings)
        encoding = encoder_kind(observation)
        self.regularizer = kind
        latent, hidden = sizes.latent_dim, sizes.hidden_dim
        self.normalizer = encoding.normalizer(observation, sizes)
        self.encoder = encoding.encoder(observation, sizes, kind)
        self.used_latent = latent
        """Numbers at the beginning of a latent that are not always 0."""
        if isinstance(self.encoder, SensorEncoder):
            self.normalizer.clip, self.used_latent = SENSOR_CLIP, self.encoder.features
        check_encoder(encoding, observation, self.normalizer, self.encoder, latent, kind)
        self.target_encoder = self.encoder
        if kind.ema_target:
            self.target_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        if isinstance(self.normalizer, PixelNormalizer):
            self.normalizer.readers = tuple({self.encoder, self.target_encoder})
        self.world_model = WorldModel(
            latent, act, hidden, sizes.head_width, sizes.ensemble_size, cost.bins, kind
        )
        self.critic = Critic(latent, act, hidden, cost.critics, cost.bins)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.policy = Policy(latent, act, hidden)
        self.readout = nn.Sequential(NormedLinear(latent, hidden // 2), nn.Linear(hidden // 2, readouts))
        self.readout_normalizer = Normalizer(readouts)
        self.scales = Scales(Critic.LIMIT, config.streams)
        self.curiosity = config.explore.curiosity
        self.inverse: nn.Module | None = None
        """Predicts the action between two successive latents; None without inverse dynamics."""
        sees = isinstance(self.normalizer, PixelNormalizer)
        weight, rate = config.learning.inverse_weight, config.learning.encoder_learning_rate
        self.inverse_weight = OF_PICTURES[INVERSE_WEIGHT][sees] if weight is None else weight
        """Of the loss of inverse dynamics."""
        self.encoder_learning_rate = OF_PICTURES[ENCODER_LEARNING_RATE][sees] if rate is None else rate
        """Adam step size of the encoder."""
        if self.inverse_weight:
            self.inverse = nn.Sequential(NormedLinear(2 * latent, hidden), nn.Linear(hidden, act))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("usual_disagreement", torch.zeros(()))
        self.register_buffer("log_entropy_weight", torch.tensor(-4.6))
        self.register_buffer("quantiles", torch.tensor([0.05, 0.95]), persistent=False)

    def to_arrays(self) -> Arrays:
        """Copies of weights and running statistics, by name."""
        return {name: value.detach().cpu().numpy().copy() for name, value in self.state_dict().items()}

    def read(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, "rows readouts"]:
        """The readouts that are predicted from latents, in their units; one that has never varied is its mean."""
        found: Tensor = self.readout_normalizer.predicted(self.readout(z))
        return found

    def new_goals(self) -> GoalNetworks:
        """Untrained networks of this agent's sizes for reaching goals, on its device."""
        changes = regularizers.predicts_changes(self.regularizer)
        return GoalNetworks(*self._goal_sizes, by_changes=changes).to(self.quantiles.device)

    def _blank_goals(self) -> GoalNetworks:
        with random_state.preserved():
            return self.new_goals()

    def like(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """The parameters that should be among `arrays`, by name; those of reaching goals only where some are."""
        own = {name: value for name, value in self.state_dict().items() if not name.startswith(GOALS)}
        if any(name.startswith(GOALS) for name in arrays):
            own |= {GOALS + name: value for name, value in self._blank_goals().state_dict().items()}
        return own

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Puts back what `to_arrays` gave."""
        if not any(name.startswith(GOALS) for name in arrays):
            self.goals = None
        elif self.goals is None:
            self.goals = self._blank_goals()
        self.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()})

    def disagreement_cost(self, uncertainty: float) -> float:
        """Weight of disagreement in the energy, in the environment's unit of cost.

        With it, the usual disagreement costs `uncertainty` times the usual cost. It is 0 while the usual
        disagreement is not known.
        """
        usual = float(self.usual_disagreement)
        return uncertainty * float(self.world_model.cost_scale) / usual if usual else 0.0

    def scale_novelty(self, discount: float) -> None:
        """Scales costs and critic for costs that are novelty alone, of usually 1 a decision."""
        self.world_model.cost_scale.fill_(1.0)
        for critic in (self.critic, self.target_critic):
            critic.scale.fill_(1.0 / (1.0 - discount))

    def rescale(
        self,
        cost: Tensor,
        last: Tensor,
        discount: float,
        stream: int = 0,
        *,
        episode_decisions: int | None = None,
        forgets: bool = True,
    ) -> None:
        """Takes new rows into the scales of the heads.

        Args:
            cost, last, discount, stream, forgets: as of `Scales.update`.
            episode_decisions: the limit of an episode's length; None without one.
        """
        self.scales.update(cost, last, discount, stream, forgets=forgets)
        self.world_model.cost_scale.fill_(self.scales.cost())
        # While all costs are zero the critic learns curiosity's alone: half of the usual one fits in any state.
        unrewarded = max(1.0, 0.5 * self.curiosity / (1.0 - discount))
        to_go = self.scales.cost_to_go(share_shown(episode_decisions, discount)) or unrewarded
        for critic in (self.critic, self.target_critic):
            critic.scale.fill_(to_go)
