"""What an agent needs to act as another does: its networks and a few counts, no optimisers, no replay buffer."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from agent.interface import Arrays
from agent.modules import Modules


def acting_copy(modules: Modules) -> tuple[Arrays, dict[str, Any]]:
    """The networks as arrays, and counts as JSON values."""
    surprise = modules.surprise
    return modules.networks.to_arrays(), {
        "updates": modules.learner.updates,
        "terminations": modules.terminations,
        "surprise": [surprise.usual, surprise.count],
    }


def act_as(modules: Modules, arrays: Mapping[str, np.ndarray], counts: Mapping[str, Any]) -> None:
    """Acts from now on as the agent that `acting_copy` was taken of; both have the same settings and sizes."""
    modules.networks.load_arrays(arrays)
    modules.learner.updates, modules.terminations = counts["updates"], counts["terminations"]
    modules.surprise.usual, modules.surprise.count = counts["surprise"]
