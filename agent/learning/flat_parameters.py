"""Parameters of several modules as one vector, with their optimiser."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

BETAS = 0.9, 0.999
EPSILON = 1e-8
Moments = dict[str, Tensor]
"""Number of steps, averages of gradient and squared gradient of a part, by the names of `torch.optim.Adam`."""


class FlatParameters:
    """The parameters of several modules, each part as one vector, with Adam (Kingma and Ba 2015).

    Adam, gradient clipping and moving averages are then a few operations instead of hundreds. `torch.optim` is not
    used: its first optimiser imports torch's compiler, which takes as long as all of torch.

    Args:
        parts: for each part its parameters, of which there may be none, and its learning rate.
    """

    def __init__(self, parts: list[tuple[list[nn.Parameter], float]]):
        self.vectors: list[nn.Parameter] = []
        self.rates = [rate for _, rate in parts]
        self.rate_share = 1.0
        """Of the learning rates, with which steps are taken."""
        self.moments: list[Moments] = [{} for _ in parts]
        """Of each part; empty before its first step."""
        self._parameters = [parameters for parameters, _ in parts]
        nothing = next(p.detach().reshape(-1)[:0] for parameters in self._parameters for p in parameters)
        for parameters in self._parameters:
            vector = nn.Parameter(torch.cat([nothing, *(p.detach().reshape(-1) for p in parameters)]))
            vector.grad = torch.zeros_like(vector)
            self.vectors.append(vector)
        self.attach()

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
        for vector, rate, moments in zip(self.vectors, self.rates, self.moments, strict=True):
            if vector.grad is None:
                continue
            if not moments:
                moments["step"] = torch.zeros((), dtype=torch.float32, device=vector.device)
                moments |= {name: torch.zeros_like(vector) for name in ("exp_avg", "exp_avg_sq")}
            moments["step"] += 1
            torch._fused_adam_(
                [vector], [vector.grad], [moments["exp_avg"]], [moments["exp_avg_sq"]], [], [moments["step"]],
                lr=self.rate_share * rate, beta1=BETAS[0], beta2=BETAS[1], weight_decay=0.0, eps=EPSILON,
                amsgrad=False, maximize=False,
            )  # fmt: skip

    def copied_moments(self) -> list[Moments]:
        """Copies of the moments of each part."""
        return [{name: value.clone() for name, value in moments.items()} for moments in self.moments]

    def restore_moments(self, moments: list[Moments]) -> None:
        """Takes copies of moments that `copied_moments` gave."""
        self.moments = [{name: value.clone() for name, value in part.items()} for part in moments]
