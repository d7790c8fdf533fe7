"""The networks of an agent in the form in which they are exported: float32, from a batch of rows to another.

They are the agent's own modules. Two functions are written in operators that ONNX has: the sines of angles, which
the agent puts into a copy of the observation, and symexp, for which the agent uses expm1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from agent.networks import Networks
from agent.perception.normalizer import Normalizer
from agent.perception.state_normalizer import StateNormalizer
from agent.world_model.dynamics import disagreement, mean_of


@dataclass(frozen=True, eq=False)
class OwnActions:
    """The environment's own actions, flat [own], beside the agent's [act] in [-1, 1].

    A number whose bounds are equal is constant: the agent's action does not have it.
    """

    low: np.ndarray
    high: np.ndarray
    shape: tuple[int, ...]
    """Of an action of the environment."""
    dtype: str

    @classmethod
    def of(cls, own_action: Callable[[np.ndarray], np.ndarray], act: int) -> OwnActions:
        """The bounds, from the environment's own action for an action [act] of the agent."""
        lowest, highest = (own_action(np.full(act, side, np.float32)) for side in (-1.0, 1.0))
        low, high = (np.asarray(action, np.float64).ravel() for action in (lowest, highest))
        return cls(low, high, lowest.shape, str(lowest.dtype))

    @property
    def half(self) -> np.ndarray:
        """Half of the range of each number, 0 for a constant."""
        return self.high / 2 - self.low / 2  # halves first: the difference of two bounds may overflow

    @property
    def places(self) -> np.ndarray:
        """For each number of an own action, its place in the agent's action; any place for a constant."""
        return np.maximum(np.cumsum(self.low < self.high) - 1, 0)


class Perception(nn.Module):
    """Observation -> latent, the running normalisation and the sine and cosine of unlimited angles included."""

    is_angle: Tensor
    angles: Tensor

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.normalizer, self.encoder = networks.normalizer, networks.encoder
        self.has_angles = type(self.normalizer) is StateNormalizer and bool(self.normalizer.angles)
        if self.has_angles:
            places = torch.tensor(self.normalizer.angles)
            self.register_buffer("angles", places)
            self.register_buffer("is_angle", torch.zeros(self.normalizer.size, dtype=torch.bool))
            self.is_angle[places] = True

    def forward(self, observation: Tensor) -> Tensor:
        if self.has_angles:
            sines = torch.where(self.is_angle, observation.sin(), observation)
            features = torch.cat((sines, observation.index_select(-1, self.angles).cos()), -1)
            normalised = Normalizer.forward(self.normalizer, features)
        else:
            normalised = self.normalizer.forward(observation)
        latent: Tensor = self.encoder.forward(normalised)
        return latent


class PolicyNetwork(nn.Module):
    """Observation -> the most likely action: in the environment's own units, and in [-1, 1]."""

    places: Tensor
    range_half: Tensor
    range_middle: Tensor
    own_low: Tensor
    own_high: Tensor

    def __init__(self, networks: Networks, own: OwnActions) -> None:
        super().__init__()
        self.perception, self.policy = Perception(networks), networks.policy
        self.register_buffer("places", torch.from_numpy(own.places))
        numbers = {"range_half": own.half, "range_middle": own.high / 2 + own.low / 2}
        for name, values in {**numbers, "own_low": own.low, "own_high": own.high}.items():
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)))

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        action = self.policy.forward(self.perception.forward(observation))
        own = action.index_select(-1, self.places) * self.range_half + self.range_middle
        return torch.minimum(torch.maximum(own, self.own_low), self.own_high), action


class PriorNetwork(nn.Module):
    """Latent -> the policy: its most likely action, and mean and log standard deviation before the tanh."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.policy = networks.policy

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_std = self.policy.distribution(latent)
        return mean.tanh(), mean, log_std


class DynamicsNetwork(nn.Module):
    """Latent and action -> the next latent: the ensemble's mean, each head's, and the ensemble disagreement."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.world_model = networks.world_model

    def forward(self, latent: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        model = self.world_model
        heads = model.heads(model.trunk.forward(torch.cat((latent, action), -1)), latent)
        return mean_of(heads), heads.transpose(0, 1), disagreement(heads)


class CostNetwork(nn.Module):
    """Latent and action -> the cost of the step, and the probability that the episode terminates with it."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.world_model = networks.world_model

    def forward(self, latent: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        model = self.world_model
        step = model.predict(latent, action)
        coded = step.cost_logits.softmax(-1) @ model.two_hot.centres
        return coded.sign() * (coded.abs().exp() - 1.0) * model.cost_scale, torch.sigmoid(step.termination)


class CostToGoNetwork(nn.Module):
    """Latent and action -> the cost-to-go by every critic."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.critic = networks.critic

    def forward(self, latent: Tensor, action: Tensor) -> Tensor:
        return self.critic.forward(latent, action)


class ReadoutNetwork(nn.Module):
    """Latent -> the environment's readouts, in their units."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.readout, self.readout_normalizer = networks.readout, networks.readout_normalizer

    def forward(self, latent: Tensor) -> Tensor:
        return self.readout_normalizer.predicted(self.readout(latent))
