"""Forward and backward passes of the agent's layers, written out on plain tensors.

Autograd records every operation of a forward pass, and its backward pass allocates and adds up every gradient.
The networks here are small, so that this takes more time than their matrix products. `FusedMLP` computes the same
numbers from the same parameters, and writes each gradient to its place in the flat gradient vector
(`agent.learning.flat_parameters`). Nothing here records a graph: callers are in inference mode.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agent.layers import NormedLinear, TwoHot

ALL = slice(None)
threshold_backward = torch.ops.aten.threshold_backward.default
native_layer_norm_backward = torch.ops.aten.native_layer_norm_backward.default


@dataclass(slots=True)
class Pass:
    """What a `FusedMLP` keeps of a forward pass for the backward pass, and of that for its parameters' gradients.

    The layers are in order in what the forward pass keeps, and from the last to the first in what the backward pass
    keeps.
    """

    inputs: list[Tensor]
    """The input of the network, and the output of each hidden layer."""
    norms: list[tuple[Tensor, Tensor, Tensor]]
    """For each hidden layer what its norm reads, and its mean and inverse deviation by row."""
    on_linear: list[Tensor]
    """The gradient of the output of each linear layer."""
    on_norm: list[Tensor]
    """The gradients of the weight and the bias of each norm."""

    def first(self, rows: int) -> "Pass":
        """The pass of the first rows alone, before a backward pass."""
        norms = [(raw[:rows], mean[:rows], scale[:rows]) for raw, mean, scale in self.norms]
        return Pass([part[:rows] for part in self.inputs], norms, [], [])


class FusedLinear:
    """The tensors of a linear layer, without its graph; gradients where the layer has them."""

    def __init__(self, layer: nn.Linear) -> None:
        self.weight, self.bias = layer.weight.detach(), layer.bias.detach()
        self.transposed = self.weight.t()
        self.gradients = (layer.weight.grad, layer.bias.grad)


class FusedNorm:
    """The tensors and constants of a norm, likewise."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        self.weight, self.bias = norm.weight.detach(), norm.bias.detach()
        self.shape, self.eps = list(norm.normalized_shape), norm.eps
        self.gradients = (norm.weight.grad, norm.bias.grad)


