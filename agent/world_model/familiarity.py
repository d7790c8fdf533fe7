"""How like what is remembered a latent is: what an encoder has never seen, it may take for anything."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from agent.memory.portions import evenly

MEASURED = 500
"""Moments at most whose distances from other episodes say what is usual."""
MARGIN = 1.2
"""What is farther than so many times the greatest of these distances is unlike all that is remembered. Of agents in
Reach and Maze that distance is 1.7 to 2.5 usual steps. A black picture, noise, and a picture of Maze are 2.3 to 3.0
from all that an agent remembers which sees Reach, whose own greatest distance is 1.7."""


class Familiarity:
    """Tells what is unlike all that is remembered.

    Args:
        z: latents of moments [moments, latent].
        episode: the number of the episode of each [moments].
        usual_step: mean distance between the latents of successive decisions, above 0.
    """

    limit: float
    """Distance in usual steps beyond which a latent is unlike all of them; infinite for a single episode."""

    def __init__(
        self, z: Float[Tensor, "moments latent"], episode: Int[np.ndarray, " moments"], usual_step: float
    ) -> None:
        self._z, self._usual_step = z, usual_step
        self.limit = np.inf
        measured = evenly(np.arange(len(z)), MEASURED)
        others = episode[measured, None] != episode
        if others.any(1).all():
            distance = self._distances(z[torch.from_numpy(measured).to(z.device)])
            own = torch.from_numpy(~others).to(z.device)
            self.limit = MARGIN * float(distance.masked_fill(own, np.inf).amin(1).max())

    def _distances(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, "rows moments"]:
        return torch.cdist(z, self._z) / self._usual_step

    def distance(self, z: Float[Tensor, "1 latent"]) -> float:
        """How far a latent is from the nearest moment, in usual steps."""
        return float(self._distances(z).min())
