"""Switches between the models of a bank."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agent_weights import same, weights

import joule
from agent.errors import ConfigError
from agent.world_model.model_bank import WRONG_SWITCH_DECISIONS
from agent.world_model.signals import Alarm
from agent.world_model.trial_returns import TrialReturns

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.parametrize("decisions", [5, WRONG_SWITCH_DECISIONS + 1])
def test_an_alarm_soon_after_a_switch_takes_it_back(trained_run: Path, decisions: int) -> None:
    agent: Any = joule.load(trained_run, settings={"cost.uncertainty": 0.0})
    adaptive = agent.adapt()
    env = adaptive.observe(joule.make_env(adaptive.config.env))
    env.reset(seed=300)
    for _ in range(50):
        env.step(np.zeros(adaptive.env_spec.action_size))
    adaptive.bank.begin_model(10, "errors")
    changed = adaptive.in_use
    adaptive.update()
    learned = weights(adaptive)
    adaptive.bank.switch_to(adaptive.bank.first)
    adaptive.bank.newest_switch.decisions += decisions
    errors = [(1.0, 1.0)] * len(adaptive.bank.models)
    adaptive.choice.detect(errors, Alarm("errors", 4))
    if decisions > WRONG_SWITCH_DECISIONS:
        assert adaptive.events[-1].new, "a change of its own"
        return
    assert adaptive.in_use is changed
    assert same(learned, weights(adaptive))
    assert [event.model for event in adaptive.events] == [1, 0, 1]
    assert (adaptive.events[-1].new, adaptive.events[-1].signal) == (False, "errors")
    adaptive.choice.detect(errors, Alarm("errors", 4))
    assert adaptive.events[-1].new, "not back and forth"


def acting(trained_run: Path) -> tuple[Any, Any]:
    """An agent that has acted for five decisions, and changes its model where a test says so alone; and its env."""
    agent: Any = joule.load(trained_run)
    adaptive = agent.adapt()
    adaptive.choice.change_detector = None
    env = adaptive.observe(joule.make_env(adaptive.config.env))
    env.reset(seed=300)
    act(adaptive, env, 5)
    return adaptive, env


def act(adaptive: Any, env: Any, decisions: int) -> None:
    """So many decisions, as from the start of an episode at rest."""
    still = np.zeros(adaptive.env_spec.observation[0].shape, np.float32)
    for _ in range(decisions):
        env.step(adaptive.predict(still)[0])


def test_an_episode_with_a_short_mistake_counts_and_those_act_again_that_acted(trained_run: Path) -> None:
    adaptive, env = acting(trained_run)
    adaptive.bank.begin_model(2, "errors")
    act(adaptive, env, 5)
    changed = adaptive.in_use
    for kept in (False, True):
        changed.returns = TrialReturns(adapted=[0.0], kept=[1.0] if kept else [])
        env.reset(seed=301)
        adaptive.bank.weights.act(changed, kept=kept)
        changed.returns.begin(kept)
        act(adaptive, env, 3)
        before = changed.returns.total
        adaptive.bank.switch_to(adaptive.bank.first)
        act(adaptive, env, 2)
        meanwhile = adaptive.bank.newest_switch.rewarded
        adaptive.bank.switch_to(changed)
        assert adaptive.acts_kept is kept
        assert changed.returns.counts
        assert changed.returns.total == pytest.approx(before + meanwhile)


@pytest.mark.parametrize("why", ["long", "another episode"])
def test_an_episode_with_another_model_for_long_does_not_count(trained_run: Path, why: str) -> None:
    adaptive, env = acting(trained_run)
    adaptive.bank.begin_model(2, "errors")
    changed = adaptive.in_use
    changed.returns.begin(kept=False)
    adaptive.bank.switch_to(adaptive.bank.first)
    if why == "long":
        adaptive.bank.newest_switch.decisions = WRONG_SWITCH_DECISIONS + 1
    else:
        env.reset(seed=301)
    adaptive.bank.switch_to(changed)
    assert not changed.returns.counts


def test_what_was_seen_while_a_switch_was_a_mistake_is_of_the_world_of_before(trained_run: Path) -> None:
    adaptive, env = acting(trained_run)
    bank = adaptive.bank
    bank.begin_model(2, "errors")
    changed = bank.in_use
    act(adaptive, env, 6)
    bank.first.comparison.steps = 3
    bank.switch_to(bank.first)
    assert [row for row, *_ in changed.recent] == changed.rows.all[2:].tolist(), (
        "the others are of the first world"
    )
    act(adaptive, env, 4)
    assert (len(changed.rows), len(bank.first.rows)) == (5, 10)
    changed.comparison.steps = 4
    bank.switch_to(changed)
    assert (len(changed.rows), len(bank.first.rows)) == (12, 3)
    assert changed.rows.all.tolist() == sorted(changed.rows.all.tolist())
    assert bank.events[-1].since == 7
    for decisions, why in ((WRONG_SWITCH_DECISIONS + 1, "after so long"), (30, "after what the first knew")):
        bank.first.comparison.steps = 3
        bank.switch_to(bank.first)
        bank.newest_switch.decisions = decisions
        changed.comparison.steps, before = 2, len(changed.rows)
        bank.switch_to(changed)
        assert len(changed.rows) == before + 2, f"{why} it was a change"


def test_without_learning_it_acts_as_it_has_adapted_and_follows_its_errors(trained_run: Path) -> None:
    adaptive, env = acting(trained_run)
    adaptive.bank.begin_model(2, "errors")
    act(adaptive, env, 5)
    adaptive.end_episode()
    learned, buffer = weights(adaptive), adaptive.modules.replay_buffer
    rows, decisions, acted_kept = buffer.newest(), adaptive.decisions, adaptive.acts_kept
    adaptive.learns, adaptive.choice.mean_error = False, 0.0
    env.reset(seed=302)
    act(adaptive, env, 20)
    adaptive.end_episode()
    assert same(learned, weights(adaptive))
    assert (buffer.newest(), adaptive.decisions, adaptive.acts_kept) == (rows, decisions, acted_kept)
    assert adaptive.choice.mean_error != 0.0
    adaptive.learns = True
    with pytest.raises(ConfigError, match="reset the environment"):
        act(adaptive, env, 1)
    env.reset(seed=303)
    act(adaptive, env, 5)
    assert adaptive.decisions == decisions + 5
