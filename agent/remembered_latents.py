"""The latents of observations that an agent remembers, encoded a portion at a time."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from agent.memory.portions import portions
from agent.modules import Modules


def latents_in_portions(
    modules: Modules, places: np.ndarray
) -> Iterator[tuple[np.ndarray, Float[Tensor, "portion latent"]]]:
    """Portions of places in the replay buffer, in order, each with the latents of its observations."""
    buffer = modules.replay_buffer
    for part in portions(buffer, places):
        yield part, modules.perceive(buffer.observations(part))


def latents_at(modules: Modules, places: np.ndarray) -> Float[Tensor, "places latent"]:
    """The latents of the observations at places in the replay buffer, at least one, on the agent's device."""
    return torch.cat([z.clone() for _, z in latents_in_portions(modules, places)])
