"""An agent from data without readouts takes no constraint and no goal on readouts, whenever it gets them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from recorded_episodes import episode

import joule
from agent.agent import WorldModelAgent
from agent.cost.readouts import TaskError
from agent.errors import ConfigError
from agent.interface import Arrays
from joule.datasets import reading
from joule.datasets.checked_episode import EpisodeShape, checked_rows
from joule.environment import make_env
from joule.goals.text import goal_of
from joule.storage.agent_checkpoint import restore_checkpoint

NONE = "the data that this agent learned from have none"


@pytest.fixture(scope="module")
def episodes() -> list[Arrays]:
    """One episode without readouts."""
    given = {name: array for name, array in episode(1).items() if name != "readouts"}
    return [checked_rows("here", given, EpisodeShape(3, 2, lambda own: own))]


@pytest.fixture(scope="module")
def make(make_agent: Callable[..., Any]) -> Callable[..., Any]:
    """`make(**settings)`: an untrained agent that is to learn from data."""
    return lambda **settings: make_agent(data="elsewhere", **settings)


def test_the_data_are_refused_where_there_is_a_constraint(
    make: Callable[..., Any], episodes: list[Arrays]
) -> None:
    with pytest.raises(TaskError, match=f"constraint is on readouts, and {NONE}"):
        make(constraint=("distance<1",)).remember(episodes)
    with_readouts = [checked_rows("here", episode(1), EpisodeShape(3, 2, lambda own: own))]
    assert make(constraint=("distance<1",)).remember(with_readouts).modules.constraint_cost is not None


def test_a_state_is_refused_where_there_is_a_constraint(
    make: Callable[..., Any], episodes: list[Arrays]
) -> None:
    agent = make().remember(episodes)
    arrays, meta = agent.state_dict()
    with pytest.raises(TaskError, match=NONE):  # also without the replay buffer, as in a shared run
        make(constraint=("distance<1",)).load_state_dict(arrays, meta)
    with pytest.raises(TaskError, match=NONE):
        agent.constrain("distance<1")
    saved: Any = SimpleNamespace(arrays=arrays, meta={"agent": meta}, path="here")
    logs: Any = SimpleNamespace(restored_rows=26, restore=lambda: None)
    with pytest.raises(TaskError, match=f"^constraint is on readouts, and {NONE}"):  # it is no damaged file
        restore_checkpoint(make(constraint=("distance<1",)), saved, logs)
    make().load_state_dict(arrays, meta)


def test_a_goal_on_readouts_is_refused(make: Callable[..., Any], episodes: list[Arrays]) -> None:
    agent = make().remember(episodes)
    with pytest.raises(TaskError, match=f"goal: 'position=0.5' is on readouts, and {NONE}"):
        goal_of("readout:position=0.5", agent)
    assert goal_of("episode:0@3", agent)


def test_what_is_not_on_readouts_is_planned_for_and_learned(
    make: Callable[..., Any], episodes: list[Arrays]
) -> None:
    agent = make().remember(episodes).learn(2)
    agent.plan_for("own+0.1*control").learn_task("own+0.1*control", updates=2)
    with pytest.raises(TaskError, match=f"task: 'less position' is on readouts, and {NONE}"):
        agent.plan_for("less:position")
    with pytest.raises(TaskError, match=f"imagine is on readouts, and {NONE}"):
        agent.imagine(np.zeros(3, np.float32), np.zeros((1, 1), np.float32))


def test_an_agent_that_begins_with_it_reads_what_its_own_steps_show(
    make_agent: Callable[..., Any], make: Callable[..., Any], episodes: list[Arrays], tmp_path: Path
) -> None:
    agent = make_agent().begin_with(make().remember(episodes).learn(2))
    with pytest.raises(TaskError, match=NONE):
        agent.constrain("distance<1")
    agent.learn(250)
    buffer, read = agent.modules.replay_buffer, agent.modules.networks.readout_normalizer
    known = buffer.readout[buffer.with_readouts()]
    assert 0 < len(known) < buffer.held
    assert 0 <= len(known) - int(read.count) <= 2  # the newest are not normalised yet
    agent.save(tmp_path / "run")
    loaded = joule.load(tmp_path / "run")
    assert isinstance(loaded, WorldModelAgent)
    saved = loaded.plan_for("less:position").constrain("distance<9")
    assert np.isfinite(list(saved.modules.margin())).all()
    held, lacking = len(buffer.transitions()), len(episodes[0]["last"]) - 1
    with pytest.raises(ConfigError, match=f"not known .*: {lacking} of {held} have no readouts"):
        saved.learn_task("less:position", updates=1)
    saved.learn_task("own+control", updates=1)


def test_the_data_of_a_run_are_refused_where_there_is_a_constraint(
    make: Callable[..., Any], episodes: list[Arrays], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make(constraint=("distance<1",)).config
    monkeypatch.setattr(reading, "run_of", lambda source: source)
    monkeypatch.setattr(reading.run_data, "read_episodes", lambda *_: (episodes, None))
    with pytest.raises(ConfigError, match="limit on readouts, and the episodes of elsewhere have none"):
        reading.read_data(config, make_env(config), {})
