"""What a decision predicts of the cost and the return."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Forecast(NamedTuple):
    """What decisions expect, in the environment's units."""

    returns: np.ndarray
    """[batch], discounted, to the episode's end"""
    costs: np.ndarray
    """[batch], of the next step"""
    discount: float
    """Per decision."""
