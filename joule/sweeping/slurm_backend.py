"""Trials as jobs of Slurm, by submitit: job arrays, each job of which starts a train process.

Before a time limit and where a job is preempted, the trial writes a checkpoint and the job is queued again. Jobs
outlive the command that submitted them: given again, it takes up those that are still in the queue.
submitit keeps its own files, pickles among them, in the folder `slurm` of the storage.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from agent.errors import ConfigError
from joule.extras import needed
from joule.storage.files import DISK
from joule.storage.json_files import write_object
from joule.storage.reader import read_plain
from joule.sweeping.job import NOT_BEGUN, Job, Outcome, ended_by
from joule.sweeping.node import TrialProcess
from joule_errors import Refused, Stopped
from joule_schema import json_text

FOLDER, JOBS = "slurm", "jobs.json"
"""Of submitit in the storage, and the file with the job of each trial."""
DEFAULTS: Mapping[str, Any] = {"cluster": "slurm", "name": "joule-sweep", "timeout_min": 240}
"""Parameters that are not given."""
SHARED = (
    "cluster", "name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node",
    "stderr_to_stdout",
)  # fmt: skip
"""Parameters of submitit that have no prefix."""
JOBS_BYTES = 64 << 20
"""Of the file with the jobs: about 400,000 of them."""
CLUSTERS = ("slurm", "local", "debug")
REQUEUES = 1_000
"""Time limits that a trial may meet."""
LARGEST_ARRAY = 1_000
"""Jobs of one job array; Slurm's own limit (MaxArraySize) is 1,001 by default."""
POLL_SECONDS = 5.0
"""Between two looks at the jobs: each looks at a file in the storage."""


