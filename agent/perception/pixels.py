"""PERCEPTION of pixels: a small convolutional encoder, with or without the state beside them.

Pictures are shifted at random by a few pixels when they are learned from, so that the encoder learns what is in
them and not where exactly (Yarats et al. 2021, DrQ). All pictures of a window are shifted alike: what moves between
them is what moved in the world.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from agent.layers import NormedLinear, full
from agent.perception.regularizers import Regularizer
from agent.perception.state_normalizer import StateNormalizer

CHANNELS = (16, 32, 32, 32)
"""Of the convolutions, each of which halves height and width."""
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
        layers: list[nn.Module] = []
        for out in CHANNELS:
            layers += [nn.Conv2d(channels, out, 3, stride=2, padding=1), nn.ReLU()]
            channels, height, width = out, -(-height // 2), -(-width // 2)
        self.convolutions = nn.Sequential(*layers)
        self.hidden = NormedLinear(channels * height * width + sum(states.values()), hidden)
        self.out = nn.Linear(hidden, latent)

    def forward(self, obs: Any) -> Float[Tensor, "*rows latent"]:
        """The latents of normalised observations."""
        pictures = obs[self.pixels] if isinstance(obs, Mapping) else obs
        rows, flat = pictures.shape[:-3], pictures.flatten(0, -4)
        # Where nothing is kept for a backward pass, a few pictures at a time stay in the cache.
        parts = [flat] if torch.is_grad_enabled() else flat.split(AT_A_TIME)
        found = torch.cat([self.features(part) for part in parts]).unflatten(0, rows)
        if self.states:
            found = torch.cat((full(found), *(obs[name] for name in self.states)), -1)
        return self.regularizer.project(full(self.out.forward(self.hidden.forward(found))))

    def features(
        self, pictures: UInt8[Tensor, "rows channels height width"]
    ) -> Float[Tensor, "rows features"]:
        """What the convolutions find in pictures."""
        # Channels last in memory: convolutions on a CPU then take half the time, forwards and backwards. Each step
        # has its operands in one layout, and takes a third of the time of one that mixes two.
        floats = pictures.to(self.usual.dtype, memory_format=torch.channels_last)
        usual = (255.0 * self.usual).unsqueeze(0).contiguous(memory_format=torch.channels_last)
        scaled = floats.sub_(usual).mul_(1.0 / (255.0 * self.spread))
        found: Tensor = self.convolutions(scaled)
        return found.flatten(1)


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
