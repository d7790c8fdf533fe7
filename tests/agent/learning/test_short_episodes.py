"""Early training episodes are short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Make = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("unchecked")


def test_early_training_episodes_are_broken_off(make_agent: Make) -> None:
    agent = make_agent(
        explore__short_episode_decisions=10, explore__short_episodes_until_decisions=35, steps=200
    )
    lengths: list[int] = []

    def on_step(agent: Any) -> bool:
        lengths.extend(ended.decisions for ended in agent.ended_episodes)
        return True

    agent.learn(100, on_step=on_step)
    assert lengths[:3] == [10, 10, 10]
    assert set(lengths[3:]) == {25}  # the environment's own limit
    buffer = agent.modules.replay_buffer
    last = np.flatnonzero(buffer.last[: buffer.streams[0].rows])
    assert list(last[:3]) == [10, 21, 32]  # a row for each last observation, which no window crosses
    assert agent.modules.terminations == 0
