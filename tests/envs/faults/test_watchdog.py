"""The watchdog: a call that does not return ends its process, and a slow call does not."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import weakref

import pytest

from envs.faults.watchdog import Watchdog

SCRIPT = """
import time
from envs.faults.watchdog import WATCHDOG
WATCHDOG.begin(0.3, lambda where: "the call did not return" + where)
until = time.monotonic() + {seconds}
while time.monotonic() < until:
    time.sleep(0.01)
WATCHDOG.end()
time.sleep(0.6)
print("returned")
"""

OTHERS = """
import threading
def other():
    while True:
        WATCHDOG.begin(60.0, lambda where: "another call" + where)
        time.sleep(0.01)
        WATCHDOG.end()
threading.Thread(target=other, daemon=True).start()
"""
"""Another thread, whose calls all return."""


@pytest.mark.parametrize("others", ["", OTHERS])
@pytest.mark.parametrize(("seconds", "returns"), [(0.05, True), (60.0, False)])
def test_a_call_that_does_not_return_ends_the_process(seconds: float, returns: bool, others: str) -> None:
    script = SCRIPT.format(seconds=seconds).replace("WATCHDOG.begin(0.3", f"{others}WATCHDOG.begin(0.3", 1)
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == (0 if returns else 1)
    assert result.stdout.strip() == ("returned" if returns else "")
    assert result.stderr.startswith("" if returns else "stopped: the call did not return, at <string>:")


def test_an_environment_is_not_held_between_two_looks() -> None:
    class Described:
        def __call__(self, where: str) -> str:
            return where

    watchdog, describe = Watchdog(), Described()
    reference = weakref.ref(describe)
    watchdog.begin(60.0, describe)
    time.sleep(0.1)  # the first look is at once, the next a second later
    watchdog.end()
    del describe
    gc.collect()
    assert reference() is None
