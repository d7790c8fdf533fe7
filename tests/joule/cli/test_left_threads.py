"""A command ends although a thread or a child process is left that does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import multiprocessing, sys, threading, time
from joule.cli import left_threads
left_threads.GRACE_SECONDS = 0.3
wait = lambda: time.sleep({seconds})
{start}(target=wait, name="viewer"{more}).start()
left_threads.limit_wait(3)
sys.exit(3)
"""
PROCESS = "multiprocessing.get_context('fork').Process"


@pytest.mark.parametrize(
    ("start", "seconds", "more", "told"),
    [
        ("threading.Thread", 60, "", True),
        (PROCESS, 60, "", True),
        ("threading.Thread", 60, ", daemon=True", False),
        ("threading.Thread", 0.05, "", False),
    ],
)
def test_what_is_left_does_not_keep_a_command(start: str, seconds: float, more: str, told: bool) -> None:
    script = SCRIPT.format(start=start, seconds=seconds, more=more)
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    words = "the process ends without threads or processes that do not end: viewer\n"
    assert (ended.returncode, ended.stderr) == (3, words if told else "")
