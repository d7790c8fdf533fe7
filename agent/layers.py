"""Layers that perception, world model, cost and actor share."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class NormedLinear(nn.Module):
    """Linear, LayerNorm, ReLU. On a CPU, Mish in place of ReLU would take a quarter of an update."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Float[Tensor, "*rows inputs"]) -> Float[Tensor, "*rows outputs"]:
        """The layer's output, in the precision of its weights."""
        # The functions in place of the modules: calling the two modules takes as long as the norm of a small
        # layer.
        linear, norm = self.linear, self.norm
        weight = linear.weight
        # Float32 weights leave the precision of the product to autocast.
        x = x if weight.dtype == torch.float32 else x.to(weight.dtype)
        y = F.linear(x, weight, linear.bias)
        if y.dtype != norm.weight.dtype and not y.is_cpu:
            y = full(y)  # on a GPU the norm refuses bfloat16 with float32 weights
        y = torch.relu_(torch.layer_norm(y, norm.normalized_shape, norm.weight, norm.bias, norm.eps))
        # The next layer has weights of the same precision, and autocast converts float32 only.
        return y if weight.dtype == torch.float32 else y.to(weight.dtype)


def through(layers: nn.Module, x: Float[Tensor, "*rows inputs"]) -> Float[Tensor, "*rows outputs"]:
    """The output of a sequence of layers.

    Calling modules, which have no hooks here, takes as long as a small layer.
    """
    assert isinstance(layers, nn.Sequential)
    for layer in layers:
        x = layer.forward(x)
    return x


def full(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """`x` in at least float32, the precision of everything but the matrix products."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer initialised with zeros: a two-hot head then begins with the value 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def symlog(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """sign(x) log(1 + |x|): compresses values of any scale (Hafner et al. 2023, equation 9)."""
    return x.sign() * x.abs().log1p()


def symexp(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Inverse of `symlog`."""
    return x.sign() * x.abs().expm1()


class TwoHot(nn.Module):
    """A scalar as a categorical distribution over bins between -`limit` and `limit`.

    `value` is the expectation; `loss` is the cross-entropy to the two nearest bins.

    Args:
        bins: number of bins.
        limit: of the scalar, after symlog where `logarithmic`.
        logarithmic: spaces the bins evenly in symlog (Hafner et al. 2023, section 3): large values fit, at a
            coarser resolution.
    """

    centres: Tensor

    def __init__(self, bins: int, limit: float, *, logarithmic: bool):
        super().__init__()
        self.bins, self.limit, self.logarithmic = bins, limit, logarithmic
        self.register_buffer("centres", torch.linspace(-limit, limit, bins), persistent=False)

    def value(self, logits: Float[Tensor, "*rows bins"]) -> Float[Tensor, "*rows"]:
        """The mean over the bins under the logits; where they are logarithmic, `symexp` of the mean of logarithms.

        Of a scalar that is seldom other than 0, the latter is below the mean: 0.05 for a 1 in one of ten cases.
        """
        share = full(logits).flatten(0, -2).softmax(-1)
        mean = torch.mv(share, self.centres.to(share)).view(logits.shape[:-1])
        return symexp(mean) if self.logarithmic else mean

    def loss(
        self, logits: Float[Tensor, "*rows bins"], target: Float[Tensor, "*rows"]
    ) -> Float[Tensor, "*rows"]:
        """The cross-entropy to the two-hot code of `target`, per row."""
        position = self.position(target)
        # A target that is not a number gives a loss that is not a number, which the learner skips.
        lower = position.floor().clamp(0, self.bins - 2).nan_to_num(0.0)
        weight = (position - lower).unsqueeze(-1)
        index = lower.long().unsqueeze(-1)
        at_lower, at_upper = logits.gather(-1, index), logits.gather(-1, index + 1)
        return (logits.logsumexp(-1, keepdim=True) - torch.lerp(at_lower, at_upper, weight)).squeeze(-1)

    def position(self, target: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
        """Where a scalar lies among the bins, from 0 to `bins` - 1; between two of them, it is not whole."""
        coded = symlog(target) if self.logarithmic else target
        return (coded.clamp(-self.limit, self.limit) + self.limit) * ((self.bins - 1) / (2 * self.limit))
