"""Trials on a Ray cluster: each is a plain remote task, which starts the train process on its node.

Ray starts a task again on another node where its node has died; the trial then goes on from its last checkpoint.
A trial that fails by itself ends its task as usual, with an outcome, and is not started again.
"""

from __future__ import annotations

import os
import signal
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from agent.errors import ConfigError
from joule.ray_cluster import lines_of, missing_module
from joule.storage.files import DISK, replace_file
from joule.storage.provenance import version
from joule.sweeping.job import NOT_BEGUN, Job, Outcome, ended_by
from joule.sweeping.node import TrialProcess

NODE_DEATHS = 20
"""Nodes that may die under one trial; one more ends the trial as interrupted."""
PROBE_SECONDS = 120.0
"""Within which every node must answer, which starts a process of Python there."""


def train(job: Mapping[str, Any]) -> Outcome:
    """What a node does for a trial: it starts the train process, and waits for it."""
    return TrialProcess(Job(**job)).wait()


def probe(token: str) -> tuple[bool, str]:
    """What a node says of itself: whether it sees a file of the storage, and its version of Joule."""
    return os.path.exists(token), version()


def check_nodes(ray: Any, storage: Path) -> list[str]:
    """Asks every node that can train whether it sees the storage and has Joule. Returns warnings.

    Args:
        ray: the module, connected.
        storage: the folder of the sweep.

    Raises:
        ConfigError: for a node that cannot train, or that does not answer.
    """
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    token = storage / f".seen-{uuid.uuid4().hex}"
    replace_file(token, b"")
    try:
        remote = ray.remote(num_cpus=0, max_retries=0)(probe)
        asked = {
            node["NodeManagerAddress"] + " " + node["NodeID"][:8]: remote.options(
                scheduling_strategy=strategy(node["NodeID"], soft=False)
            ).remote(str(token))
            for node in ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU", 0) > 0
        }
        answers: dict[str, tuple[bool, str] | Exception] = {}
        for node, answer in asked.items():
            try:
                answers[node] = ray.get(answer, timeout=PROBE_SECONDS)
            except ray.exceptions.RayError as error:
                answers[node] = error
    finally:
        DISK.remove(token)
    return judged(answers, storage)


def judged(answers: Mapping[str, tuple[bool, str] | Exception], storage: Path) -> list[str]:
    """What the answers of the nodes mean. Returns warnings.

    Args:
        answers: node -> what it said, or the error in place of an answer.
        storage: the folder of the sweep.

    Raises:
        ConfigError: for the first node that cannot train.
    """
    versions = {}
    for node, answer in answers.items():
        if isinstance(answer, Exception):
            if missing := missing_module(answer):
                raise ConfigError(f"--ray: node {node} has no complete Joule ({missing}); install it there")
            raise ConfigError(f"--ray: node {node} does not answer: {lines_of(answer)[-1]}")
        sees, versions[node] = answer
        if not sees:
            raise ConfigError(
                f"--storage: node {node} does not see {storage}; give a folder that all nodes share by this path"
            )
    others = {node: found for node, found in versions.items() if found != version()}
    return [f"warning: node {node} has Joule {found}, and not {version()}" for node, found in others.items()]


class RayTasks:
    """Trains jobs on a Ray cluster; see `Backend`.

    Args:
        ray: the module, connected.
        workers: jobs at a time; None leaves it to the free cores of the cluster.
    """

    def __init__(self, ray: Any, workers: int | None = None) -> None:
        self._ray, self._workers = ray, workers
        self._waiting: deque[Job] = deque()
        self._tasks: dict[Any, Job] = {}
        """Reference of a task -> its job."""
        self._ended: list[tuple[Job, Outcome]] = []

    def submit(self, job: Job) -> None:
        """See `Backend`."""
        self._waiting.append(job)

    def poll(self) -> list[tuple[Job, Outcome]]:
        """See `Backend`."""
        while self._waiting and (self._workers is None or len(self._tasks) < self._workers):
            job = self._waiting.popleft()
            remote = self._ray.remote(num_cpus=job.cores, num_gpus=job.gpus, max_retries=NODE_DEATHS)(train)
            self._tasks[remote.remote(asdict(job))] = job
        if self._tasks:
            tasks = list(self._tasks)
            ready, _ = self._ray.wait(tasks, num_returns=len(tasks), timeout=0, fetch_local=False)
            self._ended += [(self._tasks.pop(task), self._outcome(task)) for task in ready]
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        """See `Backend`."""
        self._ended += [(job, NOT_BEGUN) for job in self._waiting]
        self._waiting.clear()
        for task in self._tasks:
            self._ray.cancel(task)  # raises KeyboardInterrupt in the task, which ends its process

    def __enter__(self) -> RayTasks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    def _outcome(self, task: Any) -> Outcome:
        exceptions = self._ray.exceptions
        try:
            return self._ray.get(task)
        except exceptions.TaskCancelledError:
            return ended_by(signal.SIGTERM)
        except (
            exceptions.WorkerCrashedError,
            exceptions.NodeDiedError,
            exceptions.OutOfMemoryError,
        ) as error:
            return ended_by(signal.SIGKILL, lines_of(error)[-1])
        except exceptions.RayError as error:
            return Outcome(1, lines_of(error)[-1])
