"""The command `joule` and `python -m joule`: the commands, their exit codes, and the import path."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import ROOT, run_python

from agent.errors import ConfigError, StopRun
from joule.__main__ import put_current_directory_last
from joule.cli.main import COMMANDS, dispatch, run_command


def test_help_lists_the_commands_at_once(tmp_path: Path) -> None:
    before = os.times()
    done = run_python(["-m", "joule", "--help"], tmp_path, {"PYTHONPATH": str(ROOT)})
    after = os.times()
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {sys.executable} -m joule COMMAND")
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["trian"], "error: unknown command trian; did you mean train?\n"),
        (
            ["jump"],
            "error: unknown command jump; there are demo, train, evaluate, render, explain, compare, export, play, "
            "push, pull, sweep\n",
        ),
        (["train", "--stps", "3"], "error: unknown option --stps; did you mean --steps?\n"),
        (
            ["train", "--env", "Pendulum-v1", "--eval-episodes=0"],
            "error: --eval-episodes: 0 is outside 1 to 10,000\n",
        ),
        (["evaluate", "nowhere"], "error: nowhere: does not exist; joule train --out nowhere makes one\n"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command(dispatch, arguments)
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", sentence)


def test_every_command_has_a_module_with_a_parser(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            dispatch([name, "--help"])
        assert ended.value.code == 0
        assert f"joule {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "printed"),
    [
        (ConfigError("steps: 0 is too few"), 2, "error: steps: 0 is too few\n"),
        (StopRun("a loss is not finite"), 1, "stopped: a loss is not finite\n"),
        (MemoryError(), 1, "stopped: memory is short\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_is_a_sentence_and_an_exit_code(
    error: BaseException, code: int, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(arguments: Sequence[str]) -> int:
        raise error

    with pytest.raises(SystemExit) as ended:
        run_command(failing, [])
    assert ended.value.code == code
    assert capsys.readouterr().err == printed


def test_debug_shows_the_traceback_and_a_defect_keeps_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    def refusing(arguments: Sequence[str]) -> int:
        raise ConfigError("steps: 0 is too few")

    def broken(arguments: Sequence[str]) -> int:
        return 1 // 0

    with pytest.raises(SystemExit):
        run_command(refusing, ["--debug"])
    assert "Traceback" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        run_command(broken, [])


def test_the_current_directory_goes_to_the_end_of_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for first in ("", str(tmp_path), "."):
        monkeypatch.setattr(sys, "path", [first, "/a", "/b"])
        put_current_directory_last()
        assert sys.path == ["/a", "/b", str(tmp_path)]
    monkeypatch.setattr(sys, "path", ["/a"])
    put_current_directory_last()
    assert sys.path == ["/a"], "a directory that was not on the path is not added"


def test_joules_own_checkout_stays_ahead_of_another_installed_joule(monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(ROOT)
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "path", [root, "/another"])
    put_current_directory_last()
    assert sys.path == [root, "/another"]