class FusedMLP:
    """Layers of Linear, LayerNorm and ReLU, and a linear layer where there is an `out`.

    Parameters are shared with the layers, and so are their gradients where they have them.

    Args:
        hidden: the hidden layers.
        out: the last layer.
    """

    def __init__(self, hidden: Sequence[nn.Module], out: nn.Module | None = None) -> None:
        self.hidden: list[tuple[FusedLinear, FusedNorm]] = []
        for layer in hidden:
            assert isinstance(layer, NormedLinear)
            self.hidden.append((FusedLinear(layer.linear), FusedNorm(layer.norm)))
        self.out: FusedLinear | None = None
        if out is not None:
            assert isinstance(out, nn.Linear)
            self.out = FusedLinear(out)
        last = [] if self.out is None else [self.out]
        linear = [layer.gradients for layer in (*last, *(layer for layer, _ in reversed(self.hidden)))]
        norms = [gradient for _, norm in reversed(self.hidden) for gradient in norm.gradients]
        self.linear_gradients = [(w, b) for w, b in linear if w is not None and b is not None]
        self.norm_gradients = [gradient for gradient in norms if gradient is not None]

    def forward(
        self, x: Float[Tensor, "rows inputs"], into: Float[Tensor, "rows outputs"] | None = None
    ) -> tuple[Float[Tensor, "rows outputs"], Pass]:
        """The output, and what `backward` needs.

        Args:
            x: the input.
            into: where the last layer writes the output.
        """
        inputs, norms = [x], []
        for linear, norm in self.hidden:
            raw = torch.addmm(linear.bias, x, linear.transposed)
            x, mean, scale = torch.native_layer_norm(raw, norm.shape, norm.weight, norm.bias, norm.eps)
            x.relu_()
            inputs.append(x)
            norms.append((raw, mean, scale))
        if self.out is not None:
            if into is not None and torch.compiler.is_compiling():  # which takes no `out` with gaps
                x = into.copy_(torch.addmm(self.out.bias, x, self.out.transposed))
            else:
                x = torch.addmm(self.out.bias, x, self.out.transposed, out=into)
        return x, Pass(inputs, norms, [], [])

    def backward(self, g: Float[Tensor, "rows outputs"], kept: Pass, *, parameters: bool = True) -> None:
        """The backward pass; `input_gradient` and `write_gradients` read what it keeps.

        Args:
            g: gradient of the output.
            kept: of the forward pass.
            parameters: whether there will be a `write_gradients`.
        """
        if self.out is not None:
            kept.on_linear.append(g)
            g = torch.mm(g, self.out.weight)
        wanted = [True, parameters, parameters]
        for place in range(len(self.hidden) - 1, -1, -1):
            linear, norm = self.hidden[place]
            raw, mean, scale = kept.norms[place]
            g = threshold_backward(g, kept.inputs[place + 1], 0)
            g, *on_norm = native_layer_norm_backward(
                g, raw, norm.shape, mean, scale, norm.weight, norm.bias, wanted
            )
            kept.on_linear.append(g)
            kept.on_norm += on_norm
            if place:
                g = torch.mm(g, linear.weight)

    def input_gradient(self, kept: Pass, inputs: slice = ALL) -> Float[Tensor, "rows inputs"]:
        """The gradient of some of the inputs, after `backward`."""
        return torch.mm(kept.on_linear[-1], self.hidden[0][0].weight[:, inputs])

    def write_gradients(self, passes: Sequence[Pass], inputs: Tensor | None = None) -> None:
        """Writes the gradients of the parameters, summed over passes.

        Args:
            passes: after their backward passes.
            inputs: the inputs of all passes, where they are at hand as one tensor.
        """
        first, *others = passes
        for other in others:
            torch._foreach_add_(first.on_norm, other.on_norm)
        torch._foreach_copy_(self.norm_gradients, first.on_norm)
        layer = len(self.linear_gradients)
        for place, (weight, bias) in enumerate(self.linear_gradients):
            layer -= 1
            g, x = first.on_linear[place], first.inputs[layer]
            if others:
                g = torch.cat([kept.on_linear[place] for kept in passes])
                at_hand = inputs if layer == 0 else None
                x = torch.cat([kept.inputs[layer] for kept in passes]) if at_hand is None else at_hand
            torch.mm(g.t(), x, out=weight)
            torch.sum(g, 0, out=bias)


class TwoHotLoss:
    """The loss of a two-hot head, and its gradient.

    The code of a target is written out here: a bin has the share that its distance from the target leaves of 1.

    Args:
        head: the head.
    """

    def __init__(self, head: TwoHot) -> None:
        self.head, self.bins = head, head.bins
        self.numbers = torch.arange(head.bins, dtype=head.centres.dtype)

    def __call__(
        self,
        logits: Float[Tensor, "*rows bins"],
        target: Float[Tensor, "*rows"],
        weight: Float[Tensor, "*rows"],
    ) -> tuple[Float[Tensor, "*rows"], Float[Tensor, "*rows bins"]]:
        """The loss per row, and the gradient of its sum weighted by `weight`."""
        code = self.numbers - self.head.position(target).unsqueeze(-1)
        code.abs_().neg_().add_(1.0).clamp_min_(0.0)
        log_share = logits.log_softmax(-1)
        loss = (log_share * code).sum(-1).neg_()
        return loss, log_share.exp_().sub_(code).mul_(weight.unsqueeze(-1))


def simplicial_norm_backward(
    g: Float[Tensor, "*rows latent"], z: Float[Tensor, "*rows latent"], group: int
) -> Float[Tensor, "*rows latent"]:
    """The gradient of the input of `simplicial_norm`, from that of its output `z`."""
    shape = z.shape
    grouped = (*shape[:-1], group, shape[-1] // group)
    return torch._softmax_backward_data(g.view(grouped), z.view(grouped), -2, z.dtype).view(shape)
