"""One process at a time has a run folder, and the lock of a dead process is free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from run_files import make_run

from joule.storage.errors import RunError
from joule.storage.run_folder import Run

ROOT = Path(__file__).parents[3]


HOLDER = """
import os, sys, time
from joule.storage.run_folder import Run
run = Run.open(sys.argv[1]).lock()
if os.fork() == 0:
    time.sleep(60)  # a worker that runs on after its parent was killed
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_a_second_process_is_refused_and_the_lock_of_a_dead_one_is_free(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run.folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert holder.stdout is not None
    try:
        assert int(holder.stdout.readline()) == holder.pid
        with pytest.raises(RunError, match=f"in use by process {holder.pid}"):
            run.lock()
        (run.folder / ".tmp-12345-metrics.csv").touch()
        (run.folder / ".tmp-12345-forecasts.csv").touch()
        (run.folder / "checkpoints/.tmp-12345-500").mkdir(parents=True)
        holder.kill()
        holder.wait()
        with run.lock(), pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
            Run.open(run.folder).lock()
        assert not list(run.folder.rglob(".tmp-*"))
        Run.open(run.folder).lock().close()
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
