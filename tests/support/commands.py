"""The doors as a user types them: a process of their own, what it says and what it costs."""

import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python <name>.py <arguments>` from the root of the project."""
    command = [sys.executable, f"{name}.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def assert_help_is_instant(name: str, option: str) -> None:
    """--help names `option` and takes under half a second of CPU."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = run_script(name, "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert shown.returncode == 0
    assert option in shown.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def assert_refused(name: str, arguments: list[str], sentence: str) -> None:
    """Exit code 2, and one line on stderr alone that holds `sentence`."""
    refused = run_script(name, *arguments)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert sentence in refused.stderr
