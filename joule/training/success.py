"""Whether an episode succeeded, as its environment says in `info` at its end.

The names are those of Gymnasium's goal environments and of stable-baselines3: `is_success`, else `success`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

NAMES = ("is_success", "success")


def succeeded(info: Mapping[str, Any]) -> bool | None:
    """Whether the `info` of an episode's last step says that it succeeded; None where it says nothing."""
    for name in NAMES:
        value = info.get(name)
        if isinstance(value, np.ndarray | np.generic) and value.size == 1:
            value = value.item()
        if isinstance(value, bool | int | float):
            return value > 0
    return None


def success_rate(successes: np.ndarray) -> float | None:
    """Share of the episodes that succeeded; None where the environment says it of none.

    Args:
        successes: [episodes], 1 or 0, and NaN where `info` said nothing, as where the physics diverged.
    """
    if np.isnan(successes).all():
        return None
    return float(np.mean(successes == 1.0))
