"""Evaluations in a process of their own, while training goes on.

The process gets a copy of the networks and plays the held-out episodes with it, as the training process would. What
it finds is the same to the last digit, and training does not wait for it.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
from typing import Any, BinaryIO

import numpy as np

from agent.acting_copy import acting_copy
from agent.agent import WorldModelAgent
from agent.configurator import kinds
from agent.configurator.config_json import to_json
from joule.answering_process import AnsweringProcess
from joule.messages import receive, send
from joule.storage.env_spec import spec_to_json
from joule.storage.files import why
from joule.training.evaluation_rows import Moment, Recorded
from joule_errors import Stopped
from joule_errors.remote import cause

CLOSE_SECONDS = 10.0
"""For the process to end by itself."""


class EvaluationStopped(Stopped):
    """An evaluation that failed in its process; the message is one sentence."""


class BackgroundEvaluation:
    """Evaluates one agent, once at a time.

    Args:
        agent: the agent that is trained.
    """

    def __init__(self, agent: WorldModelAgent) -> None:
        self.agent = agent
        self.due: Moment | None = None
        """When the evaluation that is being made was due; None where none is."""
        self._process: AnsweringProcess | None = None
        self._prepared = False
        """Whether the process has said that it has its agent and its environment."""

    def start(self) -> None:
        """Starts the process, and does not wait until it is prepared.

        Raises:
            EvaluationStopped: where no process can be started.
        """
        agent = self.agent
        try:
            self._process = AnsweringProcess(f"{__package__}.evaluation_process")
        except OSError as error:
            raise self._stopped(f" cannot be started: {why(error)}") from error
        settings = {"config": to_json(agent.config), "env_spec": spec_to_json(agent.env_spec)}
        self._send({**settings, "kinds": kinds.tables()}, {})

    def begin(self) -> None:
        """Has the agent evaluated as it is now.

        Raises:
            EvaluationStopped: where the process could not make its environment, or has ended.
        """
        assert self.due is None, "one evaluation at a time"
        self._prepare()
        arrays, counts = acting_copy(self.agent.modules)
        self._send({**counts, "frames": self.agent.frames}, arrays)
        self.due = Moment.now(self.agent)

    def ready(self) -> bool:
        """Whether `result` would not wait. Raises EvaluationStopped as `begin`."""
        if not self._arrived():
            return False
        self._prepare()
        return self.due is not None and self._arrived()

    def _prepare(self) -> None:
        """Waits until the process has its agent and its environment."""
        if not self._prepared:
            with self.agent.clock.running(False):  # evaluations are no part of the time of training
                self._receive()
            self._prepared = True

    def _arrived(self) -> bool:
        return bool(select.select([self._results], [], [], 0.0)[0])

    def result(self) -> Recorded:
        """Waits for the evaluation that was begun.

        Raises:
            EvaluationStopped: where it failed, or the process ended.
        """
        values = self._receive()
        self.due = None
        return Recorded(
            np.array(values["returns"], np.float64), np.array(values["lengths"], np.int64),
            values["diverged"], values["forecasts"], values["readouts"],
            values["success_rate"],
        )  # fmt: skip

    def close(self) -> None:
        """Ends the process; an evaluation that is being made is given up."""
        process, self._process, given_up = self._process, None, self.due is not None
        self.due = None
        if process is None:
            return
        if given_up:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # the process has ended with a message unread
                pipe.close()
        try:
            process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.forget()

    @property
    def _results(self) -> BinaryIO:
        assert self._process is not None
        assert self._process.stdout is not None
        results: Any = self._process.stdout
        return results

    def _send(self, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        assert self._process is not None
        pipe: Any = self._process.stdin
        try:
            send(pipe, values, arrays)
        except OSError:
            raise self._ended() from None

    def _receive(self) -> dict[str, Any]:
        message = receive(self._results)
        if message is None:
            raise self._ended()
        values, _ = message
        if "failed" in values:
            raise self._stopped(f": {values['failed']}") from cause(values)
        return values

    def _ended(self) -> EvaluationStopped:
        assert self._process is not None
        return self._stopped(f" ended ({self._process.how_it_ended(CLOSE_SECONDS)})")

    def _stopped(self, how: str) -> EvaluationStopped:
        """The error of an evaluation that failed; none is being made any more."""
        self.due = None
        return EvaluationStopped(f"the process of the evaluations{how}")
