"""The networks of one agent, built together: what a checkpoint of weights holds."""

import copy

import torch
from torch import Tensor, nn

from agent.actor.policy import Policy
from agent.configurator.settings import Config
from agent.cost.critic import Critic
from agent.cost.scaling import Scales
from agent.layers import NormedLinear
from agent.perception import regularizers
from agent.perception.encoder import Encoder
from agent.perception.normalizer import Normalizer
from agent.world_model.dynamics import WorldModel


class Networks(nn.Module):
    """Perception, world model, cost and policy for observations of size `obs`, actions of size `act`.

    `readouts` is the number of named physical quantities that a head reads off the detached latent;
    they never shape it.
    """

    spread: Tensor
    usual_disagreement: Tensor
    log_entropy_weight: Tensor
    quantiles: Tensor

    def __init__(self, obs: int, act: int, readouts: int, config: Config):
        super().__init__()
        sizes, cost = config.model, config.cost
        kind = regularizers.make(config.regularizer.kind, config.regularizer.settings)
        latent, hidden = sizes.latent_dim, sizes.hidden_dim
        self.normalizer = Normalizer(obs)
        self.encoder = Encoder(obs, hidden, latent, kind)
        self.target_encoder = self.encoder
        if kind.ema_target:
            self.target_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.world_model = WorldModel(
            latent, act, hidden, sizes.head_width, sizes.ensemble_size, cost.bins, kind
        )
        self.critic = Critic(latent, act, hidden, cost.critics, cost.bins)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.policy = Policy(latent, act, hidden)
        self.readout = nn.Sequential(NormedLinear(latent, hidden // 2), nn.Linear(hidden // 2, readouts))
        self.readout_normalizer = Normalizer(readouts)
        self.scales = Scales(Critic.LIMIT)
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("usual_disagreement", torch.zeros(()))
        self.register_buffer("log_entropy_weight", torch.tensor(-4.6))
        self.register_buffer("quantiles", torch.tensor([0.05, 0.95]), persistent=False)

    def disagreement_cost(self, uncertainty: float) -> float:
        """What a unit of the heads' deviation costs when the usual one costs `unsure` times the usual cost.

        0 while none is known to be usual.
        """
        usual = float(self.usual_disagreement)
        return uncertainty * float(self.world_model.cost_scale) / usual if usual else 0.0

    def rescale(self, cost: Tensor, last: Tensor, discount: float) -> None:
        """Takes newly lived rows into the scales of the heads; see `Scales.update`."""
        self.scales.update(cost, last, discount)
        self.world_model.cost_scale.fill_(self.scales.cost())
        to_go = self.scales.cost_to_go()
        for critic in (self.critic, self.target_critic):
            critic.scale.fill_(to_go)
