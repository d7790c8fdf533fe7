"""PERCEPTION of pixels: a small convolutional encoder, with or without the state beside them.

It says of every feature where in the picture it is: the mean position under a softmax over all places (Levine et
al. 2016, "End-to-End Training of Deep Visuomotor Policies", section 5.1). Where an object is takes few numbers
then, and they change smoothly as it moves.

Pictures are shifted at random by a few pixels when they are learned from, so that the encoder learns what is in
them and not where exactly (Yarats et al. 2021, DrQ). All pictures of a window are shifted alike: what moves between
them is what moved in the world.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor, nn

from agent.layers import NormedLinear, full
from agent.perception.regularizers import Regularizer
from agent.perception.state_normalizer import StateNormalizer

PATCH = 4
"""Height and width of the patches that the first layer reads, in pixels."""
CHANNELS = (32, 32)
"""Of the patches' layer, and of the convolution after it: so many features have a position."""
POSITION_SCALE = 3.0
"""Positions at the edges of a picture: as large as other inputs of a layer."""
SMALLEST_SPREAD = 0.005
"""Of a pixel, from 0 to 1: smaller changes are noise."""
AT_A_TIME = 16
"""Pictures that are encoded together where no gradient is wanted."""


class PixelNormalizer(nn.Module):
    """Measures what pictures usually show, for the encoder to subtract, and normalises the state beside them.

    A small robot changes few pixels. Without the usual picture subtracted, nearly all that an encoder sees is what
    never changes, and its latents collapse to one.

    Args:
        pixels: name of the part with pictures.
        shape: of a stack of pictures: channels, height, width.
        states: name of every other part -> its normaliser.
    """

    count: Tensor
    usual: Tensor
    """The mean picture, from 0 to 1."""
    square: Tensor
    """Mean square of a pixel."""

    def __init__(
        self, pixels: str, shape: tuple[int, int, int], states: Mapping[str, StateNormalizer]
    ) -> None:
        super().__init__()
        self.pixels = pixels
        self.states = nn.ModuleDict(states)
        self.readers: tuple[PixelEncoder, ...] = ()
        """Encoders that subtract the usual picture; not registered here, because they are modules of their own."""
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("usual", torch.zeros(shape))
        self.register_buffer("square", torch.zeros((), dtype=torch.float64))

    def update(self, obs: Any) -> None:
        """Takes new observations [rows, ...] into the statistics."""
        for name, normalizer in self.states.items():
            assert isinstance(normalizer, StateNormalizer)
            normalizer.update(obs[name])
        pictures = obs[self.pixels] if isinstance(obs, Mapping) else obs
        if not len(pictures):
            return
        self.count += len(pictures)
        share = len(pictures) / float(self.count)
        scaled = pictures.to(self.usual.dtype).div_(255.0)
        self.usual.lerp_(scaled.mean(0), share)
        self.square.lerp_(scaled.square_().mean(dtype=torch.float64), share)
        spread = (self.square - self.usual.double().square().mean()).clamp_min(SMALLEST_SPREAD**2).sqrt()
        for reader in self.readers:
            reader.usual.copy_(self.usual)
            reader.spread.copy_(spread)

    def forward(self, obs: Any) -> Any:
        """Observations as the encoder reads them."""
        if not self.states:
            return obs
        return {self.pixels: obs[self.pixels]} | {
            name: normalizer(obs[name]) for name, normalizer in self.states.items()
        }


