"""Detectors of surprising pictures: the world model of an agent that sees, the same one untrained, and raw change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from agent.agent import WorldModelAgent
from agent.networks import Networks
from benchmarks.comprehension.seen_pairs import LEAD, Floats, SeenClip

TINY = 1e-9
"""Added before a logarithm."""


class SeenDetector(Protocol):
    """Gives the surprise of every decision of a clip."""

    def surprise(self, clip: SeenClip) -> Floats:
        """[decisions]; larger is more surprising. NaN where a stack of pictures is not full."""
        ...


class FrameDifference:
    """A baseline without learning: how much the picture changes."""

    def surprise(self, clip: SeenClip) -> Floats:
        """See `SeenDetector.surprise`."""
        return clip.changes()


def latents(networks: Networks, stack: int, clip: SeenClip) -> Float[Tensor, "rows latent"]:
    """What an encoder makes of the full stacks of pictures of a clip."""
    last = len(clip.pictures) - stack + 1
    stacked = np.concatenate([clip.pictures[k : last + k] for k in range(stack)], 1)
    found: Tensor = networks.encoder(networks.normalizer(torch.from_numpy(stacked)))
    return found


class LatentChange:
    """A baseline without prediction: how much the latent of a trained encoder changes.

    Args:
        networks: of the agent.
        stack: pictures of an observation.
    """

    def __init__(self, networks: Networks, stack: int) -> None:
        self.networks, self.stack = networks, stack

    def surprise(self, clip: SeenClip) -> Floats:
        """See `SeenDetector.surprise`."""
        found = np.full(len(clip.action), np.nan)
        with torch.inference_mode():
            z = latents(self.networks, self.stack, clip)
            found[self.stack - 1 :] = z.diff(dim=0).square().mean(-1).double().numpy()
        return found


class SeenModel:
    """The surprise of a world model: the error of the predicted latent, given what the ensemble disagrees about.

    The surprise of a decision is the logarithm of the squared error over the one that is usual where the ensemble
    disagrees as much, on the mean of it and the decision before: what goes on adds up, and noise does not. What is
    usual is a line through the logarithms of both, fitted to real clips.

    The latent errors are not whitened by those of real clips, as the state's are: that is a detector of rare pictures by
    itself, even of those that random features see.

    Args:
        networks: of the agent.
        stack: pictures of an observation.
        calibration: real clips.
    """

    def __init__(self, networks: Networks, stack: int, calibration: Sequence[SeenClip]) -> None:
        self.networks, self.stack = networks, stack
        measured = [self.signals(clip) for clip in calibration]
        error, disagreement = (np.concatenate([part[k] for part in measured]) for k in range(2))
        slope, self.level = np.polyfit(disagreement, error, 1)
        self.slope = float(slope)

    def signals(self, clip: SeenClip) -> tuple[Floats, Floats]:
        """Logarithms of the squared latent error and of the disagreement, of the decisions with a full stack."""
        with torch.inference_mode():
            z = latents(self.networks, self.stack, clip)
            actions = torch.from_numpy(clip.action[self.stack - 1 :])
            step = self.networks.world_model.predict(z[:-1], actions)
            error = (z[1:] - step.z).square().mean(-1)
            return (
                (error.double() + TINY).log().numpy(),
                (step.disagreement.double() + TINY).log().numpy(),
            )

    def surprise(self, clip: SeenClip) -> Floats:
        """See `SeenDetector.surprise`."""
        error, disagreement = self.signals(clip)
        unusual = error - self.level - self.slope * disagreement
        found = np.full(len(clip.action), np.nan)
        found[self.stack :] = 0.5 * (unusual[1:] + unusual[:-1])
        return found


def score(detector: SeenDetector, clip: SeenClip) -> float:
    """The surprise of a clip: that of its most surprising decision."""
    return float(detector.surprise(clip)[LEAD:].max())


def stack_of(agent: WorldModelAgent) -> int:
    """Pictures of an observation of an agent."""
    return agent.env_spec.observation[0].stack


def untrained_networks(agent: WorldModelAgent, seed: int) -> Networks:
    """The agent's networks before learning, drawn by a seed, with the normalisers of the trained ones."""
    torch.manual_seed(seed)
    networks, trained = agent.modules.new_networks(), agent.modules.networks
    networks.normalizer.load_state_dict(trained.normalizer.state_dict())
    networks.encoder.usual.copy_(trained.encoder.usual)
    networks.encoder.spread.copy_(trained.encoder.spread)
    return networks
