"""Switches between the models of a bank."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agent_weights import same, weights

import joule
from agent.world_model.adaptation import WRONG_SWITCH_DECISIONS
from agent.world_model.signals import Alarm

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.parametrize("decisions", [5, WRONG_SWITCH_DECISIONS + 1])
def test_an_alarm_soon_after_a_switch_takes_it_back(trained_run: Path, decisions: int) -> None:
    agent: Any = joule.load(trained_run, settings={"cost.uncertainty": 0.0})
    adaptive = agent.adapt()
    env = adaptive.observe(joule.make_env(adaptive.config.env))
    env.reset(seed=300)
    for _ in range(50):
        env.step(np.zeros(adaptive.env_spec.action_size))
    adaptive.begin_model(10)
    changed = adaptive.in_use
    adaptive.update()
    learned = weights(adaptive)
    adaptive.switch_to(adaptive.first)
    adaptive.decisions += decisions
    errors = [(1.0, 1.0)] * len(adaptive.bank)
    adaptive.detect(errors, Alarm("errors", 4))
    if decisions > WRONG_SWITCH_DECISIONS:
        assert adaptive.events[-1].new, "a change of its own"
        return
    assert adaptive.in_use is changed
    assert same(learned, weights(adaptive))
    assert [event.model for event in adaptive.events] == [1, 0, 1]
    adaptive.detect(errors, Alarm("errors", 4))
    assert adaptive.events[-1].new, "not back and forth"