class TrialTask:
    """What a job of Slurm does. submitit stores it, and calls `checkpoint` before the job's time is over."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.process: TrialProcess | None = None

    def __call__(self) -> Outcome:
        """Trains, and returns how it ended."""
        self.process = TrialProcess(self.job)
        return self.process.wait()

    def checkpoint(self) -> Any:
        """Ends the process after its checkpoint. Returns what the job does when it begins again."""
        import submitit

        if self.process is not None:
            self.process.end()
            self.process.wait()
        return submitit.helpers.DelayedSubmission(TrialTask(self.job))


def parameters(texts: Sequence[str]) -> dict[str, Any]:
    """submitit's parameters from texts such as `partition=cpu`; those of Slurm need no prefix.

    Raises:
        ConfigError: for a text without a value, or an unknown cluster.
    """
    found = dict(DEFAULTS)
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"--slurm: found {text!r:.80}, expected KEY=VALUE, such as partition=cpu")
        prefixed = name in SHARED or name.startswith(tuple(f"{cluster}_" for cluster in CLUSTERS))
        found[name if prefixed else f"slurm_{name}"] = _typed(value)
    if found["cluster"] not in CLUSTERS:
        raise ConfigError(f"--slurm: cluster {found['cluster']!r:.80} is none of {', '.join(CLUSTERS)}")
    return found


def executor_of(storage: Path, given: Mapping[str, Any], workers: int | None, cores: int) -> Any:
    """submitit's executor.

    Args:
        storage: the folder of the sweep.
        given: see `parameters`.
        workers: jobs at a time; None sets no limit.
        cores: of a job, where they are not given.

    Raises:
        ConfigError: where submitit or Slurm is missing, or a parameter is unknown.
    """
    submitit = needed("submitit", "cluster", "--slurm")
    values = {"cpus_per_task": cores, **given}
    cluster = values.pop("cluster")
    if cluster == "slurm":
        if shutil.which("sbatch") is None:
            raise ConfigError("--slurm: there is no sbatch on this machine; give the command on a login node")
        if workers is not None:
            values.setdefault("slurm_array_parallelism", workers)
    try:
        executor = submitit.AutoExecutor(storage / FOLDER, cluster=cluster, slurm_max_num_timeout=REQUEUES)
        executor.update_parameters(**values)
    except (NameError, AssertionError, ValueError, TypeError, RuntimeError) as error:  # RuntimeError: no srun
        raise ConfigError(f"--slurm: {_first_line(error)}") from None
    return executor


class SlurmJobs:
    """Trains jobs on Slurm; see `Backend`.

    Args:
        executor: of submitit.
        storage: the folder of the sweep.
    """

    def __init__(self, executor: Any, storage: Path) -> None:
        self._executor, self._ids = executor, storage / FOLDER / JOBS
        self._waiting: list[Job] = []
        self._jobs: list[tuple[Job, Any]] = []
        """Jobs of the sweep with those of submitit."""
        self._ended: list[tuple[Job, Outcome]] = []
        self._poll_due, self._stopped = 0.0, False

    def submit(self, job: Job) -> None:
        """See `Backend`. The jobs that are submitted before a poll become one job array."""
        self._waiting.append(job)

    def poll(self) -> list[tuple[Job, Outcome]]:
        """See `Backend`."""
        if self._waiting:
            self._submit_waiting()
        if time.monotonic() >= self._poll_due:
            self._poll_due = time.monotonic() + POLL_SECONDS
            # Slurm is asked about all jobs at once, where the first asks.
            found = [
                (job, task, task.done(force_check=self._stopped and index == 0))
                for index, (job, task) in enumerate(self._jobs)
            ]
            self._jobs = [(job, task) for job, task, done in found if not done]
            self._ended += [(job, _outcome(task)) for job, task, done in found if done]
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        """See `Backend`."""
        self._stopped = True
        self._ended += [(job, NOT_BEGUN) for job in self._waiting]
        self._waiting = []
        for _, task in self._jobs:
            task.cancel(check=False)  # Slurm sends SIGTERM to the train process too

    def __enter__(self) -> SlurmJobs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, task in self._jobs:
            task.cancel(check=False)

    def _submit_waiting(self) -> None:
        """Submits what waits, but for trials whose job of an earlier command is still in the queue."""
        known = self._known()
        waiting, self._waiting = self._waiting, []
        earlier = self._still_queued({job.folder: known.get(job.folder) for job in waiting})
        self._jobs += [(job, earlier[job.folder]) for job in waiting if job.folder in earlier]
        new = [job for job in waiting if job.folder not in earlier]
        if not new:
            return
        DISK.make(self._ids.parent)
        for begin in range(0, len(new), LARGEST_ARRAY):
            part = new[begin : begin + LARGEST_ARRAY]
            try:
                tasks = self._submitted(part)
            except Stopped as error:
                if not self._jobs:
                    raise
                # What is in the queue goes on: Slurm may be out of reach for a moment, or have a limit of jobs.
                self._ended += [(job, Outcome(error.exit_code, str(error))) for job in part]
                continue
            self._jobs += zip(part, tasks, strict=True)
            known |= {job.folder: str(task.job_id) for job, task in zip(part, tasks, strict=True)}
            write_object(self._ids, known)
        self._poll_due = 0.0

    def _submitted(self, jobs: Sequence[Job]) -> list[Any]:
        """The jobs of submitit for these, as one array. Raises Stopped where Slurm does not take it."""
        import submitit

        errors = submitit.core.utils
        try:
            with self._executor.batch():
                return [self._executor.submit(TrialTask(job)) for job in jobs]
        except (errors.FailedJobError, errors.FailedSubmissionError, OSError) as error:
            raise Stopped(f"--slurm: the jobs cannot be submitted: {_first_line(error)}") from error

    def _known(self) -> dict[str, Any]:
        if not os.path.lexists(self._ids):
            return {}
        try:
            found = json_text.loads(read_plain(self._ids, JOBS_BYTES))
        except (OSError, ValueError) as error:  # submitted again, the jobs would run twice
            raise Refused(
                f"{self._ids}: the jobs that were submitted cannot be read ({error}); see what is queued, and "
                "remove the file to submit all trials again"
            ) from error
        return found if isinstance(found, dict) else {}

    def _still_queued(self, job_ids: Mapping[str, Any]) -> dict[str, Any]:
        """The jobs of an earlier command that have not ended, by run folder."""
        if self._executor.cluster != "slurm":
            return {}
        import submitit

        known = {folder: job_id for folder, job_id in job_ids.items() if isinstance(job_id, str)}
        tasks: dict[str, Any] = {
            folder: submitit.SlurmJob(self._executor.folder, job_id) for folder, job_id in known.items()
        }
        done = {folder: task.done(force_check=i == 0) for i, (folder, task) in enumerate(tasks.items())}
        return {folder: task for folder, task in tasks.items() if not done[folder]}


def _outcome(task: Any) -> Outcome:
    """How a job of submitit ended."""
    import submitit

    try:
        return task.result()
    except submitit.core.utils.UncompletedJobError as error:
        return ended_by(signal.SIGTERM, f"the job ended without a result: {_first_line(error)}")
    except submitit.core.utils.FailedJobError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return Outcome(1, next((line for line in lines if "Error" in line and line != lines[0]), lines[0]))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _typed(text: str) -> int | float | bool | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text == "true" if text in ("true", "false") else text
