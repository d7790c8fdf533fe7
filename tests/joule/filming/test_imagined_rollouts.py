"""Rollouts that a film shows: when they begin, what they follow, and how well readouts are predicted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agent.memory.replay_buffer import ReplayBuffer
from joule.filming.imagined_rollouts import ImaginedRollouts, readout_changes

COLUMNS: dict[str, tuple[tuple[int, ...], str]] = {
    "obs": ((3,), "float32"),
    "action": ((1,), "float32"),
    "cost": ((), "float32"),
    "terminated": ((), "float32"),
    "last": ((), "bool"),
    "readout": ((2,), "float32"),
}


class Imagining:
    """A world model whose readouts are the observation, changed by the sum of the actions."""

    def explain(self, state: Any) -> dict[str, np.ndarray]:
        return {}

    def forecast(self, state: Any) -> None:
        return None

    def imagine(self, obs: np.ndarray, actions: np.ndarray) -> np.ndarray:
        return obs[None, :2] + np.concatenate([[[0.0]], np.cumsum(actions, 0)])


def test_rollouts_and_pauses_alternate_and_rollouts_follow_the_actions_taken() -> None:
    rollouts = ImaginedRollouts(Imagining(), seconds=0.05, first=3)
    assert rollouts.ahead == 20
    steps = []
    for step in range(50):
        began = rollouts.decided(np.full(3, step), np.ones(1))
        found = rollouts.predicted()
        steps.append(0 if found is None else len(found) - 1)
        assert began == (step in (3, 43))
        assert found is None or found[-1, 0] == step + 1
    assert steps == [0] * 3 + list(range(1, 21)) + [0] * 20 + list(range(1, 8))


@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("capacity", [200, 120])
def test_changes_are_taken_within_episodes_and_streams_alone(streams: int, capacity: int) -> None:
    buffer = ReplayBuffer(capacity * streams, COLUMNS, streams)
    for number, stream in enumerate(buffer.streams):
        for episode in range(5):
            for step in range(31):
                row = np.array([1000.0 * number + 100.0 * episode + step, 0.0, 0.0], np.float32)
                if step == 0:
                    stream.begin(row, row[:2])
                else:
                    stream.add(np.zeros(1), 0.0, False, row, row[:2])
    read, true = readout_changes(Imagining(), buffer, ahead=20)
    whole = 3 if capacity < 155 else 5
    assert len(true) >= min(128, streams * whole * 11)
    np.testing.assert_array_equal(true[:, 0], 20.0)
    np.testing.assert_array_equal(read, true)
    empty = ReplayBuffer(capacity, COLUMNS, streams)
    assert [part.shape for part in readout_changes(Imagining(), empty, ahead=20)] == [(0, 2), (0, 2)]
