"""Threads: the variables are set before NumPy is imported, and every way in sets torch's threads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import ROOT, run_python

from joule import threads

WATCHED = """
import builtins, json, os, sys

imported, found = builtins.__import__, {}

def watching(name, *given, **named):
    if name.partition(".")[0] == "numpy" and "numpy" not in sys.modules and not found:
        found.update({name: os.environ.get(name) for name in %r})
    return imported(name, *given, **named)

builtins.__import__ = watching
from joule.cli.main import dispatch
try:
    dispatch(json.loads(sys.argv[1]))
finally:
    import torch
    print(json.dumps([found, torch.get_num_threads()]))
"""
"""Runs a command, and prints the variables at the first import of NumPy and torch's threads at the end."""


def observed(arguments: list[str], folder: Path, **variables: str) -> tuple[dict[str, str | None], int]:
    """The variables when NumPy was first imported, and torch's threads."""
    paths = f"{ROOT}:{ROOT / 'tests' / 'support'}"
    unset = dict.fromkeys(threads.VARIABLES, "")
    program = f"import os\nfor n in {list(threads.VARIABLES)!r}:\n    os.environ[n] or os.environ.pop(n)\n"
    done = run_python(
        ["-c", program + WATCHED % (threads.VARIABLES,), json.dumps(arguments)],
        folder,
        {**unset, **variables, "PYTHONPATH": paths, "XDG_STATE_HOME": str(folder / "state")},
    )
    assert done.returncode == 0, done.stderr
    found, count = json.loads(done.stdout.splitlines()[-1])
    return found, count


POINT = ["--env", "tiny_env:joule-tests/Point-v0", "--steps", "30", "--eval-episodes", "1", "--no-video"]


def test_every_command_sets_its_threads_before_numpy_is_imported(tmp_path: Path) -> None:
    train = ["train", *POINT, "--agent", "zero", "--threads", "2", "--out", "run"]
    assert observed(train, tmp_path) == (dict.fromkeys(threads.VARIABLES, "2"), 2)
    for command in (["evaluate", "run", "--episodes", "1"], ["train", "--resume", "run", "--steps", "60"]):
        assert observed(command, tmp_path) == (dict.fromkeys(threads.VARIABLES, "2"), 2)
    found, count = observed(["evaluate", "run", "--episodes", "1"], tmp_path, OMP_NUM_THREADS="3")
    assert (found["OMP_NUM_THREADS"], found["OPENBLAS_NUM_THREADS"], count) == ("3", None, 2)


@pytest.mark.parametrize(
    "call",
    [
        "joule.make('zero', env='InvertedPendulum-v5', threads=3)",
        "joule.load('run', settings={'threads': 3})",
        "joule.train(agent='zero', env='InvertedPendulum-v5', threads=3, steps=20, eval_episodes=1, video=False)",
    ],
)
def test_every_way_in_from_python_sets_torch_threads(call: str, tmp_path: Path) -> None:
    program = "import joule\njoule.make('zero', env='InvertedPendulum-v5').save('run')\n"
    program += f"{call}\nimport torch\nprint(torch.get_num_threads())"
    done = run_python(["-c", program], tmp_path, {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "3"


def test_the_threads_of_a_run_are_read_without_opening_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"threads": 4}')
    (tmp_path / "checkpoints/step-5").mkdir(parents=True)
    assert threads.of_run(tmp_path) == 4
    assert threads.of_run(tmp_path / "checkpoints/step-5") == 4
    (tmp_path / "config.json").write_text('{"threads": "many"}')
    assert threads.of_run(tmp_path) == 1
    assert threads.of_run(tmp_path / "nowhere") == 1
