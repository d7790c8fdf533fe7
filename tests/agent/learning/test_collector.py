"""What one actor does beside the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.learning.collector import Collector
from agent.learning.schedule import is_planned


@pytest.mark.usefixtures("unchecked")
def test_side_by_side_every_second_actor_plans(make_agent: Callable[..., Any]) -> None:
    planned = []
    for actor in range(4):
        agent = make_agent(explore__plan_every_episodes=2, explore__plan_from_decisions=0)
        collector = Collector(agent.modules, agent.env, actor)
        chunk = collector.collect(0, 2, None)
        assert (chunk.actor, chunk.decisions) == (actor, 2)
        planned.append(is_planned(2, collector.interaction.episode_number[0], agent.config.explore))
    assert planned == [True, False, True, False]
