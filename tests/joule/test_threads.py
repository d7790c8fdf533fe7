"""Threads: the variables are set before NumPy is imported, and every way in sets torch's threads."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import tiny_env
import torch
from commands import ROOT, run_python

from joule import threads
from joule.cli.main import dispatch

WATCHED = """
import builtins, json, os, sys

imported = builtins.__import__

def watching(name, *given, **named):
    if name.partition(".")[0] == "numpy":
        print(json.dumps({name: os.environ.get(name) for name in %r}))
        raise SystemExit(0)
    return imported(name, *given, **named)

builtins.__import__ = watching
from joule.cli.main import dispatch
dispatch(json.loads(sys.argv[1]))
"""
"""Runs a command to its first import of NumPy, and prints the variables then."""


def observed(arguments: list[str], folder: Path) -> dict[str, str | None]:
    """The variables when NumPy was first imported."""
    paths = f"{ROOT}:{ROOT / 'tests' / 'support'}"
    unset = dict.fromkeys(threads.VARIABLES, "")
    program = f"import os\nfor n in {list(threads.VARIABLES)!r}:\n    os.environ[n] or os.environ.pop(n)\n"
    done = run_python(
        ["-c", program + WATCHED % (threads.VARIABLES,), json.dumps(arguments)],
        folder,
        {**unset, "PYTHONPATH": paths, "XDG_STATE_HOME": str(folder / "state")},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return found


POINT = ["--env", "tiny_env:joule-tests/Point-v0", "--steps", "30", "--eval-episodes", "1", "--no-video"]


def test_a_command_sets_its_threads_before_numpy_is_imported(tmp_path: Path) -> None:
    train = ["train", *POINT, "--agent", "zero", "--threads", "2", "--out", "run"]
    assert observed(train, tmp_path) == dict.fromkeys(threads.VARIABLES, "2")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"threads": 3}')
    assert observed(["evaluate", "run"], tmp_path) == dict.fromkeys(threads.VARIABLES, "3")


def test_every_command_asks_for_its_variables(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(Exception):
        pass

    def asked(count: int) -> None:
        raise Asked(count)

    monkeypatch.setattr(threads, "set_variables", asked)
    run = str(trained_run)
    for name, arguments in (
        ("train", ["--out", str(tmp_path / "new")]),
        ("train", ["--resume", run]),
        ("evaluate", [run]),
        ("render", [run]),
        ("explain", [run, "--step", "1"]),
        ("compare", [run]),
    ):
        with pytest.raises(Asked, match="1"):
            dispatch([name, *arguments])


def test_variables_of_the_users_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    threads.set_variables(1)
    assert {name: os.environ.get(name) for name in threads.VARIABLES} == {
        **dict.fromkeys(threads.VARIABLES),
        "OMP_NUM_THREADS": "3",
    }


def test_every_way_in_sets_torch_threads(tmp_path: Path) -> None:
    import joule

    before = torch.get_num_threads()
    try:
        joule.make("zero", env=tiny_env.ID, threads=3).save(tmp_path / "run")
        assert torch.get_num_threads() == 3
        joule.load(tmp_path / "run", settings={"threads": 2})
        assert torch.get_num_threads() == 2
        brief: dict[str, Any] = {"steps": 20, "eval_episodes": 1, "video": False}
        joule.train(agent="zero", env=tiny_env.ID, threads=4, out=tmp_path / "new", **brief)
        assert torch.get_num_threads() == 4
        command = ["train", *POINT, "--agent", "zero", "--threads", "3", "--out", str(tmp_path / "typed")]
        assert dispatch(command) == 0
        assert torch.get_num_threads() == 3
        assert dispatch(["evaluate", str(tmp_path / "new"), "--episodes", "1"]) == 0
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_the_threads_of_a_run_are_read_without_opening_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"threads": 4}')
    (tmp_path / "checkpoints/step-5").mkdir(parents=True)
    assert threads.of_run(tmp_path) == 4
    assert threads.of_run(tmp_path / "checkpoints/step-5") == 4
    (tmp_path / "config.json").write_text('{"threads": "many"}')
    assert threads.of_run(tmp_path) == 1
    assert threads.of_run(tmp_path / "nowhere") == 1
