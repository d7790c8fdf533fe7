"""A model of one world, and what is kept with it: weights, usual errors, rows of the replay buffer."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from agent.learning.flat_parameters import Moments
from agent.memory.replay_buffer import ReplayBuffer
from agent.memory.windows import Windows
from agent.modules import Modules
from agent.world_model.change_detection import ErrorCalibration, ModelComparison
from agent.world_model.dynamics import WorldModel
from agent.world_model.home_episodes import HOME_DECISIONS
from agent.world_model.trial_returns import TrialReturns

CALIBRATED_AFTER_DECISIONS = HOME_DECISIONS
"""Decisions with a new model after which its errors are calibrated, so that a further change is detected: as many
as at home. Before, it learns, and a policy that improves meets states in which it errs more."""
OLD_WEIGHT = 500
"""Old steps have the weight of so many new ones: half of a batch after 500, a tenth after 4,500."""


class RowNumbers:
    """Row numbers of the replay buffer, oldest first, in an array that grows.

    A list would be converted at every gradient step, which takes the longer the longer an agent adapts.

    Args:
        rows: the first of them.
    """

    def __init__(self, rows: Sequence[int] | np.ndarray = ()) -> None:
        self._rows = np.array(rows, np.int64)
        self._count = len(self._rows)

    def __len__(self) -> int:
        return self._count

    @property
    def all(self) -> np.ndarray:
        """The numbers; what is added later may overwrite what is taken."""
        return self._rows[: self._count]

    def add(self, rows: Sequence[int] | np.ndarray) -> None:
        """Adds the newest."""
        total = self._count + len(rows)
        if total > len(self._rows):
            self._rows = np.concatenate((self.all, np.zeros(total, np.int64)))
        self._rows[self._count : total] = rows
        self._count = total

    def take(self, count: int) -> np.ndarray:
        """Removes the newest `count`, and returns them."""
        first = max(self._count - count, 0)
        taken = self.all[first:].copy()
        self._count = first
        return taken


@dataclass
class KnownModel:
    """A model of one world, and the rows that were collected there."""

    model: WorldModel
    """The world model, while its networks are not those that act."""
    earlier_rows: np.ndarray
    """Row numbers of the replay buffer that were collected in the world before."""
    calibration: ErrorCalibration | None = None
    """Its usual errors; None while they are not known."""
    number: int = 0
    """In the order of their beginning; the model of training is 0."""
    weights: dict[str, Tensor] = field(default_factory=dict)
    """All networks but those of goals, while they are not those that act."""
    kept: dict[str, Tensor] = field(default_factory=dict)
    """The same of the agent that acted in the world before, or of this one when it returned more; empty for the
    model of training."""
    returns: TrialReturns = field(default_factory=TrialReturns)
    """What episodes of its world returned, with its networks and with those kept."""
    terminations: int = 0
    """Terminations that the agent knew of when it was last in use."""
    optimizers: list[list[Moments]] = field(default_factory=list)
    rows: RowNumbers = field(default_factory=RowNumbers)
    """Row numbers of the replay buffer that were collected with it in use, since adaptation began."""
    recent: deque[tuple[int, float, float]] = field(
        default_factory=lambda: deque(maxlen=CALIBRATED_AFTER_DECISIONS)
    )
    """Row numbers, errors and disagreements of the newest steps in which its own networks acted."""
    comparison: ModelComparison = field(default_factory=ModelComparison)
    """Its test against the model in use."""
    last_used: int = 0
    """Decision at which it was last in use."""

    def hand_over(self, count: int) -> np.ndarray:
        """Removes the newest `count` rows, which are of another world, and returns them; their errors go, too."""
        moved = self.rows.take(count)
        while len(moved) and self.recent and self.recent[-1][0] >= moved[0]:
            self.recent.pop()
        return moved

    @property
    def preferred(self) -> dict[str, Tensor]:
        """The weights of those networks that returned more in its world, while they are not those that act."""
        return self.kept if self.returns.prefers_kept else self.weights


def held(buffer: ReplayBuffer, rows: np.ndarray) -> np.ndarray:
    """Places in the replay buffer of those row numbers that it still holds."""
    return buffer.place(rows[buffer.holds(rows)])


def windows_of(modules: Modules, known: KnownModel) -> Windows:
    """A batch for one gradient step of a model: windows of its world, and of the one before it."""
    buffer, learning = modules.replay_buffer, modules.config.learning
    new = held(buffer, known.rows.all)
    old = held(buffer, known.earlier_rows)
    size = learning.batch_size
    count = round(size * len(new) / (len(new) + OLD_WEIGHT)) if len(old) else size
    time = learning.window_decisions + learning.n_step - 1
    parts = [
        buffer.sample(share, time, modules.rng, among=rows)
        for share, rows in ((count, new), (size - count, old))
        if share
    ]
    return parts[0] if len(parts) == 1 else Windows.concatenate(parts)
