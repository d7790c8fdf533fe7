"""What a checkpoint must hold of an actor in lockstep; it may come from another person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from agent.interface import EnvSpec
from agent.memory.columns import columns_of
from joule_schema.arrays import ArraySpec, check_arrays, under
from joule_schema.errors import SchemaError
from joule_schema.values import ANY_FLOAT, Count, Length, Name, check, checked

_Number = Annotated[float, ANY_FLOAT]
LONGEST = 100_000
"""Rows of a chunk, at most."""


class ChunkValues(TypedDict):
    """The values of a chunk as a message; see `joule.actors.chunk_messages.message_of`."""

    actor: Count
    continues: bool
    decisions: Count
    frames: Count
    ended: list[Any]
    terminations: Count
    errors: list[_Number]
    diverged: Count
    updates: Count
    counters: dict[Name, Count]


class _Ended(TypedDict):
    total_return: _Number
    decisions: Count
    drawn: dict[Name, _Number]


class _StateValues(TypedDict):
    meta: dict[str, Any]
    env: dict[str, Any]


class ActorValues(TypedDict):
    """The values of one actor. Its state is checked by the actor itself."""

    started: Count
    counters: dict[Name, Count]
    state: _StateValues
    in_flight: Annotated[list[Count], Length(0, 2)]
    """Decisions of the run before the chunk in flight, and how many it is of; empty where there is none."""
    chunk: ChunkValues | None
    """That chunk."""


class EndedValues(TypedDict):
    """What is known of actors that have ended."""

    lost: Count
    counters: dict[Name, Count]


def ended_values(snapshot: Mapping[str, Any]) -> EndedValues:
    """What a snapshot of a pool says of actors that had ended; nothing where it is of an earlier version.

    Raises:
        SchemaError: for other values.
    """
    return checked(EndedValues, snapshot.get("ended", {"lost": 0, "counters": {}}), "actors.ended")


def actor_values(snapshot: Mapping[str, Any], number: int, spec: EnvSpec) -> ActorValues | None:
    """The values of one actor in a snapshot of a pool; None where the actor had not begun.

    Args:
        snapshot: of the pool.
        number: of the actor.
        spec: of the environment of the run, which says what a row is.

    Raises:
        SchemaError: for values that are none of an actor, and for a chunk whose rows are none of this run.
    """
    where = f"actors.{number}"
    found = snapshot.get(f"{number}/values")
    if found is None:
        return None
    values = checked(ActorValues, found, where)
    chunk = values["chunk"]
    if chunk is not None:
        for index, one in enumerate(chunk["ended"]):
            at = f"{where}.chunk.ended[{index}]"
            check(Annotated[list[Any], Length(3, 3)], one, at)
            check(_Ended, dict(zip(("total_return", "decisions", "drawn"), one, strict=True)), at)
        check(Annotated[list[Count], Length(2, 2)], values["in_flight"], f"{where}.in_flight")
        if chunk["actor"] != number:
            raise SchemaError(f"{where}.chunk.actor: found {chunk['actor']}, expected {number}")
        rows = {
            name: ArraySpec((None, *shape), dtype, longest=LONGEST)
            for name, (shape, dtype) in columns_of(spec).items()
        }
        check_arrays(under(f"{number}/chunk/", snapshot), rows, f"{where}.chunk")
    return values
