"""Closed streams, full disks, removed folders and odd words: a command works, or says one sentence."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT

from agent.errors import ConfigError
from joule.cli.command_line import shell_line
from joule.cli.parser import Parser


def shell(line: str, folder: Path) -> tuple[int, str, str]:
    """Exit code of the first command, stdout and stderr of a line of bash; `$train` is the script."""
    train = f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT / 'train.py'))}"
    command = f"train={shlex.quote(train)}\n{line}\nexit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_help_where_stdout_is_closed_full_or_left(tmp_path: Path) -> None:
    assert shell("$train --help <&- >&- 2>&-", tmp_path) == (0, "", "")
    full = "stopped: the output cannot be written: No space left on device\n"
    assert shell("$train --help > /dev/full", tmp_path) == (1, "", full)
    assert shell("$train --help | head -0", tmp_path) == (0, "", "")


def test_a_mistake_where_stderr_is_full_or_the_current_directory_was_removed(tmp_path: Path) -> None:
    assert shell("$train --stps 3 2> /dev/full", tmp_path)[0] == 2
    gone = tmp_path / "gone"
    gone.mkdir()
    code, out, err = shell('rmdir "$PWD"\n$train --agent zero --out /tmp', gone)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: the current directory cannot be used (No such file or directory)")


def test_a_printed_command_can_be_pasted() -> None:
    words = ["a b", "it's", "caf\udce9", "new\nline", "\x1b[31m", "é", "back\\slash\n"]
    line = shell_line(["printf", r"%s\0", *words])
    assert line.isprintable()
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]] == words


def test_a_path_that_no_file_system_takes_is_refused() -> None:
    parser = Parser(prog="train.py")
    parser.add_argument("--out", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    for arguments in (["--out", "a" * 300], ["run", "a" * 300]):
        with pytest.raises(ConfigError, match="File name too long"):
            parser.parse(arguments)
    assert parser.parse(["none/at/all"]).runs == [Path("none/at/all")]
