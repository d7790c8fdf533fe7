"""Actors on a Ray cluster. Where a node dies, the pool starts another actor on the nodes that are left."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from joule.actors.transport import ActorFailure, ActorLost, Message
from joule.actors.worker import Worker
from joule.ray_cluster import lines_of, missing_module
from joule_errors.remote import failure


class _OnNode:
    """What Ray runs on a node: a worker, whose refusal is an answer as any other."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._worker: Worker | None = None
        self._refusal: dict[str, Any] = {}
        try:
            self._worker = Worker(values)
        except Exception as error:  # noqa: BLE001  the learning process says what failed
            self._refusal = failure(error)

    def prepared(self) -> Message:
        """The first answer."""
        return self._refusal, {}

    def answer(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Message:
        """See `Worker`."""
        return self.prepared() if self._worker is None else self._worker.answer(values, arrays)


class RayChannel:
    """A Ray actor; see `Channel`."""

    def __init__(self, transport: RayActors, values: Mapping[str, Any]) -> None:
        self._transport, ray = transport, transport.ray
        self._actor = ray.remote(num_cpus=1, max_restarts=0)(_OnNode).remote(dict(values))
        self._answers: deque[Any] = deque([self._actor.prepared.remote()])

    @property
    def next(self) -> Any:
        """Ray's reference of the next answer."""
        return self._answers[0]

    def send(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """See `Channel`."""
        self._answers.append(self._actor.answer.remote(dict(values), self._transport.shared(arrays)))

    def receive(self) -> Message:
        """See `Channel`."""
        ray = self._transport.ray
        try:
            values, arrays = ray.get(self._answers.popleft())
        except ray.exceptions.RayTaskError as error:
            raise ActorFailure(f"an actor failed on its node: {lines_of(error)[-1]}") from None
        except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError) as error:
            if missing := missing_module(error):
                raise ActorFailure(f"a node has no complete Joule ({missing}); install it there") from None
            raise ActorLost("its process or its node ended") from None
        except ray.exceptions.RayError as error:  # such as a node's memory that is full
            raise ActorLost(lines_of(error)[-1]) from None
        return values, arrays

    def close(self) -> None:
        """See `Channel`."""
        self._transport.ray.kill(self._actor)


class RayActors:
    """Starts actors on a Ray cluster; see `Transport`.

    Args:
        ray: the module, connected.
    """

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        self._shared: tuple[Mapping[str, np.ndarray], Any] | None = None

    def start(self, values: Mapping[str, Any]) -> RayChannel:
        """See `Transport`."""
        return RayChannel(self, values)

    def wait(self, channels: Sequence[RayChannel], seconds: float) -> Sequence[RayChannel]:
        """See `Transport`."""
        by_answer = {channel.next: channel for channel in channels}
        ready, _ = self.ray.wait(list(by_answer), num_returns=1, timeout=seconds, fetch_local=False)
        return [by_answer[answer] for answer in ready]

    def shared(self, arrays: Mapping[str, np.ndarray]) -> Any:
        """Arrays as an object that Ray sends to each node once, however many actors get them."""
        if not arrays:
            return {}
        if self._shared is None or self._shared[0] is not arrays:
            self._shared = arrays, self.ray.put(dict(arrays))
        return self._shared[1]

    def close(self) -> None:
        """See `Transport`."""
        self._shared = None
