"""A linear system with its optimal feedback and cost-to-go, in the place of a learned model."""

import numpy as np
import scipy.linalg
import torch
from torch import Tensor, nn

from agent.actor.policy import Policy
from agent.cost.critic import Critic
from agent.world_model.dynamics import Step, WorldModel

GAMMA = 0.97


class LinearWorld(WorldModel):
    """z' = A z + B a at cost z'Qz + a'Ra, with two heads that disagree by `gap`, and a given termination."""

    def __init__(self, a: Tensor, b: Tensor, q: Tensor, r: Tensor, gap: float = 0.0, ends: float = -50.0):
        nn.Module.__init__(self)
        self.a, self.b, self.q, self.r, self.gap, self.ends = a, b, q, r, gap, ends

    def running_cost(self, z: Tensor, action: Tensor) -> Tensor:
        return ((z @ self.q) * z).sum(-1) + ((action @ self.r) * action).sum(-1)

    def predict(self, z: Tensor, action: Tensor) -> Step:
        z_next = z @ self.a.T + action @ self.b.T
        heads = torch.stack([z_next - self.gap, z_next + self.gap])
        return Step(heads, self.running_cost(z, action).unsqueeze(1), torch.full_like(z[:, 0], self.ends))

    def expected_cost(self, step: Step) -> Tensor:
        return step.cost_logits[:, 0]


class Feedback(Policy):
    """a = -K z."""

    def __init__(self, gain: Tensor):
        nn.Module.__init__(self)
        self.gain = gain

    def forward(self, z: Tensor) -> Tensor:
        return -z @ self.gain.T


class CostToGo(Critic):
    """Q(z, a) of the Riccati solution P: the running cost, then z'Pz for ever after; two that straddle it."""

    def __init__(self, world: LinearWorld, p: Tensor, discount: float):
        nn.Module.__init__(self)
        self.world, self.p, self.discount = world, p, discount

    def forward(self, z: Tensor, action: Tensor) -> Tensor:
        following = self.world.predict(z, action).z
        value = self.world.running_cost(z, action) + self.discount * ((following @ self.p) * following).sum(
            -1
        )
        return torch.stack([value - 0.5, value + 0.5], 1)


def linear_problem(seed: int) -> tuple[LinearWorld, Feedback, CostToGo, Tensor]:
    """A random controllable system, its optimal feedback, cost-to-go and gain for discount GAMMA."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(4, 4)), rng.normal(size=(4, 2))
    a *= 1.1 / np.abs(np.linalg.eigvals(a)).max()  # unstable without control
    q, r = np.diag(rng.uniform(0.5, 2.0, 4)), np.diag(rng.uniform(0.5, 2.0, 2))
    root = GAMMA**0.5  # a discounted problem is an undiscounted one of a and b scaled by the root
    p = scipy.linalg.solve_discrete_are(root * a, root * b, q, r)
    gain = np.linalg.solve(r + GAMMA * b.T @ p @ b, GAMMA * b.T @ p @ a)
    world = LinearWorld(torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(q), torch.from_numpy(r))
    k = torch.from_numpy(gain)
    return world, Feedback(k), CostToGo(world, torch.from_numpy(p), GAMMA), k
