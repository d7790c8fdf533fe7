"""The contract of what trains the trials of a sweep: processes of this machine, Ray, or Slurm."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from joule.sweeping.job import Job, Outcome


class Backend(Protocol):
    """Trains jobs, several at a time. A context manager: at its end no job goes on."""

    def submit(self, job: Job) -> None:
        """Starts a job, now or when there is a free place."""

    def poll(self) -> list[tuple[Job, Outcome]]:
        """The jobs that have ended since the last call. It returns at once."""

    def stop(self) -> None:
        """Asks the jobs to end after their checkpoints; those that wait end as interrupted."""

    def __enter__(self) -> Backend: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
