"""Commands as a user types them: in a process of their own, with what they print and how long they take.

A process that imports torch takes seconds of CPU for that alone, so most tests fork this one instead.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, NoReturn

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


def run_forked(name: str, arguments: Sequence[str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """`python <name>.py <arguments>` in a folder, by a fork of this process."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _become(name, arguments, folder, out, err)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        printed = []
        for stream in (out, err):
            stream.seek(0)
            printed.append(stream.read().decode())
    return subprocess.CompletedProcess([name, *arguments], code, *printed)


def _become(name: str, arguments: Sequence[str], folder: Path, out: IO[bytes], err: IO[bytes]) -> NoReturn:
    """Runs a command in this child, as its script does, and ends the child."""
    code: object = 70
    try:
        for number, stream in ((1, out), (2, err)):
            os.dup2(stream.fileno(), number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", 1) for number in (1, 2))
        os.chdir(folder)
        sys.argv = [f"{name}.py", *arguments]
        from joule.cli.main import run_process

        run_process(import_module(f"joule.commands.{name}").main)
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001  as the interpreter does
        traceback.print_exc()
        code = 1
    finally:  # the child must never return into the tests
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


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
    refused = run_forked(name, arguments)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert sentence in refused.stderr
