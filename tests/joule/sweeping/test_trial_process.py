"""The process of a trial: whether it begins or resumes a run, and that it does not outlive its parent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from commands import ROOT

from joule.storage.run_lock import RunLock
from joule.sweeping.job import Job
from joule.sweeping.trial_process import arguments, wait_for_lock


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(str(tmp_path / "run"), str(tmp_path / "log"), ("--steps=5",), ("--steps=6",))


def test_a_folder_that_is_a_run_is_resumed_and_what_a_kill_left_is_removed(job: Job) -> None:
    new, resumed = ["train", "--out", job.folder, "--steps=5"], ["train", "--resume", job.folder, "--steps=6"]
    assert arguments(job.to_json()) == new
    folder = Path(job.folder)
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / ".tmp-1-run.json").write_text("")
    assert arguments(job.to_json()) == new
    assert not folder.exists(), "train takes a folder that is missing or empty"
    folder.mkdir()
    (folder / "thesis.txt").write_text("")
    assert arguments(job.to_json()) == new
    assert (folder / "thesis.txt").exists(), "train refuses the folder"
    (folder / "run.json").write_text("{}")
    assert arguments(job.to_json()) == resumed


def test_it_waits_until_an_earlier_process_has_left_the_folder(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    threading.Timer(0.6, lock.release).start()
    begin = time.monotonic()
    wait_for_lock(tmp_path)
    assert 0.4 < time.monotonic() - begin < 30
    lock = RunLock(tmp_path)
    wait_for_lock(tmp_path, seconds=0.1)
    lock.release()


def test_it_ends_with_its_parent() -> None:
    program = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\n"
        "from joule.sweeping.trial_process import end_with_parent\n"
        "end_with_parent(); print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.close()  # as the system does when the parent dies
    assert process.wait(timeout=30) == -15
    process.stdout.close()


def test_train_ends_the_process_with_its_sentence_and_code(job: Job, tmp_path: Path) -> None:
    script = ROOT / "joule" / "sweeping" / "trial_process.py"
    text = json.dumps({**vars(job), "new": ["--stps=5"]})
    reader, writer = os.pipe()  # closed at the end alone
    done = subprocess.run(
        [sys.executable, str(script), text], stdin=reader, capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(reader)
    os.close(writer)
    assert (done.returncode, done.stderr) == (2, "error: unknown option --stps; did you mean --steps?\n")
