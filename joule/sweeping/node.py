"""The process of a trial on the machine that trains it: how it is started, asked to end, and how it ended."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from joule.storage.files import DISK, open_append
from joule.storage.reader import read_tail
from joule.sweeping import trial_process
from joule.sweeping.job import Job, Outcome, ended_by
from joule.threads import VARIABLES
from joule_errors import Refused
from joule_errors.printable import printable

_CHECKOUT = Path(__file__).resolve().parents[2]
_SENTENCES = ("error: ", "stopped: ")
"""How the last line of a command begins that failed."""
_POLL_SECONDS = 0.2


class TrialProcess:
    """The process of one trial. It trains in a process of its own, because only a main thread gets signals.

    Args:
        job: the trial.
        own_session: whether it gets no signals from the terminal, whose Ctrl-C is for the sweep.

    Raises:
        Refused: when its log cannot be written, or the process cannot be started.
    """

    def __init__(self, job: Job, own_session: bool = False) -> None:
        self.job = job
        log = Path(job.log)
        try:
            DISK.make(log.parent)
            DISK.make(Path(job.folder).parent)
            handle = open_append(log)
            try:
                os.write(handle, f"--- {_now()} on {platform.node()}\n".encode())
                self._begin = os.fstat(handle).st_size
                self._process = subprocess.Popen(
                    [sys.executable, trial_process.__file__, job.to_json()],
                    stdin=subprocess.PIPE,
                    stdout=handle,
                    stderr=subprocess.STDOUT,
                    cwd=job.directory if os.path.isdir(job.directory) else None,
                    env=_variables(job.threads),
                    start_new_session=own_session,
                )
            finally:
                os.close(handle)
        except OSError as error:
            raise Refused(f"{log}: the trial cannot be started: {error.strerror or error}") from error

    def poll(self) -> Outcome | None:
        """How it ended; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        if self._process.stdin is not None:
            self._process.stdin.close()
        if code < 0:
            return ended_by(-code)
        return Outcome(code, "" if code in (0, *range(128, 256)) else self._sentence())

    def end(self) -> None:
        """Asks it to end after a checkpoint."""
        self._process.terminate()

    def kill(self) -> None:
        """Ends it at once, and waits for that."""
        self._process.kill()
        self._process.wait()

    def wait(self) -> Outcome:
        """Waits for its end. Where the wait is interrupted, the process ends after a checkpoint first."""
        try:
            while (outcome := self.poll()) is None:
                time.sleep(_POLL_SECONDS)
            return outcome
        except BaseException:
            self.end()
            self._process.wait()
            raise

    def _sentence(self) -> str:
        """Why it failed, from the last lines that it printed."""
        with contextlib.suppress(OSError):
            lines = [line for line in read_tail(Path(self.job.log), self._begin).splitlines() if line.strip()]
            for line in reversed(lines):
                for beginning in _SENTENCES:
                    if line.startswith(beginning):
                        return printable(line.removeprefix(beginning))
            if lines:
                return printable(f"{lines[-1].strip()} ({self.job.log})")
        return f"no reason was printed: see {self.job.log}"


def _variables(threads: int) -> dict[str, str]:
    """The environment variables of a trial: its threads, and the Joule of this process where it is a checkout."""
    found = {**os.environ, **dict.fromkeys(VARIABLES, str(threads))}
    if (_CHECKOUT / "pyproject.toml").exists():
        found["PYTHONPATH"] = os.pathsep.join(filter(None, [found.get("PYTHONPATH", ""), str(_CHECKOUT)]))
    return found


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
