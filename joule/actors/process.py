"""The process of an actor on this machine; see `joule.actors.local`."""

from __future__ import annotations

import os
import sys
import threading
from queue import SimpleQueue

from joule.actors.transport import Message
from joule.actors.worker import Worker
from joule.answering_process import answers
from joule.messages import receive, send


def serve() -> None:
    """Answers the messages on stdin on stdout, until stdin ends."""
    results = answers()
    messages: SimpleQueue[Message] = SimpleQueue()
    threading.Thread(target=_read, args=(messages,), name="reader", daemon=True).start()
    settings, _ = messages.get()
    try:
        worker = Worker(settings)
    except Exception as error:  # noqa: BLE001  the learning process says what failed
        send(results, {"failed": str(error) or type(error).__name__})
        return
    send(results, {})
    while True:
        send(results, *worker.answer(*messages.get()))


def _read(messages: SimpleQueue[Message]) -> None:
    """Takes messages in as they come, so that whoever sends one never waits for an answer to be read first."""
    while (message := receive(sys.stdin.buffer)) is not None:
        messages.put(message)
    os._exit(0)  # the learning process is gone, and nobody wants what is being collected
