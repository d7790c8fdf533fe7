"""Energies with a known optimum, or with many minima, to plan against."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def many_minima(actions: Tensor) -> Tensor:
    """A smooth energy [batch samples] with many minima, different in every row of the batch."""
    row = torch.arange(actions.shape[0], dtype=actions.dtype)[:, None, None, None]
    return ((actions - 0.3 - 0.1 * row).square() + 0.3 * (7 * actions + row).sin()).sum((2, 3))


@dataclass
class Regulators:
    """Random linear systems x' = A x + B u with quadratic cost, one per row of a batch."""

    transition: Tensor
    control: Tensor
    state_cost: Tensor
    control_cost: Tensor
    start: Tensor
    horizon: int

    @staticmethod
    def random(count: int, state: int, act: int, horizon: int, radius: float) -> "Regulators":
        """`count` systems; `radius` is the spectral radius of A."""
        generator = seeded(7)

        def normal(*shape: int) -> Tensor:
            return torch.randn(count, *shape, generator=generator, dtype=torch.float64)

        transition = normal(state, state)
        largest = torch.linalg.eigvals(transition).abs().amax(dim=1)

        def definite(size: int) -> Tensor:
            root = normal(size, size)
            return root @ root.mT / size + 0.1 * torch.eye(size, dtype=torch.float64)

        return Regulators(
            transition=transition * (radius / largest)[:, None, None],
            control=normal(state, act),
            state_cost=definite(state),
            control_cost=definite(act),
            start=normal(state),
            horizon=horizon,
        )

    def optimum(self) -> Tensor:
        """Least cost [batch] from the start, by the backward Riccati recursion."""
        a, b, r = self.transition, self.control, self.control_cost
        p = self.state_cost
        for _ in range(self.horizon):
            gain = torch.linalg.solve(r + b.mT @ p @ b, b.mT @ p @ a)
            p = self.state_cost + a.mT @ p @ (a - b @ gain)
        return torch.einsum("bi,bij,bj->b", self.start, p, self.start)

    def energy(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """The energy function: the cost of controls [batch samples horizon act] from the start."""
        a, b, q, r = (
            m.to(dtype) for m in (self.transition, self.control, self.state_cost, self.control_cost)
        )
        start = self.start.to(dtype).unsqueeze(1)

        def energy(actions: Tensor) -> Tensor:
            state = start.expand(-1, actions.shape[1], -1)
            total = ((state @ q) * state).sum(-1)
            for step in range(self.horizon):
                action = actions[:, :, step]
                state = state @ a.mT + action @ b.mT
                total = total + ((state @ q) * state).sum(-1) + ((action @ r) * action).sum(-1)
            return total

        return energy
