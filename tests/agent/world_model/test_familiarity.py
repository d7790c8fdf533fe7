"""What is unlike all that is remembered."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import joule
from agent.world_model.familiarity import MARGIN, Familiarity
from joule.goals.text import goal_of
from joule_errors import Advice


def test_what_is_farther_than_moments_of_other_episodes_is_unfamiliar() -> None:
    z = torch.tensor([[0.0], [1.0], [1.5], [4.0], [5.0]])
    familiarity = Familiarity(z, np.array([0, 0, 1, 1, 1]), usual_step=0.5)
    # Nearest moments of another episode: 1.5, 0.5, 0.5, 3, and 4, which is 8 usual steps.
    assert familiarity.limit == pytest.approx(MARGIN * 8)
    assert familiarity.distance(torch.tensor([[7.0]])) == pytest.approx(4)


def test_of_a_single_episode_nothing_is_unfamiliar() -> None:
    assert Familiarity(torch.zeros(3, 1), np.zeros(3, int), 1.0).limit == np.inf


def test_a_goal_that_is_unlike_all_memory_is_told(trained_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent: Any = joule.load(trained_run)
    goal = goal_of("episode:0@5", agent)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Advice)
        agent.plan_for(goal)
    monkeypatch.setattr(Familiarity, "distance", lambda familiarity, z: familiarity.limit + 1.0)
    with pytest.warns(Advice, match="episode:0@5: is unlike all that the agent remembers"):
        agent.plan_for(goal)
