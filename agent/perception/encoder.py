"""PERCEPTION: from an observation to a latent state z.

LeCun's perception module (2022, section 3.1) estimates the state of the world from sensors. Observations are
normalised by running statistics, then encoded. There is no decoder, here or in any loss.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from agent.errors import ConfigError
from agent.layers import NormedLinear, full
from agent.perception.regularizers import Regularizer


class Encoder(nn.Module):
    """Normalised features of an observation -> z: one hidden layer, then the regulariser's projection.

    Args:
        features: numbers that the normaliser gives.
        hidden: width of the hidden layer.
        latent: size of z.
        regularizer: shapes the latent.
    """

    def __init__(self, features: int, hidden: int, latent: int, regularizer: Regularizer):
        super().__init__()
        self.regularizer = regularizer
        self.hidden = NormedLinear(features, hidden)
        self.out = nn.Linear(hidden, latent)

    def forward(self, normalised: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows latent"]:
        """The latents of observations."""
        return self.regularizer.project(full(self.out.forward(self.hidden.forward(normalised))))


class SensorEncoder(nn.Module):
    """Normalised features of an observation -> z: the features themselves, and zeros after them. It learns nothing.

    Args:
        features: numbers that the normaliser gives.
        latent: size of z, at least `features`.

    Raises:
        ConfigError: where it is less.
    """

    def __init__(self, features: int, latent: int):
        super().__init__()
        if latent < features:
            raise ConfigError(
                f"model.latent_dim: {latent} is less than the {features} numbers of an observation, which are the "
                f"latent with regularizer.kind sensors; give {features} or more"
            )
        self.features, self.zeros = features, latent - features

    def forward(self, normalised: Float[Tensor, "*rows features"]) -> Float[Tensor, "*rows latent"]:
        """The latents of observations."""
        return functional.pad(normalised, (0, self.zeros))
