"""The process of one trial: the command `train`, for a new run or a resumed one.

It is started as `python trial_process.py JOB`, where JOB is the JSON of a `Job`. Its stdin is a pipe from the
process that started it. When this pipe is closed, the other process is gone, and the trial ends as by SIGTERM:
after a checkpoint. So a sweep that is killed leaves no process behind that trains on alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

LOCK_SECONDS = 60.0
"""How long the end of an earlier process in the same folder is waited for: it may still write its checkpoint."""


def end_with_parent() -> None:
    """Starts the thread that ends this process as by SIGTERM once the process that started it is gone."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def arguments(text: str) -> list[str]:
    """The arguments of `joule` that train a job: a new run, or one that is resumed.

    Args:
        text: the JSON of the job.
    """
    from joule.storage.links import RUN_FILE
    from joule.sweeping.job import Job

    job = Job.from_json(text)
    folder = Path(job.folder)
    if os.path.lexists(folder / RUN_FILE):
        wait_for_lock(folder)
        return ["train", "--resume", job.folder, *job.resumed]
    remove_remains(folder)
    return ["train", "--out", job.folder, *job.new]


def wait_for_lock(folder: Path, seconds: float = LOCK_SECONDS) -> None:
    """Waits for a time until no other process has the run. After it, `train` says which one has it.

    Args:
        folder: the run folder.
        seconds: how long.
    """
    from joule.storage.errors import RunError, RunInUse
    from joule.storage.run_lock import RunLock

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            RunLock(folder).release()
        except RunInUse:
            time.sleep(0.5)
        except RunError:
            return
        else:
            return


def remove_remains(folder: Path) -> None:
    """Removes a folder whose process was killed before the folder was a run. Any other folder stays."""
    from joule.storage.files import DISK
    from joule.storage.run_entries import left_before_record

    if folder.is_dir() and not folder.is_symlink() and left_before_record(folder):
        DISK.remove(folder)


def main(given: Sequence[str]) -> int:
    """Trains the job that the only argument describes. Returns the exit code of `train`, and raises as it does."""
    from joule.cli.main import dispatch

    return dispatch(arguments(given[0]))


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_with_parent()
    del sys.path[0]  # the folder of this file
    with contextlib.suppress(FileNotFoundError):  # the user's own environments come last, as in `joule train`
        sys.path.append(os.getcwd())
    from joule.cli.main import run_process

    run_process(main)
