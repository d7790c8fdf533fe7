"""Running normalisation of a state vector whose unlimited angles are read as sine and cosine."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from agent.perception.normalizer import Normalizer


class StateNormalizer(Normalizer):
    """Normalises features: an observation whose angles are replaced by their sines, with their cosines at its end.

    The angle of a hinge without limits counts its turns, which make no difference to the robot. Without angles the
    features are the observation.

    Args:
        size: numbers in an observation.
        angles: places of angles without limits, in rad.
    """

    def __init__(self, size: int, angles: tuple[int, ...] = ()) -> None:
        super().__init__(size + len(angles))
        self.size, self.angles = size, list(angles)

    def features(self, obs: Float[Tensor, "*rows obs"]) -> Float[Tensor, "*rows features"]:
        """What is normalised, in units of the observation, of angles 1."""
        if not self.angles:
            return obs
        turns = obs[..., self.angles]
        sines = obs.clone()
        sines[..., self.angles] = turns.sin()
        return torch.cat((sines, turns.cos()), -1)

    def observations(self, features: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows obs"]:
        """The observations with these features; angles lie between -pi and pi."""
        if not self.angles:
            return features
        obs = features[..., : self.size].clone()
        obs[..., self.angles] = torch.atan2(obs[..., self.angles], features[..., self.size :])
        return obs

    def of_features(self, values: Shaped[Tensor, "*rows obs"]) -> Shaped[Tensor, "*rows features"]:
        """What is known of each number of an observation, for each feature: an angle's holds for its cosine too."""
        return torch.cat((values, values[..., self.angles]), -1) if self.angles else values

    def update(self, rows: Float[Tensor, "rows obs"]) -> None:
        """Takes new observations into the statistics."""
        super().update(self.features(rows))

    def forward(self, rows: Float[Tensor, "*rows obs"]) -> Float[Tensor, "*rows features"]:
        """Normalised features of observations."""
        return super().forward(self.features(rows))

    def inverse(self, rows: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows obs"]:
        """From normalised features back to observations."""
        return self.observations(super().inverse(rows))
