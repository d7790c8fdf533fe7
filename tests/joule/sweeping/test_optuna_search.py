"""A search with Optuna: as many candidates as asked for, scored over seeds, and resumed where it was stopped."""

from __future__ import annotations

import csv
import errno
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import ConfigError
from joule.sweeping.candidates import report, searching_alone, tasks_of, write_table
from joule.sweeping.display import Display
from joule.sweeping.grid import Grid, Range
from joule.sweeping.job import Outcome
from joule.sweeping.local import LocalProcesses
from joule.sweeping.plan import Plan
from joule.sweeping.progress import Standings
from joule.sweeping.session import Sweep
from joule.sweeping.trial import Trial
from joule.sweeping.trials import make_storage
from joule_errors import Refused, Stopped

pytest.importorskip("optuna", reason="Optuna is not installed: the extra `search`")

from joule.sweeping.optuna_search import JOURNAL, OptunaSearch

pytestmark = pytest.mark.usefixtures("fake_trials")


ROOT = Path(__file__).parents[3]


def plan_of(candidates: int, env: str = "A-v0") -> Plan:
    grid: Grid = {
        "learning.batch_size": Range(8, 64, whole=True, log=True), "planner.kind": ("mppi", "icem"),
    }  # fmt: skip
    return Plan(("joule",), (env,), (1, 2), settings={"steps": 100}, grid=grid, search=candidates)


def searched(plan: Plan, storage: Path, stop: int | None = None) -> OptunaSearch:
    """The search after its end; `stop` ends it when so many trials have ended."""
    source = OptunaSearch(tasks_of(plan, make_storage(storage)), storage, workers=2)
    standings = Standings()
    with LocalProcesses(2) as backend, Display(standings) as display:
        sweep = Sweep(source, backend, display, standings)
        ended = source.ended

        def counted(trial: Trial, outcome: Outcome) -> None:
            ended(trial, outcome)
            if stop is not None and len(standings.of_state("done")) >= stop:
                sweep.stop(15)

        source.ended = counted  # type: ignore[method-assign]
        sweep.run()
    return source


def test_the_best_candidate_is_that_of_the_best_mean_over_seeds(tmp_path: Path) -> None:
    plan = plan_of(5)
    (study,) = searched(plan, tmp_path).studies
    assert study.drawn == 5
    (task,) = tasks_of(plan, tmp_path)
    said = report(task, study.settings)
    with task.table.open() as file:
        rows = list(csv.DictReader(file))
    largest = max(settings["learning.batch_size"] for settings in study.settings)
    assert rows[0]["learning.batch_size"] == str(largest)
    assert float(rows[0]["return_mean"]) == 100 * largest + 1.5, "the last evaluation, over seeds 1 and 2"
    assert f"--learning.batch-size={largest}" in said
    assert study.best == float(rows[0]["return_mean"])


def test_a_search_that_was_stopped_goes_on_with_its_candidates(tmp_path: Path) -> None:
    before = searched(plan_of(6), tmp_path, stop=3).studies[0]
    assert 2 <= before.drawn < 6
    after = searched(plan_of(6), tmp_path).studies[0]
    assert after.drawn == 6
    assert after.settings[: before.drawn] == before.settings
    assert len({str(settings) for settings in after.settings}) > before.drawn, "new ones were drawn"
    logs = [path.read_text().count("--- ") for path in (tmp_path / "logs").iterdir()]
    assert max(logs) <= 2
    more = searched(plan_of(7), tmp_path).studies[0]
    assert more.drawn == 7


def test_a_search_goes_on_with_settings_that_change_no_result(tmp_path: Path) -> None:
    (before,) = searched(plan_of(2), tmp_path).studies
    plan = plan_of(2)
    more = {**plan.settings, "video": True, "checkpoint_every_frames": 7}
    (after,) = searched(replace(plan, settings=more), tmp_path).studies
    assert (after.task.name, after.settings) == (before.task.name, before.settings)


def test_a_range_that_ends_beyond_its_setting_is_refused(tmp_path: Path) -> None:
    grid = {"learning.batch_size": Range(4, 64, whole=True, log=False)}
    with pytest.raises(ConfigError, match=r"--grid: learning.batch_size: 4 is outside 8 to 65,536"):
        tasks_of(Plan(grid=grid, search=2), tmp_path)
    with pytest.raises(ConfigError, match="sac uses none of the settings that vary"):
        tasks_of(Plan(agents=("joule", "sac"), grid={"learning.batch_size": (8, 16)}, search=2), tmp_path)


