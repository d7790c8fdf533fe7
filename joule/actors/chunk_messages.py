"""What an actor is asked for, and its chunks as messages."""

from __future__ import annotations

from collections.abc import Mapping

from agent.chunks import Chunk
from agent.interface import EndedEpisode
from joule.actors.transport import Message

CHUNK, SNAPSHOT, RESTORE = "chunk", "snapshot", "restore"
"""What an actor is asked for."""


def message_of(chunk: Chunk, counters: Mapping[str, int]) -> Message:
    """A chunk as a message, with the counters of the actor's environment."""
    values = {
        "actor": chunk.actor,
        "continues": chunk.continues,
        "decisions": chunk.decisions,
        "frames": chunk.frames,
        "ended": [[one.total_return, one.decisions, dict(one.drawn)] for one in chunk.ended],
        "terminations": chunk.terminations,
        "errors": list(chunk.errors),
        "diverged": chunk.diverged,
        "updates": chunk.updates,
        "counters": dict(counters),
    }
    return values, chunk.rows


def chunk_of(message: Message) -> Chunk:
    """The inverse of `message_of`."""
    values, rows = message
    own = {name: value for name, value in values.items() if name != "counters"}
    own["ended"] = [EndedEpisode(*one) for one in values["ended"]]
    return Chunk(rows=rows, **own)
