"""Actions that take effect late: how late is found, and the agent decides for the moment at which they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import joule
from agent.world_model.change_detection import ErrorCalibration
from agent.world_model.delay import DELAY, LARGEST_DELAY, Delay
from agent.world_model.model_bank import ModelSwitch
from joule.report.evaluation_text import change_text

pytestmark = pytest.mark.usefixtures("unchecked")
USUAL = ErrorCalibration(slope=0.0, intercept=0.0, deviation=1.0, threshold=10.0)
"""Log errors around 0 are usual."""


def test_what_is_due_and_what_is_on_its_way() -> None:
    delay = Delay(1)
    assert delay.pending.shape == (0, 1)
    for number in (1.0, 2.0, 3.0):
        delay.take(np.array([number]))
    assert [float(delay.due(late)[0]) for late in range(LARGEST_DELAY + 1)] == [3.0, 2.0, 1.0, 0.0]
    assert delay.others == [1, 2], "of a delay of three the episode has shown nothing yet"
    delay.use(2)
    assert delay.due() == 1.0
    assert delay.pending.tolist() == [[2.0], [3.0]]
    delay.begin_episode()
    assert delay.pending.tolist() == [[0.0], [0.0]], "nothing was chosen before the episode"


@pytest.mark.parametrize(("others", "found"), [(0.01, 1), (1.0, None)])
def test_a_delay_is_found_where_it_predicts_better(others: float, found: int | None) -> None:
    delay = Delay(1)
    results = []
    for _ in range(20):
        delay.take(np.zeros(1))
        errors = [(others if late == 1 else 1.0, 1.0) for late in delay.others]
        results.append(delay.better(1.0, errors, USUAL))
    assert results[-1] == found
    assert results[0] is None, "one step does not tell"


def test_a_delay_that_predicts_better_but_not_well_is_not_taken() -> None:
    delay = Delay(1)
    for _ in range(50):
        delay.take(np.zeros(1))
        errors = [(20.0 if late == 1 else 400.0, 1.0) for late in delay.others]
        assert delay.better(400.0, errors, USUAL) is None


def moved(adaptive: Any, perturb: list[str], seed: int, decisions: int) -> None:
    """Random actions in an environment that is observed."""
    env = adaptive.observe(joule.make_env(adaptive.config.env, perturb=perturb))
    rng = np.random.default_rng(seed)
    env.reset(seed=seed)
    for _ in range(decisions):
        _, _, terminated, truncated, _ = env.step(rng.uniform(-1.0, 1.0, adaptive.env_spec.action_size))
        if terminated or truncated:
            env.reset()


def test_late_actions_are_found_and_the_model_of_training_is_kept(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    adaptive = agent.adapt()
    moved(adaptive, [], 1, 100)
    assert (adaptive.delay.decisions, adaptive.events) == (0, [])
    moved(adaptive, ["latency=2"], 2, 60)
    assert adaptive.delay.decisions == 2
    assert adaptive.in_first_world
    assert [(event.signal, event.delay) for event in adaptive.events[-1:]] == [("delay", 2)]
    learned = agent.modules.learner.updates
    moved(adaptive, ["latency=2"], 3, 60)
    assert adaptive.delay.decisions == 2
    assert agent.modules.learner.updates == learned, "nothing is learned where nothing is new"
    moved(adaptive, [], 4, 60)
    assert adaptive.delay.decisions == 0


def test_the_agent_decides_for_the_moment_of_effect(trained_run: Path) -> None:
    agent: Any = joule.load(trained_run)
    adaptive = agent.adapt()
    env = adaptive.observe(joule.make_env(adaptive.config.env, perturb=["latency=2"]))
    obs, _ = env.reset(seed=1)
    adaptive.delay.use(2)
    state, modules = None, agent.modules
    for _ in range(3):
        action, state = adaptive.predict(obs, state)
        obs, *_ = env.step(action)
    pending = adaptive.delay.pending
    _, state = adaptive.predict(obs, state)
    z = modules.perceive(np.asarray(obs)[None])
    with torch.inference_mode():
        for late in torch.from_numpy(pending):
            z = modules.networks.world_model.expect(z, late[None])
    torch.testing.assert_close(state.z, z)


@pytest.mark.parametrize(
    ("late", "words"), [(0, "at once again"), (1, "1 decision late"), (2, "2 decisions late")]
)
def test_the_delay_is_told(late: int, words: str) -> None:
    switch = ModelSwitch(1_303, 0, new=False, since=3, signal=DELAY, delay=late)
    assert (
        change_text(vars(switch))
        == f"a change detected at decision 1,303 by delay: actions take effect {words}"
    )
