"""Parameters of several modules as one vector, with their optimiser."""

import torch
from torch import Tensor, nn


class FlatParameters:
    """The parameters of several modules as one vector, so that Adam, clipping and moving averages
    are a few operations instead of hundreds.

    `rates` gives a learning rate per part; each part is one tensor for the optimiser.
    """

    def __init__(self, parts: list[tuple[list[nn.Parameter], float]]):
        self.vectors: list[nn.Parameter] = []
        self.groups = []
        for parameters, rate in parts:
            vector = nn.Parameter(torch.cat([p.detach().reshape(-1) for p in parameters]))
            vector.grad = torch.zeros_like(vector)
            offset = 0
            for p in parameters:
                span = slice(offset, offset + p.numel())
                p.data = vector.data[span].view_as(p)
                p.grad = vector.grad[span].view_as(p)
                offset += p.numel()
            self.vectors.append(vector)
            self.groups.append({"params": [vector], "lr": rate})
        self.optimizer = torch.optim.Adam(self.groups, fused=True, eps=1e-8)

    def zero_grad(self) -> None:
        for vector in self.vectors:
            assert vector.grad is not None
            vector.grad.zero_()

    def step(self, max_grad_norm: float) -> Tensor:
        """Clips the joint norm and steps. A non-finite gradient changes nothing. Returns the norm."""
        norm = nn.utils.clip_grad_norm_(self.vectors, max_grad_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        return norm
