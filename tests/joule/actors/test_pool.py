"""A pool of actors asks for what is due, keeps the update-to-data ratio, and replaces actors that are lost."""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import ending_env
import numpy as np
import pytest
from run_comparison import assert_same_state

from agent.agent import WorldModelAgent
from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.errors import ConfigError
from agent.learning.collector import actor_config
from agent.learning.schedule import rows_for
from joule.actors import pool
from joule.actors.pool import ActorPool
from joule.actors.transport import ActorFailure, ActorLost, Message
from joule.actors.worker import Worker
from joule_schema.errors import SchemaError

pytestmark = pytest.mark.usefixtures("unchecked")

Make = Callable[..., Any]
BRIEF = {
    "env": ending_env.ID, "explore__warmup_decisions": 30, "learning__pretrain_updates": 5,
    "learning__batch_size": 16, "actor_chunk_decisions": 8, "steps": 400,
}  # fmt: skip


class InThisProcess:
    """An actor that answers when it is asked for the answer. It is lost after so many answers."""

    def __init__(self, values: Mapping[str, Any], lost_after: int | None, log: list[Any]) -> None:
        self.worker, self.lost_after, self.log = Worker(values), lost_after, log
        self.number = values["actor"]
        self.asked: deque[Message | None] = deque([None])
        self.closed = False

    def send(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self.log.append((self.number, values.get("first"), values.get("decisions"), bool(arrays)))
        self.asked.append((dict(values), dict(arrays)))

    def receive(self) -> Message:
        if self.lost_after is not None:
            if self.lost_after == 0:
                raise ActorLost("its process ended (exit code -9)")
            self.lost_after -= 1
        message = self.asked.popleft()
        return ({}, {}) if message is None else self.worker.answer(*message)

    def close(self) -> None:
        self.closed = True


class Transport:
    """Starts actors in this process; `lost_after` has for each start after how many answers it is lost."""

    def __init__(self, lost_after: Sequence[int | None] = ()) -> None:
        self.lost_after = deque(lost_after)
        self.started: list[InThisProcess] = []
        self.log: list[tuple[int, int | None, int | None, bool]] = []
        """Of each message: the actor, the first decision, how many, and whether it had networks."""

    def start(self, values: Mapping[str, Any]) -> InThisProcess:
        lost_after = self.lost_after.popleft() if self.lost_after else None
        self.started.append(InThisProcess(values, lost_after, self.log))
        return self.started[-1]

    def wait(self, channels: Sequence[InThisProcess], seconds: float) -> Sequence[InThisProcess]:
        return [channel for channel in channels if channel.asked]

    def close(self) -> None:
        pass


@pytest.fixture
def acted(make_agent: Make) -> Callable[..., tuple[WorldModelAgent, Transport]]:
    """`acted(lost_after, **changes)`: an agent whose actors are in this process, and how they are reached."""

    def make(lost_after: Sequence[int | None] = (), **changes: Any) -> tuple[WorldModelAgent, Transport]:
        transport = Transport(lost_after)
        alone = make_agent(**BRIEF)
        config = make_agent(alone.env, **{**BRIEF, "actors": 2, **changes}).config
        actors = ActorPool(config, alone.env_spec, transport)
        return make_agent(actors, **{**BRIEF, "actors": 2, **changes}), transport

    return make


@pytest.mark.parametrize("number", [1, 3])
def test_an_agent_of_two_actors_takes_two(acted: Make, make_agent: Make, number: int) -> None:
    agent, _ = acted()
    alone = make_agent(**BRIEF)
    with pytest.raises(ConfigError, match="env: 1 environment was handed in, and actors is 2"):
        agent.learn(5, env=alone.env)
    pool, _ = acted(actors=number)
    with pytest.raises(ConfigError, match=rf"env: {number} actors? w.* handed in, and actors is 2"):
        agent.learn(5, env=pool.env)
    with pytest.raises(ConfigError, match=rf"env: {number} actors? w.* handed in, and num_envs is 1"):
        alone.learn(5, env=pool.env)


@pytest.mark.slow
def test_the_streams_hold_what_the_actors_experienced(acted: Make, make_agent: Make) -> None:
    agent, transport = acted()
    agent.learn(100)
    alone = make_agent(**BRIEF).learn(100)
    assert (agent.frames, agent.decisions) == (alone.frames, alone.decisions) == (100, 100)
    assert agent.modules.learner.updates == alone.modules.learner.updates, "the update-to-data ratio is kept"
    assert agent.metrics["actors/staleness_updates"] > 0
    assert agent.episodes > 3
    for rows, actor in zip(agent.replay, transport.started, strict=True):
        theirs = actor.worker.collector.modules.replay_buffer.streams[0]
        ours = rows.since(rows.first)
        newest = theirs.since(theirs.first)
        assert rows.total == theirs.total > 30
        for name, column in newest.items():
            np.testing.assert_array_equal(ours[name][-len(column) :], column)
        goal, last = ours["obs"][:, 2], ours["last"]
        np.testing.assert_array_equal(goal[1:] == goal[:-1], ~last[:-1])  # one goal an episode, in order
    first, second = (rows.since(rows.first)["obs"][0, 2] for rows in agent.replay)
    assert first == alone.replay[0].since(0)["obs"][0, 2], "the first actor begins as a run without actors"
    assert first != second


@pytest.mark.slow
def test_every_decision_of_the_budget_is_asked_for_once(acted: Make) -> None:
    agent, transport = acted()
    agent.learn(100).learn(13)
    chunks = [(first, count) for _, first, count, _ in transport.log]
    assert [count for _, count in chunks[:12]] == [8, 8, 8, 6, *[8] * 8], (
        "warm-up, then the rest of the first budget"
    )
    begins = np.cumsum([0, *[count for _, count in chunks]])
    assert [first for first, _ in chunks] == begins[:-1].tolist()
    assert begins[-1] == 113
    assert [number for number, *_ in transport.log[:6]] == [0, 1, 0, 1, 0, 1], "two in flight each, in turn"


@pytest.mark.slow
def test_networks_are_sent_once_a_second_at_most(acted: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(pool.time, "monotonic", lambda: now)
    agent, transport = acted()
    agent.learn(200)
    sent = [number for number, _, _, networks in transport.log if networks]
    assert sorted(sent) == [0, 1], "no second passes"
    now = 2.0
    agent.learn(16)
    assert [networks for *_, networks in transport.log[-2:]] == [True, True]


@pytest.mark.slow
def test_another_actor_takes_the_place_of_one_that_is_lost(acted: Make) -> None:
    agent, transport = acted([3, None])
    notes: list[str] = []
    agent.env.on_note = notes.append
    agent.learn(100)
    assert agent.decisions == 100
    assert agent.metrics["actors/lost"] == 1
    assert notes == [
        "warning: actor 0 was lost: its process ended (exit code -9); another one takes its place"
    ]
    first, _, third = transport.started
    assert first.closed
    assert first.number == third.number == 0
    seeds = [actor.worker.collector.modules.config.seed for actor in (first, third)]
    assert seeds[0] != seeds[1], "else it would repeat the episodes of the first"
    rows = agent.replay[0].since(0)
    goal, last = rows["obs"][:, 2], rows["last"]
    np.testing.assert_array_equal(goal[1:] == goal[:-1], ~last[:-1])  # no window goes from one to the other


def test_an_actor_that_is_always_lost_ends_the_run(acted: Make) -> None:
    agent, _ = acted([0, None, 0, 0])
    with pytest.raises(ActorFailure, match=r"actor 0: .*; it was lost 3 times in a row without a chunk"):
        agent.learn(100)


def test_an_environment_that_fails_ends_the_run_with_its_sentence(
    acted: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, transport = acted()
    agent.learn(40)
    monkeypatch.setattr(transport.started[1].worker.collector, "env", None)
    with pytest.raises(ActorFailure, match="actor 1: 'NoneType'") as caught:
        agent.learn(60)
    assert "collector.py" in str(caught.value.__cause__), "where it was raised, in the actor"
    agent.begin_episode()
    assert agent.learn(60).decisions >= 100, "it goes on with new actors"


@pytest.mark.slow
def test_actors_in_lockstep_repeat_a_run(acted: Make) -> None:
    one, transport = acted(actors_lockstep=True)
    one.learn(96)
    other, _ = acted(actors_lockstep=True)
    other.learn(96)
    assert_same_state(one, other)
    assert one.metrics["actors/staleness_updates"] == 16, "the updates of one round"
    fresh = [networks for *_, networks in transport.log]
    assert all(fresh[-4:]), "every chunk has networks of its own"


def test_what_actors_counted_is_counted_on_after_a_resume(acted: Make) -> None:
    agent, _ = acted()
    agent.learn(32)
    agent.env.lost, agent.env._counters = 1, {"actions_clipped": 3}
    snapshot = agent.env.snapshot()
    other, _ = acted()
    assert other.env.restore(snapshot) is False
    assert (other.env.lost, other.env.counters["actions_clipped"]) == (1, 3)


@pytest.mark.slow
def test_actors_in_lockstep_go_on_from_a_snapshot(acted: Make) -> None:
    whole, _ = acted(actors_lockstep=True)
    whole.learn(128, on_step=lambda agent: agent.decisions < 64)
    (arrays, meta), env = whole.state_dict(), whole.env.snapshot()
    rows = [one.since(one.first) for one in whole.replay]
    totals = [one.total for one in whole.replay]
    assert all(f"{number}/chunk/obs" in env for number in range(2)), "the next round is in flight"
    whole.learn(64)
    later, _ = acted(actors_lockstep=True)
    for one, held, total in zip(later.replay, rows, totals, strict=True):
        one.restore(held, total)
    later.load_state_dict(arrays, meta)
    assert later.env.restore(env) is True
    later.learn(64)
    assert_same_state(whole, later)


@pytest.mark.parametrize(
    ("entry", "changed", "sentence"),
    [
        ("0/values", 3, "actors.0: found 3"),
        ("0/chunk/obs", np.zeros((2, 5), np.float32), "actors.0.chunk: obs"),
        ("1/values", {"chunk": {"updates": -1}}, "actors.1"),
    ],
)
def test_a_snapshot_of_others_is_refused(entry: str, changed: Any, sentence: str, acted: Make) -> None:
    agent, _ = acted(actors_lockstep=True)
    agent.learn(64, on_step=lambda agent: False)
    snapshot = {**agent.env.snapshot(), entry: changed}
    with pytest.raises(SchemaError, match=re.escape(sentence)):
        agent.env.restore(snapshot)


def test_actors_that_are_free_begin_episodes_after_a_resume(acted: Make) -> None:
    agent, _ = acted()
    agent.learn(40)
    assert agent.env.restore(agent.env.snapshot()) is False
    assert agent.learn(20).decisions == 60


def test_an_actor_holds_a_whole_chunk_beyond_the_budget_of_the_run() -> None:
    config = actor_config(replace(Config(), {"steps": 10, "actors": 1, "actor_chunk_decisions": 200}), 0, 0)
    assert rows_for(config.steps) >= 2 * (200 + 1)


@pytest.mark.parametrize(("repeat", "until", "left"), [(1, 7, 7), (4, 8, 2), (4, 9, 3), (4, 1, 1)])
def test_a_decision_is_wanted_for_the_last_frames_too(
    make_agent: Make, repeat: int, until: int, left: int
) -> None:
    agent, asked = make_agent(**BRIEF), list[Any]()

    def next_chunks(learner: Any) -> list[Any]:
        asked.append(learner)
        return []

    agent.modules.env_spec = dataclasses.replace(agent.modules.env_spec, action_repeat=repeat)
    agent.interaction.step_with(SimpleNamespace(next_chunks=next_chunks, metrics={}), until)
    assert asked[0].decisions_left == left
