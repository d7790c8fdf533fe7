"""What the critic can represent contains what it is to learn, where no new row would bring its scale up to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from agent.cost.critic import Critic
from agent.memory.columns import columns_of

Make = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("unchecked")


def largest(agent: Any) -> float:
    """The largest cost-to-go that the critic can represent."""
    return Critic.LIMIT * float(agent.modules.networks.critic.scale)


def recorded(agent: Any, costs: tuple[float, ...], decisions: int = 25) -> list[dict[str, np.ndarray]]:
    """An episode for each cost, which every decision in it has; the last one terminates."""
    columns, rng = columns_of(agent.env_spec), np.random.default_rng(0)
    episodes = []
    for cost in costs:
        rows = {name: np.zeros((decisions + 1, *shape), dtype) for name, (shape, dtype) in columns.items()}
        rows["obs"][:] = rng.normal(size=rows["obs"].shape)
        rows["cost"][:-1], rows["last"][-1] = cost, True
        episodes.append(rows)
    episodes[-1]["terminated"][-2] = 1.0
    return episodes


def test_the_range_of_an_agent_from_data_follows_its_discount(make_agent: Make) -> None:
    longer = {"learning__horizons_terminating": 1.0, "learning__horizons_terminating_from_updates": 3}
    agent = make_agent(data="recorded", **longer)
    agent.remember(recorded(agent, (-1.0,) * 6))
    first, before = agent.modules.discount, largest(agent)
    for _ in range(4):
        agent.interaction.step_offline()
    then = agent.modules.discount
    assert then > first
    assert before < largest(agent)
    assert largest(agent) >= (1.0 - then**25) / (1.0 - then)


def test_a_few_good_episodes_fit_the_range_wherever_they_are_recorded(
    make_agent: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.cost.scaling import Scales

    monkeypatch.setattr(Scales, "HALVING_PERIOD", 50)
    found = []
    for costs in ((-10.0, *(-0.1,) * 20), (*(-0.1,) * 20, -10.0)):
        agent = make_agent(data="recorded")
        agent.remember(recorded(agent, costs))
        found.append(largest(agent))
    assert found[0] == pytest.approx(found[1], rel=0.02)


@pytest.mark.parametrize("discount", [0.95, 0.99, 0.995, 0.998])
def test_curiosity_alone_fits_the_range(make_agent: Make, discount: float) -> None:
    networks = make_agent(explore__curiosity=0.02).modules.networks
    networks.rescale(torch.zeros(4), torch.tensor([False, False, False, True]), discount)
    usual = 0.02 / (1.0 - discount)
    assert Critic.LIMIT * float(networks.critic.scale) >= 2.0 * usual
