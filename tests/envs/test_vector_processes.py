"""The processes of environments end with their program, in silence, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, time
from functools import partial
import numpy as np
import envs
from envs.vector import SafeEnvs

if __name__ == "__main__":
    several = SafeEnvs([partial(envs.make, "counter_env:Counter-v0")] * 2, "async")
    several.reset({0: 1, 1: 2})
    several.step(np.zeros((2, 1), np.float32))
    print(*[process.pid for process in several.vector.processes], flush=True)
    if sys.argv[1] == "wait":
        time.sleep(120)
"""


def program(tmp_path: Path, argument: str) -> subprocess.Popen[str]:
    """A program that holds two environments, and returns or waits."""
    script = tmp_path / "program.py"
    script.write_text(SCRIPT)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, str(script), argument],
        stdout=pipe, stderr=pipe, text=True, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
def test_a_program_that_never_closes_its_environments_ends(tmp_path: Path) -> None:
    process = program(tmp_path, "return")
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert not any(alive(int(number)) for number in output.split())


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_process_outlives_a_program_that_was_killed(tmp_path: Path) -> None:
    process = program(tmp_path, "wait")
    assert process.stdout is not None
    numbers = [int(number) for number in process.stdout.readline().split()]
    assert all(map(alive, numbers))
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    end = time.monotonic() + 30
    while any(map(alive, numbers)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(alive, numbers))
    assert "Traceback" not in errors
