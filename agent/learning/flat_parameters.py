"""Parameters of several modules as one vector, with their optimiser."""

import math
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
        self._parameters = [parameters for parameters, _ in parts]
        for parameters, rate in parts:
            vector = nn.Parameter(torch.cat([p.detach().reshape(-1) for p in parameters]))
            vector.grad = torch.zeros_like(vector)
            self.vectors.append(vector)
            self.groups.append({"params": [vector], "lr": rate})
        self.attach()
        self.optimizer = torch.optim.Adam(self.groups, fused=True, eps=1e-8)

    def attach(self) -> None:
        """Makes the parameters views of the vectors, with the values that these have."""
        for parameters, vector in zip(self._parameters, self.vectors, strict=True):
            assert vector.grad is not None, "a frozen part is not attached"
            offset = 0
            for p in parameters:
                span = slice(offset, offset + p.numel())
                p.data = vector.data[span].view_as(p)
                p.grad = vector.grad[span].view_as(p)
                offset += p.numel()

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

    @torch.no_grad()
    def step(self, max_grad_norm: float) -> Float[Tensor, ""]:
        """Clips the joint gradient norm and takes an Adam step. A non-finite gradient changes nothing.

        Returns:
            The norm before clipping.
        """
        gradients = [vector.grad for vector in self.vectors if vector.grad is not None]
        norms = [torch.linalg.vector_norm(gradient) for gradient in gradients]
        norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
        size = norm.item()
        if math.isfinite(size):
            if size + 1e-6 > max_grad_norm:
                torch._foreach_mul_(gradients, (max_grad_norm / (norm + 1e-6)).clamp(max=1.0))
            self._adam()
        return norm

    def _adam(self) -> None:
        """The step of `self.optimizer`, without the checks that take as long for two vectors."""
        state = self.optimizer.state
        learned = [vector for vector in self.vectors if vector.grad is not None]
        if not all(state.get(vector) for vector in learned):
            self.optimizer.step()  # the first one, which makes the moments
            return
        for group in self.optimizer.param_groups:
            (vector,) = group["params"]
            if vector.grad is None:
                continue
            moments = state[vector]
            moments["step"] += 1
            beta1, beta2 = group["betas"]
            torch._fused_adam_(
                [vector], [vector.grad], [moments["exp_avg"]], [moments["exp_avg_sq"]], [], [moments["step"]],
                lr=group["lr"], beta1=beta1, beta2=beta2, weight_decay=0.0, eps=group["eps"], amsgrad=False,
                maximize=False,
            )  # fmt: skip
