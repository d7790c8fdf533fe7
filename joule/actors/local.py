"""Actors that are processes of this machine."""

from __future__ import annotations

import contextlib
import io
import select
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from joule.actors.transport import ActorFailure, ActorLost, Message
from joule.answering_process import AnsweringProcess
from joule.messages import receive, send

CLOSE_SECONDS = 5.0
"""For a process to end by itself."""


class WholeReads:
    """A pipe that reads whole messages and nothing beyond: what a buffer holds, `select` does not see.

    Args:
        pipe: without a buffer; a read from it may return less than it was asked for.
    """

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe

    def read(self, size: int) -> bytes:
        """As many bytes; fewer where the other side has ended."""
        parts, missing = [], size
        while missing and (part := self.pipe.read(missing)):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


class LocalChannel:
    """A process of this machine that is an actor; see `Channel`."""

    def __init__(self) -> None:
        self._process = AnsweringProcess(f"{__package__}.process", bufsize=0)
        raw: Any = self._process.stdin
        self._requests = io.BufferedWriter(raw)  # which writes the whole of a message

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def fileno(self) -> int:
        """Of the pipe with the answers, for `select`."""
        results: Any = self._process.stdout
        return int(results.fileno())

    def send(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """See `Channel`."""
        try:
            send(self._requests, values, arrays)
        except OSError:
            raise self._lost() from None

    def receive(self) -> Message:
        """See `Channel`."""
        pipe: Any = WholeReads(self._process.stdout)
        message = receive(pipe)
        if message is None:
            raise self._lost()
        return message

    def close(self) -> None:
        """See `Channel`. What it is collecting is given up."""
        process = self._process
        process.kill()
        for pipe in (self._requests, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # a message is unread
                pipe.close()
        process.wait()
        process.forget()

    def _lost(self) -> ActorLost:
        return ActorLost(f"its process ended ({self._process.how_it_ended(CLOSE_SECONDS)})")


class LocalActors:
    """Starts processes of this machine; see `Transport`."""

    def start(self, values: Mapping[str, Any]) -> LocalChannel:
        """See `Transport`."""
        try:
            channel = LocalChannel()
        except OSError as error:
            raise ActorFailure(f"an actor cannot be started: {error.strerror or error}") from error
        with contextlib.suppress(ActorLost):  # the first answer says so
            channel.send(values, {})
        return channel

    def wait(self, channels: Sequence[LocalChannel], seconds: float) -> Sequence[LocalChannel]:
        """See `Transport`."""
        return select.select(channels, [], [], seconds)[0]

    def close(self) -> None:
        """See `Transport`: nothing is shared."""
