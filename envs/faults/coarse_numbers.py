"""Numbers of an observation whose motion is lost where the observation becomes float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_STEPS = 100
"""A number that moves by as many steps of float32 keeps its motion."""
LEAST_MOTION = 1e-3
"""What moves by less, in its own unit, is taken as at rest: a contact moves a resting object by less than that."""


@dataclass(frozen=True)
class CoarseNumber:
    """A number that float32 is too coarse for."""

    place: int
    """In the flat observation."""
    moves: float
    """Its largest value less its smallest one."""
    around: float
    """Its mean."""
    step: float
    """The distance of neighbouring float32 numbers at its mean."""


def coarse_numbers(observations: Sequence[np.ndarray]) -> tuple[CoarseNumber, ...]:
    """The numbers that vary by less than MOST_STEPS steps of float32.

    Args:
        observations: each [obs], of an episode, as the environment gave them. Those that are float32 have lost
            nothing here.
    """
    rows = np.stack(observations)
    if rows.dtype != np.float64:
        return ()
    with np.errstate(over="ignore", invalid="ignore"):
        moves, around = rows.max(0) - rows.min(0), rows.mean(0)
        steps = np.spacing(np.abs(around).astype(np.float32)).astype(np.float64)
        coarse = (moves >= LEAST_MOTION) & (moves < MOST_STEPS * steps)
    return tuple(
        CoarseNumber(int(k), float(moves[k]), float(around[k]), float(steps[k]))
        for k in np.flatnonzero(coarse)
    )
