"""Worlds that an agent has met: what it knew of each, and when it took one up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from agent.world_model.change_detection import Rival, Usual
from agent.world_model.dynamics import WorldModel

SETTLED = 1_000
"""Decisions after which a new world is known enough to be watched for a further change."""


@dataclass
class World:
    """A world that the agent knows: its weights while out of use, and what was lived in it."""

    model: WorldModel
    """Its world model while out of use."""
    before: np.ndarray
    """Absolute rows of memory that were lived in the world it came from."""
    usual: Usual | None = None
    number: int = 0
    """In the order of acquaintance; the first, the world of training, is 0."""
    weights: dict[str, Tensor] = field(default_factory=dict)
    optimizers: list[dict[str, Any]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    """Absolute rows of memory lived in it since the agent began to adapt."""
    recent: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=SETTLED))
    """Errors and disagreements of its newest steps in use."""
    rival: Rival = field(default_factory=Rival)
    last_used: int = 0


@dataclass(frozen=True)
class Event:
    """A change that was noticed: at which decision, and which world was taken up, `new` or known."""

    decision: int
    world: int
    new: bool
    since: int
    """How many decisions ago the change is most likely to have been."""
