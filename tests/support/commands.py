"""Commands as a user types them: in a process of their own, with what they print and how long they take."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python <name>.py <arguments>` in the root of the checkout."""
    return run_python([f"{name}.py", *arguments], ROOT)


def run_python(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`python <arguments>` in a folder.

    Args:
        arguments: of the interpreter.
        folder: the current directory.
        environment: variables beside those of this process.
    """
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


def assert_help_is_instant(name: str, option: str) -> None:
    """`--help` shows `option` and takes less than half a second of CPU."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = run_script(name, "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert shown.returncode == 0
    assert option in shown.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def assert_refused(name: str, arguments: Sequence[str], sentence: str) -> None:
    """Exit code 2, and a single line on stderr that contains `sentence`."""
    refused = run_script(name, *arguments)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert sentence in refused.stderr
