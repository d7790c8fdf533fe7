"""A sweep on this machine: what is trained, what is resumed, what fails, and how it ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from envs.faults.errors import EnvError
from joule.cli import signals
from joule.commands import sweep
from joule.sweeping.display import Display
from joule.sweeping.local import LocalProcesses
from joule.sweeping.node import TrialProcess
from joule.sweeping.plan import Plan
from joule.sweeping.progress import Standings
from joule.sweeping.session import Listed, Sweep
from joule.sweeping.trials import StoredTrial, grid_trials, make_storage

pytestmark = pytest.mark.usefixtures("fake_trials")


def trials_of(storage: Path, *envs: str, seeds: Sequence[int] = (1,)) -> list[StoredTrial]:
    plan = Plan(("zero",), envs, tuple(seeds), settings={"steps": 100})
    return grid_trials(plan, make_storage(storage))[0]


def run(trials: Sequence[StoredTrial], workers: int = 2) -> tuple[Sweep, dict[str, str]]:
    """The sweep, and the state of each trial by its environment and seed."""
    standings = Standings()
    with LocalProcesses(workers) as backend, Display(standings) as display:
        found = Sweep(Listed(trials), backend, display, standings)
        found.run()
    return found, {f"{s.trial.folder.name.rsplit('-', 1)[0]}": s.state for s in standings.all()}


def when(met: Callable[[], object], act: Callable[[], object]) -> threading.Thread:
    """Does something once a condition is met."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not met() and time.monotonic() < deadline:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def command(storage: Path, *words: str) -> int:
    return sweep.main(["--agents", "zero", "--steps", "100", "--storage", str(storage), *words])


def test_a_trial_that_fails_says_why_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--envs", "refused-v0", "A-v0", "stopped-v0", "--seeds", "1", "2", "--workers", "2"]
    assert command(tmp_path, *words) == 1
    printed = capsys.readouterr().out
    assert "failed: zero refused-v0 seed 1: unknown environment id 'refused-v0'\n" in printed
    assert "failed: zero stopped-v0 seed 2: a loss is not finite\n" in printed
    assert "done: zero A-v0 seed 2, return 102.0 at 100 frames\n" in printed
    found = {path.relative_to(tmp_path / "results") for path in tmp_path.rglob("seed*.csv")}
    assert {path.parts[1:] for path in found} == {("zero", "A-v0", f"seed{seed}.csv") for seed in (1, 2)}
    assert all((tmp_path / "results" / path).read_text().count("\n") == 11 for path in found)


def test_given_again_only_what_is_not_finished_is_trained(tmp_path: Path) -> None:
    first = trials_of(tmp_path, "A-v0")
    assert run(first)[1] == {"zero-A-v0-seed1": "done"}
    states = run(trials_of(tmp_path, "A-v0", "B-v0"))[1]
    assert states == {"zero-A-v0-seed1": "done", "zero-B-v0-seed1": "done"}
    assert first[0].log.read_text().count("--- ") == 1, "it was not started again"


def test_a_signal_ends_the_trials_after_their_checkpoints_and_they_are_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trials = trials_of(tmp_path, "slow-v0", seeds=(1, 2, 3))
    words = ["--envs", "slow-v0", "--seeds", "1", "2", "3", "--workers", "2"]
    running = [trial.folder / "evaluations.csv" for trial in trials[:2]]
    ending = when(lambda: all(map(os.path.exists, running)), lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert command(tmp_path, *words) == 143
    ending.join()
    printed = capsys.readouterr().out
    assert "stopped; continue with: " in printed
    assert " sweep --agents zero --steps 100 " in printed
    states = [line.split()[4] for line in printed.splitlines() if line.startswith("zero slow-v0 seed")]
    assert states == ["interrupted", "interrupted", "waiting"]
    (tmp_path / "go").write_text("")
    assert command(tmp_path, *words) == 0
    for trial in trials[:2]:
        assert trial.log.read_text().count("resumed: slow-v0") == 1
        assert trial.result.read_text().count("\n") == 11
    assert "new: slow-v0" in trials[2].log.read_text()


def test_a_second_ctrl_c_ends_the_trials_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (trial,) = trials_of(tmp_path, "slow-v0")
    monkeypatch.setattr(LocalProcesses, "stop", lambda self: None)  # a trial that does not end

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    ending = when((trial.folder / "evaluations.csv").exists, twice)
    with pytest.raises(signals.Ended) as ended:
        run([trial])
    ending.join()
    assert ended.value.exit_code == 130


def test_a_process_whose_parent_is_gone_ends_after_its_checkpoint(tmp_path: Path) -> None:
    (trial,) = trials_of(tmp_path, "slow-v0")
    child = os.fork()
    if child == 0:  # a sweep that is killed
        TrialProcess(trial.job(), own_session=True)
        time.sleep(60)
        os._exit(0)
    when((trial.folder / "evaluations.csv").exists, lambda: os.kill(child, signal.SIGKILL)).join()
    os.waitpid(child, 0)
    deadline = time.monotonic() + 30
    while "stopped" not in trial.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "stopped; continue with" in trial.log.read_text()
    (tmp_path / "go").write_text("")
    assert run([trial])[1] == {"zero-slow-v0-seed1": "done"}


def test_a_killed_trial_is_interrupted_and_not_done(tmp_path: Path) -> None:
    (trial,) = trials_of(tmp_path, "slow-v0")
    process = TrialProcess(trial.job())
    when((trial.folder / "evaluations.csv").exists, process.kill).join()
    outcome = process.wait()
    assert (outcome.state, outcome.code, outcome.sentence) == ("interrupted", 137, "ended by SIGKILL")


def test_only_ids_that_need_no_import_are_refused_before_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    sweep.check_envs(["none", "tiny_env:joule-tests/Point-v0", "HalfCheetah-v5"])
    with pytest.raises(EnvError, match="unknown environment id 'HalfCheetah-v6'"):
        sweep.check_envs(["HalfCheetah-v6"])