def test_updates_a_decision_are_whole_for_baselines_and_a_fraction_for_joule(tmp_path: Path) -> None:
    grid = {"learning.utd": Range(1.0, 4.0, whole=False, log=False)}
    of_joule, of_sac = tasks_of(Plan(agents=("joule", "sac"), grid=grid, search=2), tmp_path)
    assert (of_joule.space, of_sac.space["learning.utd"]) == (grid, Range(1, 4, whole=True, log=False))
    fraction = {"learning.utd": Range(0.5, 4.0, whole=False, log=False)}
    with pytest.raises(ConfigError, match="sac takes whole numbers alone"):
        tasks_of(Plan(agents=("sac",), grid=fraction, search=2), tmp_path)


def test_the_best_candidate_is_named_as_a_shell_takes_it(tmp_path: Path) -> None:
    (checked,) = tasks_of(plan_of(2), make_storage(tmp_path))
    grid: Grid = {"env_kwargs": ({"size": 1}, {"size": 2})}  # the only setting whose values are objects
    task = replace(checked, plan=replace(checked.plan, grid=grid))
    write_table(task, [(1.0, {"env_kwargs": {"size": 2}})])
    (row,) = csv.DictReader(task.table.open())
    assert json.loads(row["env_kwargs"]) == {"size": 2}


def test_a_candidate_that_failed_is_begun_again_by_the_same_command(tmp_path: Path) -> None:
    plan = plan_of(2, "stopped-v0")
    before = searched(plan, tmp_path).studies[0]
    again = OptunaSearch(tasks_of(plan, tmp_path), tmp_path, workers=2)
    assert (again.studies[0].drawn, again.studies[0].left) == (2, 2)
    assert {trial.name for trial in again.due(0)} == {
        trial.name for trial in before.task.trials(before.settings[0])
    }


def test_a_draw_that_was_interrupted_counts_for_nothing(tmp_path: Path) -> None:
    import optuna

    plan = plan_of(2)
    make_storage(tmp_path)
    study = OptunaSearch(tasks_of(plan, tmp_path), tmp_path, workers=2).studies[0]
    storage = study._study._storage
    storage.create_new_trial(study._study._study_id)  # the first of the lines that a draw writes
    again = searched(plan, tmp_path).studies[0]
    assert again.drawn == 2
    states = [trial.state for trial in again._study.get_trials()]
    assert states.count(optuna.trial.TrialState.COMPLETE) == 2
    assert states.count(optuna.trial.TrialState.FAIL) == 1


def test_a_line_of_the_studies_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    study = searched(plan_of(3), tmp_path).studies[0]
    before = study.settings, study.best
    journal = tmp_path / "search" / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-40])  # the score of the last candidate
    for _ in range(2):  # what was written after it can be read too
        after = searched(plan_of(3), tmp_path).studies[0]
        assert (after.settings, after.best) == before
        assert after.left == 0


def test_studies_that_cannot_be_read_or_written_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(2)
    source = OptunaSearch(tasks_of(plan, make_storage(tmp_path)), tmp_path, workers=2)

    def full(self: object, logs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("optuna.storages.journal.JournalFileBackend.append_logs", full)
        with pytest.raises(Stopped, match=r"^the studies of the search cannot be written: No space left"):
            source.due(0)
    with (tmp_path / "search" / JOURNAL).open("a") as file:
        file.write("no JSON\n{}\n")
    with pytest.raises(Refused, match=r"studies.journal: the studies cannot be read \(.*; remove the file"):
        OptunaSearch(tasks_of(plan, tmp_path), tmp_path, workers=2)


def test_one_process_at_a_time_makes_a_search(tmp_path: Path) -> None:
    make_storage(tmp_path)
    tasks, others = tasks_of(plan_of(2), tmp_path), tasks_of(plan_of(2, "B-v0"), tmp_path)
    more = tasks_of(plan_of(9), tmp_path)
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\nfrom joule.storage.run_lock import RunLock\n"
        f"lock = RunLock(Path({str(tmp_path / 'search')!r}), {tasks[0].name + '.lock'!r})\n"
        "print(flush=True); sys.stdin.read()"
    )
    with searching_alone(tasks):
        pass
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        for same in (tasks, more):
            with (
                pytest.raises(
                    ConfigError, match=rf"for joule in A-v0 goes on already \(.*process {holder.pid}\)"
                ),
                searching_alone(same),
            ):
                pass
        with searching_alone(others):
            holder.kill()
    with searching_alone(tasks):  # the lock of a process that was killed is free
        pass


def test_two_processes_may_end_the_same_candidate(tmp_path: Path) -> None:
    plan = plan_of(1)
    make_storage(tmp_path)
    first = OptunaSearch(tasks_of(plan, tmp_path), tmp_path, workers=2)
    trials = first.due(0)
    other = searched(plan, tmp_path)
    for trial in trials:
        first.ended(trial, Outcome(0))
    assert first.studies[0].best == other.studies[0].best
