"""PERCEPTION: from an observation to a latent state z.

LeCun's perception module estimates the state of the world from the senses. Observations are
normalised by running statistics, then encoded; there is no decoder, here or in any loss.
"""

from jaxtyping import Float
from torch import Tensor, nn

from agent.layers import NormedLinear, full
from agent.perception.regularizers import Regularizer


class Encoder(nn.Module):
    """obs [*, obs] -> z [*, latent]: a normed hidden layer, then the regulariser's projection."""

    def __init__(self, obs: int, hidden: int, latent: int, regularizer: Regularizer):
        super().__init__()
        self.regularizer = regularizer
        self.hidden = NormedLinear(obs, hidden)
        self.out = nn.Linear(hidden, latent)

    def forward(self, normalised: Float[Tensor, "*rows obs"]) -> Float[Tensor, "*rows latent"]:
        return self.regularizer.project(full(self.out(self.hidden(normalised))))
