"""Every block of code in the documentation is right: Python runs, and commands take the options that they show."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import doc_commands
import pytest
from doc_blocks import LANGUAGES, PAGES, ROOT, blocks, needed_runs, program, runs_something

EXTRAS = set(
    re.findall(
        r"^([\w-]+) = \[",
        (ROOT / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1].split("\n[tool")[0],
        re.MULTILINE,
    )
)
RUNNABLE = [page for page in PAGES if runs_something(page)]


def page_name(page: Path) -> str:
    """A page in the names of tests."""
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_blocks_are_labelled_and_parse(page: Path) -> None:
    wrong = []
    for block in blocks(page):
        if block.language not in LANGUAGES:
            wrong.append(f"{block.place}: label it with one of {', '.join(LANGUAGES)}")
        if block.language == "python":
            ast.parse(block.shortened())
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_take_their_options(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "arm.xml").touch()  # the reader's robot, which need not be read
    wrong = []
    for block in blocks(page):
        if block.file is not None:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
        if block.language != "bash":
            continue
        for text in {block.text, block.shortened()}:
            for words in doc_commands.commands(text):
                try:
                    doc_commands.check(words, EXTRAS)
                except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a parser raises is shown
                    wrong.append(f"{block.place}: {' '.join(words)}: {error!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "command",
    [
        "joule train --ste 5", "joule train --planner.kind icm", "joule trian", "pip install joule-rl[all]",
        "joule train --perturb gravty=2", "joule evaluate runs/a --episodes few",
        "python benchmarks/speed/speed.py --quik",
        "joule sweep --envs Hopper-v5 --grid learning.batch=1,2",
    ],
)  # fmt: skip
def test_a_wrong_command_is_found(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    (words,) = doc_commands.commands(f"VARIABLE=1 {command} 2> errors.txt   # a comment")
    assert " ".join(words) == command
    with pytest.raises((Exception, SystemExit)):
        doc_commands.check(words, EXTRAS)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`run_of(env)`: the folder of a small run trained in this environment, made once."""
    home = tmp_path_factory.mktemp("runs")

    def made(env: str) -> Path:
        folder = home / re.sub(r"\W", "-", env)
        if not folder.exists():
            small = ["--preset", "smoke", "--no-video", "--max-episode-frames", "200"]
            run([sys.executable, "-m", "joule", "train", "--env", env, *small, "--out", str(folder)], home)
        return folder

    return made


def run(command: list[str], folder: Path) -> None:
    """Runs a command in a folder. Fails with its output where it fails."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for name, words in (("joule", "-m joule"), ("python", "")):
        shim = programs / name
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        shim.chmod(0o755)
    variables = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PATH": f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "XDG_STATE_HOME": str(folder / "state"),
    }
    done = subprocess.run(
        command, cwd=folder, env=variables, text=True, check=False, timeout=900,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6_000:]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=page_name)
def test_the_code_of_a_page_runs(page: Path, run_of: Callable[[str], Path], tmp_path: Path) -> None:
    for folder, env in needed_runs(page).items():
        shutil.copytree(run_of(env), tmp_path / folder)
    (tmp_path / "page.py").write_text(program(page), encoding="utf-8")
    run([sys.executable, "page.py"], tmp_path)
