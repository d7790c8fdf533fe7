"""The encoder that fits the parts of an observation.

Another kind of observation is one class in a file of its own, and one line in `ENCODERS`.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from agent.configurator.settings import ModelConfig
from agent.errors import ConfigError
from agent.interface import ObservationPart
from agent.memory.columns import is_picture
from agent.perception.encoder import Encoder, SensorEncoder
from agent.perception.pixels import PixelEncoder, PixelNormalizer
from agent.perception.regularizers import Regularizer, Sensors, SimNorm
from agent.perception.state_normalizer import StateNormalizer


@runtime_checkable
class EncoderKind(Protocol):
    """A way to encode observations.

    The normaliser has `update(obs)` and maps observations to what the encoder reads. Both take one tensor where the
    observation has one part, else a mapping of tensors.
    """

    def accepts(self, parts: Sequence[ObservationPart]) -> bool:
        """Whether it can encode these parts."""
        ...

    def normalizer(self, parts: Sequence[ObservationPart], model: ModelConfig) -> nn.Module: ...

    def encoder(
        self, parts: Sequence[ObservationPart], model: ModelConfig, regularizer: Regularizer
    ) -> nn.Module: ...


class StateEncoding:
    """One flat vector of numbers: running normalisation, angles as sine and cosine, and a small network."""

    def accepts(self, parts: Sequence[ObservationPart]) -> bool:
        """See `EncoderKind`."""
        return len(parts) == 1 and len(parts[0].shape) == 1 and np.dtype(parts[0].dtype).kind == "f"

    def normalizer(self, parts: Sequence[ObservationPart], model: ModelConfig) -> StateNormalizer:
        """See `EncoderKind`."""
        return StateNormalizer(parts[0].shape[0], _angles(parts[0], model))

    def encoder(
        self, parts: Sequence[ObservationPart], model: ModelConfig, regularizer: Regularizer
    ) -> Encoder | SensorEncoder:
        """See `EncoderKind`. Raises ConfigError for a latent with fewer numbers than sensors."""
        features = parts[0].shape[0] + len(_angles(parts[0], model))
        if isinstance(regularizer, Sensors):
            return SensorEncoder(features, model.latent_dim)
        return Encoder(features, model.hidden_dim, model.latent_dim, regularizer)


def _angles(part: ObservationPart, model: ModelConfig) -> tuple[int, ...]:
    """Places of the numbers that are read as sine and cosine."""
    return tuple(part.angles) if model.wrap_angles else ()


class PixelEncoding:
    """Pictures [channels, height, width] of one camera, uint8, with or without a flat vector of numbers."""

    def accepts(self, parts: Sequence[ObservationPart]) -> bool:
        """See `EncoderKind`."""
        pictures = [part for part in parts if is_picture(part)]
        others = [part for part in parts if not is_picture(part)]
        return len(pictures) == 1 and (not others or StateEncoding().accepts(others))

    def normalizer(self, parts: Sequence[ObservationPart], model: ModelConfig) -> PixelNormalizer:
        """See `EncoderKind`."""
        states = {
            part.name: StateEncoding().normalizer([part], model) for part in parts if not is_picture(part)
        }
        picture = self._picture(parts)
        channels, height, width = picture.shape
        return PixelNormalizer(picture.name, (channels, height, width), states)

    def encoder(
        self, parts: Sequence[ObservationPart], model: ModelConfig, regularizer: Regularizer
    ) -> PixelEncoder:
        """See `EncoderKind`. Raises ConfigError for latents that are to be the numbers of the observation."""
        if isinstance(regularizer, Sensors):
            raise ConfigError(
                "regularizer.kind: sensors takes the numbers of an observation as its latent, and this agent "
                "observes pictures; contrast learns latents for plans by their distance"
            )
        picture = self._picture(parts)
        channels, height, width = picture.shape
        states = {
            part.name: part.shape[0] + len(_angles(part, model)) for part in parts if not is_picture(part)
        }
        shape = (channels, height, width)
        return PixelEncoder(picture.name, shape, states, model.hidden_dim, model.latent_dim, regularizer)

    @staticmethod
    def _picture(parts: Sequence[ObservationPart]) -> ObservationPart:
        return next(part for part in parts if is_picture(part))


ENCODERS: list[EncoderKind] = [StateEncoding(), PixelEncoding()]
"""The kinds of encoders; the first that accepts an observation is taken."""


_OWN = tuple(ENCODERS)


def check_encoder(
    kind: EncoderKind,
    parts: Sequence[ObservationPart],
    normalizer: Any,
    encoder: Any,
    latent: int,
    regularizer: Regularizer,
) -> None:
    """Encodes zeros, to see that a user's kind keeps the contract; Joule's own do.

    Raises:
        ConfigError: where latents have another shape than [..., latent], or are not those of `regularizer.project`,
            and where an exception is raised.
    """
    if kind in _OWN:
        return
    lead = (2, 3)
    blank = {part.name: torch.zeros(*lead, *part.shape, dtype=getattr(torch, part.dtype)) for part in parts}
    name = type(encoder).__name__
    try:
        with torch.no_grad():
            found = encoder(normalizer(blank if len(parts) > 1 else blank[parts[0].name]))
    except Exception as error:
        raise ConfigError(
            f"ENCODERS: {name} raised {type(error).__name__} for observations with {list(lead)} in front: {error}"
        ) from error
    if not isinstance(found, torch.Tensor) or found.shape != (*lead, latent):
        shape = list(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise ConfigError(f"ENCODERS: {name} gave {shape} where latents are {[*lead, latent]}")
    if isinstance(regularizer, SimNorm) and not regularizer.holds(found):
        raise ConfigError(
            f"ENCODERS: {name} gave latents that are not those of the regulariser; its last operation must be "
            "regularizer.project"
        )


def encoder_kind(parts: Sequence[ObservationPart]) -> EncoderKind:
    """The kind of encoder for an observation of these parts.

    Raises:
        ConfigError: where no kind accepts them.
    """
    for kind in ENCODERS:
        if isinstance(kind, type):
            raise ConfigError(
                f"ENCODERS: {kind.__name__} is a class; put an instance there, {kind.__name__}()"
            )
        if kind.accepts(parts):
            return kind
    found = ", ".join(f"{part.name} {list(part.shape)} {part.dtype}" for part in parts)
    raise ConfigError(
        f"env: no encoder takes an observation of {found}; a flat vector of numbers, the pictures of one "
        "camera, or both are taken"
    )
