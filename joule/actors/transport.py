"""The contract of how actors are started and reached: processes of this machine, or Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from envs.faults.errors import EnvFailure
from joule.messages import Message


class ActorFailure(EnvFailure):
    """An actor cannot go on: its environment has failed, or it cannot be started; the message is one sentence."""


class ActorLost(Exception):
    """The process of an actor has ended, or its machine; another one can take its place."""


class Channel(Protocol):
    """One actor. What is sent is answered in order."""

    def send(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Sends a message, and does not wait for its answer. Raises ActorLost."""

    def receive(self) -> Message:
        """Waits for the next answer. Raises ActorLost."""

    def close(self) -> None:
        """Ends the actor."""


C = TypeVar("C", bound=Channel)


class Transport(Protocol[C]):
    """Starts actors, and waits for them."""

    def start(self, values: Mapping[str, Any]) -> C:
        """Starts an actor, and does not wait until it is prepared. Its first answer is to `values`.

        Raises:
            ActorFailure: where none can be started.
        """

    def wait(self, channels: Sequence[C], seconds: float) -> Sequence[C]:
        """Those that have an answer, or are lost; waits for the first of them so long at most."""

    def close(self) -> None:
        """Frees what all actors share."""
