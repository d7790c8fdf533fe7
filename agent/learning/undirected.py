"""Actions that depend on nothing that was learned: uniformly random, or correlated in time.

Coloured noise, as the planner iCEM draws it along its horizon, moves a robot farther than white noise does (Pinneri
et al. 2020; Eberhard et al. 2023).
"""

import functools

import numpy as np
import torch
from torch import Tensor

from planners.icem import coloured

COLOUR = 2.0
"""The power of the noise is frequency**-COLOUR."""
STRETCH = 64
"""Decisions that are drawn together."""


@functools.cache
def _synthesis() -> Tensor:
    return coloured(STRETCH, COLOUR, torch.float64, torch.device("cpu"))


def uniform_action(act: int, rng: np.random.Generator) -> np.ndarray:
    """A uniformly random action [act]."""
    return rng.uniform(-1.0, 1.0, act).astype(np.float32)


def smooth_action(key: tuple[int, ...], decision: int, act: int) -> np.ndarray:
    """The action [act] of one decision of an episode; the noise is correlated within a stretch of decisions.

    It depends on its arguments alone, so that a resumed run takes the same actions.

    Args:
        key: names the episode.
        decision: of the episode, from 0.
        act: size of an action.
    """
    stretch, place = divmod(decision, STRETCH)
    white = np.random.default_rng((*key, stretch)).normal(size=(STRETCH, act))
    row: np.ndarray = (_synthesis()[place].numpy() @ white).clip(-1.0, 1.0).astype(np.float32)
    return row
