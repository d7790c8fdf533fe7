"""Predictions that a film shows: rollouts of the world model under the actions that the agent takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from agent.interface import Explainable, Observation
from agent.memory.columns import has_readouts
from agent.memory.portions import evenly
from agent.memory.replay_buffer import ReplayBuffer

SECONDS_AHEAD, FEWEST_AHEAD, MOST_AHEAD = 1.0, 15, 25
"""A rollout lasts one second of simulated time, within these bounds in decisions."""
CALIBRATION_PAIRS = 128
"""Pairs of observations from the replay buffer that show how well readouts are predicted."""


class ImaginedRollouts:
    """Rollouts that begin at decision `first` of an episode, with a pause as long as a rollout between two.

    A rollout begins at one observation and follows the actions that are taken. So all that differs from the
    environment is the error of the world model.

    Args:
        agent: has the world model.
        seconds: simulated time of a decision.
        first: decision at which the first rollout begins.
    """

    def __init__(self, agent: Explainable, seconds: float, first: int = 0) -> None:
        self.agent, self.seconds = agent, seconds
        self.ahead = min(max(round(SECONDS_AHEAD / seconds), FEWEST_AHEAD), MOST_AHEAD)
        """Decisions of a rollout."""
        self.begin(first)

    def begin(self, first: int) -> None:
        """Begins an episode, whose first rollout begins at decision `first`."""
        self.first, self.decision = first, 0
        self._start: Any = None
        self._actions: list[np.ndarray] = []

    def decided(self, obs: Observation, action: np.ndarray) -> bool:
        """Takes in a decision.

        Args:
            obs: [obs], the observation of the decision.
            action: [act].

        Returns:
            Whether a rollout begins with it.
        """
        since = self.decision - self.first
        begins = since >= 0 and since % (2 * self.ahead) == 0
        self.decision += 1
        if begins:
            self._start, self._actions = obs, []
        if len(self._actions) == self.ahead:
            self._start, self._actions = None, []
        if self._start is not None:
            self._actions.append(action)
        return begins

    def predicted(self) -> np.ndarray | None:
        """Readouts [steps + 1, readouts] from the beginning of the rollout until now; None in a pause."""
        return None if self._start is None else self.agent.imagine(self._start, np.stack(self._actions))


Change = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(readouts after, readouts before), each [pairs, readouts] -> what changed, [pairs, size]."""


def readout_changes(
    agent: Explainable, buffer: ReplayBuffer, ahead: int, change: Change = np.subtract
) -> tuple[np.ndarray, np.ndarray]:
    """How readouts changed between observations of one episode, `ahead` decisions apart.

    Args:
        agent: has the readout heads.
        buffer: its experience.
        ahead: decisions.
        change: what is compared; by default the difference.

    Returns:
        The changes as the heads read them, and those in the simulator, each [pairs, size]. No pairs before there
        is experience.
    """
    places = buffer.filled()
    # Two rows are of one episode when as many episodes ended before the one as before the other.
    ended = np.concatenate([[0], np.cumsum(buffer.last[places])])
    stream = places // buffer.rows_per_stream
    first = np.arange(max(len(places) - ahead, 0))
    first = first[(ended[first] == ended[first + ahead]) & (stream[first] == stream[first + ahead])]
    known = has_readouts(buffer.readout[places])
    first = evenly(first[known[first] & known[first + ahead]], CALIBRATION_PAIRS)

    def read_at(row: int) -> np.ndarray:
        obs: Any = buffer.observations(places[row])
        readouts: np.ndarray = agent.imagine(obs, np.zeros((0, buffer.action.shape[1]), np.float32))[0]
        return readouts

    before, after = buffer.readout[places[first]], buffer.readout[places[first + ahead]]
    read_before, read_after = (
        np.reshape([read_at(int(row)) for row in rows], before.shape) for rows in (first, first + ahead)
    )
    return change(read_after, read_before), change(after, before)
