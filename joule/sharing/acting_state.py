"""The state of an agent that it acts by, out of the state that an exact resume needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agent.interface import Arrays

_LEFT_OUT = ("optimizer/", "newest_row/", "obs/", "acting/", "now/", "env/")
"""Beginnings of the names of arrays: optimisers, the newest transition, the open episode and its environment."""
_ROLLOUT = "rollout/"
"""Columns of an unfinished rollout: they stay, without a row."""
_ROWS = ("rows", "normalised_rows")
"""Counts of the rows of the replay buffer."""


def acting_state(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> tuple[Arrays, dict[str, Any]]:
    """What acting, evaluating and explaining need of a state.

    The weights stay as they are, bit for bit.

    Args:
        arrays: by flat name, as `Checkpointable.state_dict` gives them.
        meta: JSON values.

    Returns:
        Arrays and JSON values that `load_state_dict` of an agent without experience takes.
    """
    kept = {
        name: array[:0] if name.startswith(_ROLLOUT) else array
        for name, array in arrays.items()
        if not name.startswith(_LEFT_OUT)
    }
    return kept, {name: [0] * len(value) if name in _ROWS else value for name, value in meta.items()}
