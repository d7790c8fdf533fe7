"""Trials in processes of this machine, by the standard library alone."""

from __future__ import annotations

from collections import deque
from types import TracebackType

from joule.sweeping.job import NOT_BEGUN, Job, Outcome
from joule.sweeping.node import TrialProcess
from joule_errors import Refused


class LocalProcesses:
    """Trains jobs on this machine; see `Backend`.

    Args:
        workers: jobs at a time.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._waiting: deque[Job] = deque()
        self._running: list[TrialProcess] = []
        self._ended: list[tuple[Job, Outcome]] = []

    def submit(self, job: Job) -> None:
        """See `Backend`."""
        self._waiting.append(job)

    def poll(self) -> list[tuple[Job, Outcome]]:
        """See `Backend`."""
        found = [(process, process.poll()) for process in self._running]
        self._running = [process for process, outcome in found if outcome is None]
        self._ended += [(process.job, outcome) for process, outcome in found if outcome is not None]
        while self._waiting and len(self._running) < self.workers:
            job = self._waiting.popleft()
            try:
                self._running.append(TrialProcess(job, own_session=True))
            except Refused as error:
                self._ended.append((job, Outcome(error.exit_code, str(error))))
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        """See `Backend`."""
        self._ended += [(job, NOT_BEGUN) for job in self._waiting]
        self._waiting.clear()
        for process in self._running:
            process.end()

    def __enter__(self) -> LocalProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running:
            process.kill()
