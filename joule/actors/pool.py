"""A pool of actors: who is asked for how much, with which networks, and what happens when one is lost.

Two chunks of each actor are in flight, so that it collects one while the other is learned from. The learner takes a
chunk in, makes the updates that its decisions add, and asks for more only then: where the actors are faster, they
wait, and the update-to-data ratio is kept.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from agent.chunks import ActingCopy, Chunk, LearnerState
from agent.configurator import kinds
from agent.configurator.config_json import to_json
from agent.configurator.settings import Config
from agent.interface import EnvSpec
from joule.actors.chunk_messages import CHUNK, RESTORE, SNAPSHOT, chunk_of
from joule.actors.snapshot_schema import actor_values, ended_values
from joule.actors.transport import ActorFailure, ActorLost, Message, Transport
from joule.storage.env_spec import spec_to_json
from joule_errors.remote import cause
from joule_schema.arrays import under

IN_FLIGHT = 2
"""Chunks that an actor is asked for at a time."""
BROADCAST_SECONDS = 1.0
"""Between two copies of the networks that an actor gets, at least; in lockstep it gets every one."""
LOSSES_IN_A_ROW = 3
"""So often an actor may be lost before its first chunk."""
WAIT_SECONDS = 0.2
"""Between two looks at whether waiting should end."""


class Place:
    """One of the actors, whichever process it is at present."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.channel: Any = None
        """None before it is started, and where it was lost."""
        self.prepared = False
        """Whether it has said that it has its environment."""
        self.in_flight: deque[tuple[int, int]] = deque()
        """Of each chunk that it was asked for: decisions of the run before it, and how many it is of."""
        self.sent_updates, self.sent_at = -1, 0.0
        """Gradient steps of the networks that it has, and when it got them in monotonic seconds."""
        self.taken_at = -1
        """Decisions of the run when its last chunk was learned from; -1 before the first."""
        self.started = 0
        """Decisions of the run when it was started."""
        self.losses = 0
        """In a row, without a chunk between them."""
        self.counters: dict[str, int] = {}
        """Of its environment, for the present process."""


