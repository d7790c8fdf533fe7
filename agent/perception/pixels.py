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
SHIFT = 4
"""Pixels of a random shift, at most, of a picture of 64; more of a larger one."""
AT_A_TIME = 64
"""Pictures that are encoded together where no gradient is wanted."""


class PixelNormalizer(nn.Module):
    """Leaves pictures as they are, and normalises the state beside them.

    Args:
        pixels: name of the part with pictures.
        states: name of every other part -> its normaliser.
    """

    def __init__(self, pixels: str, states: Mapping[str, StateNormalizer]) -> None:
        super().__init__()
        self.pixels, self.states = pixels, nn.ModuleDict(states)

    def update(self, obs: Any) -> None:
        """Takes new observations into the statistics of the state."""
        for name, normalizer in self.states.items():
            assert isinstance(normalizer, StateNormalizer)
            normalizer.update(obs[name])

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
        scaled = pictures.to(self.out.weight.dtype).div_(255.0).sub_(0.5)
        found: Tensor = self.convolutions(scaled)
        return found.flatten(1)


def shifted(
    pictures: UInt8[Tensor, "time batch channels height width"], largest: int
) -> UInt8[Tensor, "time batch channels height width"]:
    """Windows of pictures, each window shifted by its own number of pixels; what comes in at an edge repeats it.

    Args:
        pictures: windows of stacked frames.
        largest: pixels, in each direction.
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


def augmented(obs: Any, pixels: str) -> Any:
    """Windows of observations whose pictures are shifted at random."""
    if isinstance(obs, Mapping):
        return {**obs, pixels: augmented(obs[pixels], pixels)}
    return shifted(obs, max(1, round(SHIFT * obs.shape[-1] / 64)))
