"""A linear system with its optimal feedback and cost-to-go, in place of learned networks."""

import numpy as np
import scipy.linalg
import torch
from torch import Tensor, nn

from agent.actor.policy import Policy
from agent.cost.critic import Critic
from agent.world_model.dynamics import Step, WorldModel

GAMMA = 0.97


class LinearModel(WorldModel):
    """z' = A z + B a at cost z'Qz + a'Ra, with two heads `offset` to either side, and a fixed termination logit."""

    def __init__(
        self, a: Tensor, b: Tensor, q: Tensor, r: Tensor, offset: float = 0.0, termination: float = -50.0
    ):
        nn.Module.__init__(self)
        self.a, self.b, self.q, self.r, self.offset, self.termination = a, b, q, r, offset, termination

    def running_cost(self, z: Tensor, action: Tensor) -> Tensor:
        return ((z @ self.q) * z).sum(-1) + ((action @ self.r) * action).sum(-1)

    def predict(self, z: Tensor, action: Tensor) -> Step:
        following = z @ self.a.T + action @ self.b.T
        heads = torch.stack([following - self.offset, following + self.offset])
        termination = torch.full_like(z[:, 0], self.termination)
        return Step(heads, self.running_cost(z, action).unsqueeze(1), termination)

    def expected_cost(self, step: Step) -> Tensor:
        return step.cost_logits[:, 0]


class Feedback(Policy):
    """a = -K z."""

    def __init__(self, gain: Tensor):
        nn.Module.__init__(self)
        self.gain, self.action_size = gain, len(gain)

    def forward(self, z: Tensor) -> Tensor:
        return -z @ self.gain.T


class CostToGo(Critic):
    """Q(z, a) from the Riccati solution P: the running cost plus the discounted z'Pz.

    Two critics predict 0.5 more and 0.5 less.
    """

    def __init__(self, model: LinearModel, p: Tensor, discount: float):
        nn.Module.__init__(self)
        self.model, self.p, self.discount = model, p, discount
        self.scale = torch.ones(())

    def forward(self, z: Tensor, action: Tensor) -> Tensor:
        following = self.model.predict(z, action).z
        later = ((following @ self.p) * following).sum(-1)
        value = self.model.running_cost(z, action) + self.discount * later
        return torch.stack([value - 0.5, value + 0.5], 1)


def linear_problem(seed: int) -> tuple[LinearModel, Feedback, CostToGo, Tensor]:
    """A random controllable system, its optimal feedback, cost-to-go and gain for discount GAMMA."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(4, 4)), rng.normal(size=(4, 2))
    a *= 1.1 / np.abs(np.linalg.eigvals(a)).max()  # unstable without control
    q, r = np.diag(rng.uniform(0.5, 2.0, 4)), np.diag(rng.uniform(0.5, 2.0, 2))
    root = GAMMA**0.5  # a discounted problem is an undiscounted one with a and b scaled by the root
    p = scipy.linalg.solve_discrete_are(root * a, root * b, q, r)
    gain = np.linalg.solve(r + GAMMA * b.T @ p @ b, GAMMA * b.T @ p @ a)
    model = LinearModel(torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(q), torch.from_numpy(r))
    k = torch.from_numpy(gain)
    return model, Feedback(k), CostToGo(model, torch.from_numpy(p), GAMMA), k
