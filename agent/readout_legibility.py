"""How well an agent reads the readouts off its latents: on observations at hand, and on those it remembers."""

import numpy as np
import torch

from agent.cost.legibility import of_whole_readouts, r_squared
from agent.interface import Observation
from agent.memory.portions import evenly
from agent.modules import Modules
from agent.remembered_latents import latents_at

MOST_ROWS = 2_000
"""Steps of the replay buffer at most on which the legibility of readouts is measured."""


def legibility_on(modules: Modules, obs: Observation, readouts: np.ndarray) -> dict[str, float]:
    """R² of every readout that is read off the latents of observations; see `cost.legibility`.

    Args:
        modules: those of the agent.
        obs: observations [rows, obs], or such parts.
        readouts: the readouts [rows, readouts] of the environment in these steps.
    """
    return of_whole_readouts(modules.layout(), _legibility_of(modules, modules.perceive(obs), readouts))


def _legibility_of(modules: Modules, z: torch.Tensor, readouts: np.ndarray) -> dict[str, float]:
    """R² of every readout, and of each number of one that has several, on latents [rows, latent]."""
    networks = modules.networks
    with torch.inference_mode():
        read = networks.read(z)
    return r_squared(modules.layout(), torch.from_numpy(np.asarray(readouts, np.float32)), read.float().cpu())


def legibility_in_memory(modules: Modules) -> dict[str, float]:
    """R² of every readout, and of each number of one that has several, on steps all over the replay buffer.

    It is empty before the first update.
    """
    buffer = modules.replay_buffer
    places = buffer.with_readouts()
    if modules.learner.updates == 0 or not len(places):
        return {}
    places = evenly(places, MOST_ROWS)
    return _legibility_of(modules, latents_at(modules, places), buffer.readout[places])
