"""Learns by how much actions change latents that stay as they are, from what an agent remembers."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from agent.learning.flat_parameters import FlatParameters
from agent.learning.schedule import half_cosine
from agent.learning.skipped_updates import SkipBudget
from agent.memory.portions import evenly
from agent.world_model.residual_dynamics import ResidualDynamics

BATCH_SIZE = 256
LEARNING_RATE = 2e-3
WINDOW_DECISIONS = 2
"""Decisions that are predicted from one latent; errors of the first then count in the second."""
WARM_UP = 0.05
"""Share of the updates in which the learning rate rises; it falls along half a cosine in the others."""
MAX_GRAD_NORM = 20.0
MEASURED_STEPS = 20_000
"""Changes at most from which the scales are taken."""


class DynamicsLearner:
    """Gradient steps on residual dynamics.

    Args:
        model: is trained; its scales are measured here.
        z: latents in the order in which they happened, [moments, latent].
        action: what was done there, [moments, act].
        last: whether a moment is the last of its episode, without an action, [moments].
        updates: gradient steps in all.
        max_skipped_updates: see `LearningConfig`.
        seed: of the draws of moments.
    """

    def __init__(
        self,
        model: ResidualDynamics,
        z: Float[Tensor, "moments latent"],
        action: Float[Tensor, "moments act"],
        last: np.ndarray,
        updates: int,
        max_skipped_updates: int,
        seed: int,
    ) -> None:
        self.model, self.z, self.action, self.last = model, z, action, last
        self.starts = np.flatnonzero(~last)
        measured = torch.from_numpy(evenly(self.starts, MEASURED_STEPS)).to(z.device)
        model.measure(z[measured], z[measured + 1])
        self.parameters = FlatParameters([(list(model.parameters()), LEARNING_RATE)])
        self.budget = SkipBudget(max_skipped_updates)
        self.rng = np.random.default_rng(seed)
        self.updates, self.of = 0, updates

    def rate_share(self) -> float:
        """The share of the learning rate for the next update."""
        done = self.updates / self.of
        if done < WARM_UP:
            return (done + 1.0 / self.of) / (WARM_UP + 1.0 / self.of)
        return half_cosine((done - WARM_UP) / (1.0 - WARM_UP))

    def update(self) -> None:
        """One gradient step.

        Raises:
            StopRun: when more updates are skipped than the budget allows.
        """
        at, valid = self.rng.choice(self.starts, BATCH_SIZE), np.ones(BATCH_SIZE, bool)
        places, held = [at], []
        for _ in range(WINDOW_DECISIONS):
            valid = valid & ~self.last[at]
            held.append(valid)
            at = np.where(valid, at + 1, at)
            places.append(at)
        index = torch.from_numpy(np.stack(places)).to(self.z.device)
        counts = torch.from_numpy(np.stack(held)).to(self.z)
        loss = self.model.loss(self.z[index], self.action[index[:-1]], counts)
        self.parameters.rate_share = self.rate_share()
        self.updates += 1
        self.budget.step(self.parameters, loss, MAX_GRAD_NORM, self.updates, "residual dynamics")