class ActorPool:
    """Actors for one run; see `agent.chunks.Actors`.

    Args:
        config: the settings of the run.
        env_spec: sizes and names of its environment.
        transport: starts them.

    Attributes:
        on_note: is told sentences that the user should know.
    """

    def __init__(self, config: Config, env_spec: EnvSpec, transport: Transport[Any]) -> None:
        self.config, self.env_spec, self.transport = config, env_spec, transport
        self.on_note: Callable[[str], None] = lambda sentence: None
        self.num_actors = config.actors
        self.lost = 0
        """Actors that were lost so far."""
        self._places = [Place(number) for number in range(config.actors)]
        self._copy: tuple[int, ActingCopy] | None = None
        """The newest copy that was sent, and its gradient steps."""
        self._arrived: dict[int, Message] = {}
        """In lockstep: chunks of the round that are here, by actor."""
        self._counters: dict[str, int] = {}
        """Of the environments of actors that have ended."""

    # Experience

    def next_chunks(self, learner: LearnerState) -> Sequence[Chunk]:
        """See `Actors`."""
        if self.config.actors_lockstep:
            return self._round(learner)
        self._ask(learner, IN_FLIGHT)
        while not learner.stopped():
            # Whose last chunk is longest ago comes first, so that no chunk grows old.
            for place in sorted(self._answered(self._asked()), key=lambda place: place.taken_at):
                if (message := self._receive(place, learner)) is not None:
                    place.taken_at = learner.decisions
                    return [self._taken(place, message)]
        return []

    def _round(self, learner: LearnerState) -> Sequence[Chunk]:
        """A chunk of each actor. While they are learned from, the actors collect the next ones.

        Each chunk is of the networks before the updates of the round before it, whoever is faster. So a run depends
        on no time.
        """
        if not self._asked():
            self._ask(learner, 1)
        if not self._gather(learner):
            return []
        chunks = [self._taken(place, self._arrived.pop(place.number)) for place in self._asked()]
        taken = sum(chunk.decisions for chunk in chunks)
        left = learner.decisions_left - taken
        self._ask(replace(learner, decisions=learner.decisions + taken, decisions_left=left), 1, ahead=True)
        return chunks

    def _gather(self, learner: LearnerState | None = None) -> bool:
        """Waits for what is in flight of every actor. False where the wait was ended.

        Args:
            learner: says whether waiting should end; None waits for ever.
        """
        while waiting := [place for place in self._asked() if place.number not in self._arrived]:
            if learner is not None and learner.stopped():
                return False
            for place in self._answered(waiting):
                if (message := self._receive(place, learner)) is not None:
                    self._arrived[place.number] = message
        return True

    def _asked(self) -> list[Place]:
        return [place for place in self._places if place.in_flight]

    def _answered(self, places: Sequence[Place]) -> list[Place]:
        by_channel = {id(place.channel): place for place in places}
        ready = self.transport.wait([place.channel for place in places], WAIT_SECONDS)
        return [by_channel[id(channel)] for channel in ready]

    def _ask(self, learner: LearnerState, most: int, ahead: bool = False) -> None:
        """Asks actors for chunks, until each has `most` in flight or all decisions are given out.

        Before the first update only the random decisions of warm-up are given out: those after it are for networks
        that have learned.

        Args:
            learner: the process that learns.
            most: chunks in flight of each actor.
            ahead: whether the learner has not made the updates of the decisions that it counts.
        """
        for wanted in range(1, most + 1):
            for place in self._places:
                out = sum(size for one in self._places for _, size in one.in_flight)
                size = min(self.config.actor_chunk_decisions, learner.decisions_left - out)
                warmup = self.config.explore.warmup_decisions - learner.decisions - out
                if learner.updates == 0 and (ahead or warmup > 0 or out > 0):
                    size = min(size, warmup)
                if len(place.in_flight) >= wanted or size <= 0:
                    continue
                place.in_flight.append((learner.decisions + out, size))
                if place.channel is None:
                    self._start(place, learner.decisions)
                self._send(place, learner, *place.in_flight[-1])

    def _start(self, place: Place, decisions: int) -> None:
        place.started, place.prepared, place.sent_updates = decisions, False, -1
        place.channel = self.transport.start(
            {
                "config": to_json(self.config),
                "env_spec": spec_to_json(self.env_spec),
                "kinds": kinds.tables(),
                "actor": place.number,
                "started": decisions,
            }
        )

    def _send(self, place: Place, learner: LearnerState, first: int, size: int) -> None:
        copy = self._copy_for(place, learner)
        values: dict[str, Any] = {"ask": CHUNK, "first": first, "decisions": size}
        arrays: Mapping[str, np.ndarray] = {}
        if copy is not None:
            arrays, values["counts"] = copy
        with suppress(ActorLost):  # the answer that is missing says so
            place.channel.send(values, arrays)

    def _copy_for(self, place: Place, learner: LearnerState) -> ActingCopy | None:
        """The networks for an actor; None where it has them, or got others a moment ago."""
        now = time.monotonic()
        fresh = not self.config.actors_lockstep and now - place.sent_at < BROADCAST_SECONDS
        if place.sent_updates == learner.updates or (place.sent_updates >= 0 and fresh):
            return None
        if self._copy is None or self._copy[0] != learner.updates:
            self._copy = learner.updates, learner.copy()
        place.sent_updates, place.sent_at = learner.updates, now
        return self._copy[1]

    def _receive(self, place: Place, learner: LearnerState | None) -> Message | None:
        """The answer of an actor that has one; None for one that has just begun, or was lost.

        Without a learner another actor cannot take its place: its loss is an ActorFailure.
        """
        try:
            message = place.channel.receive()
        except ActorLost as lost:
            if learner is None:
                self._end(place)
                raise ActorFailure(f"actor {place.number}: {lost}") from lost
            self._replace(place, learner, str(lost))
            return None
        self._check(place, message)
        if not place.prepared:
            place.prepared = True
            return None
        return message

    def _check(self, place: Place, message: Message) -> None:
        if "failed" in message[0]:
            self._end(place)
            raise ActorFailure(f"actor {place.number}: {message[0]['failed']}") from cause(message[0])

    def _taken(self, place: Place, message: Message) -> Chunk:
        place.in_flight.popleft()
        place.losses, place.counters = 0, message[0]["counters"]
        return chunk_of(message)

    def _replace(self, place: Place, learner: LearnerState, why: str) -> None:
        """Starts another actor in the place of one that was lost, and asks it for the same again."""
        self.lost += 1
        place.losses += 1
        self._end(place)
        if place.losses >= LOSSES_IN_A_ROW:
            raise ActorFailure(
                f"actor {place.number}: {why}; it was lost {place.losses} times in a row without a chunk"
            )
        self.on_note(f"warning: actor {place.number} was lost: {why}; another one takes its place")
        self._start(place, learner.decisions)
        for first, size in place.in_flight:
            self._send(place, learner, first, size)

    # What is known of the actors

    @property
    def metrics(self) -> Mapping[str, float]:
        """See `Actors`."""
        return {"actors/lost": float(self.lost)}

    @property
    def counters(self) -> dict[str, int]:
        """How often each survivable fault of an environment happened, over all actors."""
        total = dict(self._counters)
        for place in self._places:
            for name, count in place.counters.items():
                total[name] = total.get(name, 0) + count
        return total

    # State

    def begin_episodes(self) -> None:
        """See `Actors`."""
        self._copy = None  # the agent may have been put back to others, after as many updates
        self._forget(self._places)

    def _forget(self, places: Sequence[Place]) -> None:
        """Ends the actors in these places; others are started when they are asked."""
        for place in places:
            self._end(place)
            place.in_flight.clear()
            self._arrived.pop(place.number, None)

    def _end(self, place: Place) -> None:
        if place.channel is not None:
            place.channel.close()
            place.channel = None
        for name, count in place.counters.items():
            self._counters[name] = self._counters.get(name, 0) + count
        place.counters = {}

    def snapshot(self) -> dict[str, Any]:
        """Of actors in lockstep their whole state, so that a resume is exact; of others what was counted.

        Chunks that are in flight are waited for, and are part of it.

        Raises:
            ActorFailure: where an actor in lockstep is lost before it has answered.
        """
        saved: dict[str, Any] = {"actors": self.num_actors}
        if not self.config.actors_lockstep:
            saved["ended"] = {"lost": self.lost, "counters": self.counters}
            return saved
        self._gather()
        saved["ended"] = {"lost": self.lost, "counters": dict(self._counters)}
        for place in self._places:
            if place.channel is None:
                continue
            parts = {"state": self._answer(place, {"ask": SNAPSHOT}, {})}
            own: dict[str, Any] = {"started": place.started, "counters": dict(place.counters)}
            own |= {"in_flight": [], "chunk": None}
            if place.in_flight:
                own["in_flight"] = list(place.in_flight[0])
                parts["chunk"] = self._arrived[place.number]
            for part, (values, arrays) in parts.items():
                own[part] = values
                saved |= {f"{place.number}/{part}/{name}": array for name, array in arrays.items()}
            saved[f"{place.number}/values"] = own
        return saved

    def restore(self, snapshot: dict[str, Any]) -> bool:
        """See `Actors`.

        Raises:
            SchemaError: for a snapshot that is none of these actors.
            ActorFailure: where an actor refuses its state.
        """
        self.begin_episodes()
        ended = ended_values(snapshot)
        if not self.config.actors_lockstep:
            self.lost, self._counters = max(self.lost, ended["lost"]), dict(ended["counters"])
            return False
        every = [actor_values(snapshot, place.number, self.env_spec) for place in self._places]
        self.lost, self._counters = max(self.lost, ended["lost"]), dict(ended["counters"])
        exact = True
        for place, own in zip(self._places, every, strict=True):
            if own is None:
                continue  # it had not begun
            self._start(place, own["started"])
            state = under(f"{place.number}/state/", snapshot)
            answer, _ = self._answer(place, {**own["state"], "ask": RESTORE}, state)
            exact &= bool(answer["exact"])
            place.counters = own["counters"]
            if own["chunk"] is not None:
                first, size = own["in_flight"]
                place.in_flight.append((first, size))
                self._arrived[place.number] = dict(own["chunk"]), under(f"{place.number}/chunk/", snapshot)
        return exact

    def _answer(self, place: Place, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Message:
        """The answer of an actor that has nothing in flight. Raises ActorFailure where it is lost."""
        try:
            place.channel.send(values, arrays)
            while True:
                message: Message = place.channel.receive()
                self._check(place, message)
                if place.prepared:
                    return message
                place.prepared = True
        except ActorLost as lost:
            self._end(place)
            raise ActorFailure(f"actor {place.number}: {lost}") from lost

    def close(self) -> None:
        """Ends all actors. The next call starts them again."""
        self._forget(self._places)
        self.transport.close()
