"""Parameters of several modules as one vector, with their optimiser."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FlatParameters:
    """The parameters of several modules, each part as one vector.

    Adam, gradient clipping and moving averages are then a few operations instead of hundreds.

    Args:
        parts: for each part its parameters and its learning rate.
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
        """Sets the gradients to zero."""
        for vector in self.vectors:
            if vector.grad is not None:
                vector.grad.zero_()

    @contextmanager
    def frozen(self, part: int) -> Iterator[None]:
        """In the block, steps leave out a part: its parameters, optimiser state and share of the norm."""
        vector = self.vectors[part]
        gradient, vector.grad = vector.grad, None
        try:
            yield
        finally:
            vector.grad = gradient

    def step(self, max_grad_norm: float) -> Float[Tensor, ""]:
        """Clips the joint gradient norm and takes an Adam step. A non-finite gradient changes nothing.

        Returns:
            The norm before clipping.
        """
        norm = nn.utils.clip_grad_norm_(self.vectors, max_grad_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        return norm
