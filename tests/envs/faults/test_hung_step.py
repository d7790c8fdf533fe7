"""A step of an environment that does not return ends the process, unless the process itself was stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = """
import sys, time
sys.path.insert(0, {support!r})
import envs, numpy as np, tiny_env
env = envs.make(tiny_env.ID, step_timeout_seconds=0.4)
env.reset(seed=3)
env.step(np.zeros(1))
def step(action):
    print("in the step", flush=True)
    while {condition}: time.sleep(0.01)
    return real(action)
real, tiny_env.Point.step = tiny_env.Point.step.__get__(env.unwrapped), lambda self, action: step(action)
env.step(np.zeros(1))
print("returned")
"""


def stepping_while(condition: str) -> subprocess.Popen[str]:
    """A process whose second step returns once `condition` is false."""
    script = SCRIPT.format(support=str(ROOT / "tests" / "support"), condition=condition)
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", script], stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


def test_a_step_that_does_not_return_ends_the_process_and_is_named() -> None:
    process = stepping_while("True")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    where = "joule-tests/Point-v0 failed at episode 0, step 2 (seed 3, action [0.])"
    assert f"{where}: step did not return" in errors
    assert "at <string>:" in errors


@pytest.mark.slow
def test_the_time_in_which_the_process_is_stopped_does_not_count() -> None:
    process = stepping_while("not time.sleep(0.2) and False")
    assert process.stdout is not None
    assert process.stdout.readline() == "in the step\n"
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(process.pid, signal.SIGCONT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (0, "returned\n", "")
