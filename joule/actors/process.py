"""The process of an actor on this machine; see `joule.actors.local`."""

from __future__ import annotations

from joule.actors.worker import Worker
from joule.answering_process import answers, arriving
from joule.messages import send
from joule_errors.remote import failure


def serve() -> None:
    """Answers the messages on stdin on stdout, until stdin ends."""
    results, messages = answers(), arriving()
    settings, _ = messages.get()
    try:
        worker = Worker(settings)
    except Exception as error:  # noqa: BLE001  the learning process says what failed
        send(results, failure(error))
        return
    send(results, {})
    while True:
        send(results, *worker.answer(*messages.get()))