class PixelEncoder(nn.Module):
    """Pictures, and features of the state, -> z.

    Args:
        pixels: name of the part with pictures.
        shape: of a stack of pictures: channels, height, width.
        states: name of every other part -> its number of features.
        hidden: width of the hidden layer.
        latent: size of z.
        regularizer: shapes the latent.
    """

    usual: Tensor
    """The picture that is subtracted, from 0 to 1."""
    spread: Tensor
    """Standard deviation of a pixel from it, over all pixels."""
    places: Tensor

    def __init__(
        self,
        pixels: str,
        shape: tuple[int, int, int],
        states: Mapping[str, int],
        hidden: int,
        latent: int,
        regularizer: Regularizer,
    ) -> None:
        super().__init__()
        self.pixels, self.states, self.regularizer = pixels, list(states), regularizer
        self.register_buffer("usual", torch.full(shape, 0.5))
        self.register_buffer("spread", torch.full((), 0.3))
        channels, height, width = shape
        read, out = CHANNELS
        self.patches = nn.Linear(channels * PATCH**2, read)
        self.convolution = nn.Conv2d(read, out, 3, padding=1)
        self.sharpness = nn.Parameter(torch.ones(out, 1))
        self.register_buffer("places", places(-(-height // PATCH), -(-width // PATCH)), persistent=False)
        self.hidden = NormedLinear(2 * out + sum(states.values()), hidden)
        self.out = nn.Linear(hidden, latent)

    def forward(self, obs: Any) -> Float[Tensor, "*rows latent"]:
        """The latents of normalised observations."""
        pictures = obs[self.pixels] if isinstance(obs, Mapping) else obs
        rows, flat = pictures.shape[:-3], pictures.flatten(0, -4)
        # Where nothing is kept for a backward pass, a few pictures at a time stay in the cache.
        parts = [flat] if torch.is_grad_enabled() else flat.split(AT_A_TIME)
        weight, bias = self.first_layer()
        found = torch.cat([self.features(part, weight, bias) for part in parts]).unflatten(0, rows)
        if self.states:
            found = torch.cat((full(found), *(obs[name] for name in self.states)), -1)
        return self.regularizer.project(full(self.out.forward(self.hidden.forward(found))))

    def first_layer(self) -> tuple[Float[Tensor, "out numbers"], Float[Tensor, "1 down across out"]]:
        """Weight and bias of the layer of patches for bytes as they are: usual picture and scale are folded in."""
        # Here and in `features` the difference of two large sums is left, which takes all bits.
        with torch.autocast(self.usual.device.type, enabled=False):
            weight = self.patches.weight / (255.0 * self.spread)
            usual = in_patches(255.0 * self.usual.unsqueeze(0))
            return weight, self.patches.bias - F.linear(usual, weight)

    def features(
        self,
        pictures: UInt8[Tensor, "rows channels height width"],
        weight: Float[Tensor, "out numbers"],
        bias: Float[Tensor, "1 down across out"],
    ) -> Float[Tensor, "rows features"]:
        """Where each feature is in pictures; weight and bias are `first_layer`'s."""
        with torch.autocast(pictures.device.type, enabled=False):
            found = torch.relu(F.linear(in_patches(pictures).to(weight.dtype), weight) + bias)
        # Channels last in memory, as they are here, convolutions on a CPU take half the time.
        maps = full(self.convolution(found.permute(0, 3, 1, 2)).flatten(2))
        with torch.autocast(pictures.device.type, enabled=False):
            position: Tensor = (maps * self.sharpness).softmax(-1) @ self.places
        return position.flatten(1)


def places(height: int, width: int) -> Float[Tensor, "places 2"]:
    """Rows and columns of the places of a grid, from -POSITION_SCALE to POSITION_SCALE."""
    sides = [torch.linspace(-POSITION_SCALE, POSITION_SCALE, count) for count in (height, width)]
    return torch.stack(torch.meshgrid(*sides, indexing="ij"), -1).flatten(0, 1)


def in_patches(
    pictures: Shaped[Tensor, "rows channels height width"],
) -> Shaped[Tensor, "rows down across numbers"]:
    """Pictures cut into patches of PATCH by PATCH pixels; where they do not divide, zeros fill the last ones.

    Args:
        pictures: of any type.

    Returns:
        The numbers of each patch, in order of channel, row and column.
    """
    rows, channels, height, width = pictures.shape
    if height % PATCH or width % PATCH:
        pictures = F.pad(pictures, (0, -width % PATCH, 0, -height % PATCH))
    pictures = pictures.contiguous()
    # Four bytes move as one word, in a quarter of the time.
    words = pictures.view(torch.int32) if pictures.dtype == torch.uint8 else pictures
    down, across = -(-height // PATCH), -(-width // PATCH)
    cut = words.view(rows, channels, down, PATCH, across, words.shape[-1] // across)
    return cut.permute(0, 2, 4, 1, 3, 5).contiguous().view(pictures.dtype).flatten(3)


def shifted(
    pictures: UInt8[Tensor, "time batch channels height width"], largest: int
) -> UInt8[Tensor, "time batch channels height width"]:
    """Windows of pictures, each window shifted by its own number of pixels; what comes in at an edge repeats it.

    Args:
        pictures: windows of stacked frames.
        largest: pixels, in each direction; fewer than the height and the width.
    """
    height, width = pictures.shape[-2:]
    by = torch.randint(-largest, largest + 1, (pictures.shape[1], 2)).tolist()
    out = torch.empty_like(pictures)
    for source, target, (down, right) in zip(pictures.unbind(1), out.unbind(1), by, strict=True):
        top, bottom = max(0, -down), height - max(0, down)
        left, end = max(0, -right), width - max(0, right)
        middle = target[..., top:bottom, :]
        middle[..., left:end] = source[..., top + down : bottom + down, left + right : end + right]
        middle[..., :left] = middle[..., left : left + 1]
        middle[..., end:] = middle[..., end - 1 : end]
        target[..., :top, :] = target[..., top : top + 1, :]
        target[..., bottom:, :] = target[..., bottom - 1 : bottom, :]
    return out


def augmented(obs: Any, pixels: str, largest: int) -> Any:
    """Windows of observations whose pictures are shifted at random.

    Args:
        obs: windows of observations.
        pixels: name of the part with pictures.
        largest: pixels, of a picture of 64; more of a larger one, but never the whole of it.
    """
    if isinstance(obs, Mapping):
        return {**obs, pixels: augmented(obs[pixels], pixels, largest)}
    scaled = max(1, round(largest * obs.shape[-1] / 64))
    return shifted(obs, min(scaled, min(obs.shape[-2:]) - 1))
