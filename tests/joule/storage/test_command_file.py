"""`sh command.txt` makes a run again, in the folder in which it was started."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from agent.configurator.settings import Config
from joule.cli.command_line import command_words
from joule.commands import train
from joule.storage.run_folder import Run

ROOT = Path(__file__).parents[3]
ODD_ARGUMENTS = [
    "--env-kwargs", '{"text": "it\'s $HOME; \\"quoted\\" `ls` *", "number": [1.5, null]}',
    "--out", "a folder/run 1", "", "two\nlines", "größe", "-x=\\", "#not a comment", "~", "%d!",
]  # fmt: skip


def shell(path: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(path)], cwd=folder, capture_output=True, text=True, check=True, timeout=300
    )


def test_a_shell_reads_every_argument_as_it_was_given(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))"]
    run = Run.create(tmp_path / "run", Config(), [*program, *ODD_ARGUMENTS], {})
    assert json.loads(shell(run.folder / "command.txt", tmp_path).stdout) == ODD_ARGUMENTS


def test_a_run_made_from_python_has_no_command(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Config(), [], {})
    assert sorted(p.name for p in run.folder.iterdir()) == ["config.json", "run.json", "versions.json"]


@pytest.mark.slow
def test_a_trained_run_is_made_again_by_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    script = os.path.relpath(ROOT / "train.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script])
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, script])
    arguments = ["--agent", "random", "--env", "InvertedPendulum-v5", "--steps", "40",
                 "--env-kwargs", '{"reset_noise_scale": 0.05}', "--max-episode-frames", "20",
                 "--eval-episodes", "1", "--no-video", "--out", "a folder/it's run 1"]  # fmt: skip
    assert train.main(arguments) == 0
    first = (folder / "it's run 1").rename(folder / "first")
    shell(first / "command.txt", tmp_path)
    again = folder / "it's run 1"
    for name in ("config.json", "command.txt", "metrics.csv"):
        assert (again / name).read_bytes() == (first / name).read_bytes()
    assert json.loads((again / "config.json").read_text())["env_kwargs"] == {"reset_noise_scale": 0.05}


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("a checkout/evaluate.py", "python3 'a checkout/train.py' --seed 3"),
        ("train.py", "python3 -m joule train --seed 3"),  # a script of the user's
        ("/somewhere/bin/joule", "/somewhere/bin/joule train --seed 3"),
        ("/somewhere/joule/__main__.py", "python3 -m joule train --seed 3"),
        ("/somewhere/bin/pytest", "python3 -m joule train --seed 3"),
        ("", "python3 -m joule train --seed 3"),
    ],
)
def test_a_command_has_the_form_in_which_the_process_was_started(
    program: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a checkout").symlink_to(ROOT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [program, "anything"])
    monkeypatch.setattr(sys, "orig_argv", ["python3", program])
    assert shlex.join(command_words("train", ["--seed", "3"])) == expected


def test_an_installed_command_is_named_without_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "joule"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(program), "train"])
    assert command_words("evaluate", ["RUN"]) == ["joule", "evaluate", "RUN"]
