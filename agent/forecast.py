"""What a decision predicts of the next cost and of the return."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Forecast(NamedTuple):
    """What decisions predict, in the environment's units."""

    returns: np.ndarray
    """[batch], discounted return to the episode's end"""
    costs: np.ndarray
    """[batch], cost of the next step"""
    discount: float
    """Per decision."""
