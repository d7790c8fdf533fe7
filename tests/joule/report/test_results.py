"""Results are read from run folders and trees, and refused with the file's name where they are broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from result_files import write_evaluations, write_run, write_tree

from agent.errors import StopRun
from joule.report import results, table
from joule.report.evaluations import COLUMNS, ResultsError
from joule.storage import failure_file
from joule.sweeping.results import collect
from joule.sweeping.trials import env_folder
from joule_errors import Advice
from joule_schema.model_file import MODEL_ENV


def test_suites_are_read_from_the_path(tmp_path: Path) -> None:
    tree = write_tree(tmp_path)
    assert {run.suite for run in results.read_tree(tree)} == {"main"}


def test_robots_of_several_model_files_are_several_environments(tmp_path: Path) -> None:
    # As a sweep over model files leaves them; one that a keyword argument names has a folder of its id.
    for seed, folder in (
        (1, env_folder("/a/arm.xml")),
        (2, env_folder("/b/arm.xml")),
        (3, env_folder(MODEL_ENV)),
    ):
        write_evaluations(tmp_path / "main" / "sac" / folder / f"seed{seed}.csv", [1.0], env=MODEL_ENV, seed=seed,
                          agent="sac")  # fmt: skip
    tasks = {run.task: run.seed for run in results.gather([], [tmp_path])}
    assert sorted(tasks.values()) == [1, 2, 3]
    assert tasks[MODEL_ENV] == 3
    assert all(name.startswith(f"{MODEL_ENV} (") for name, seed in tasks.items() if seed < 3)


def test_a_folder_given_twice_counts_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", [1.0])
    assert len(results.gather([folder, folder])) == 1


def test_of_several_folders_those_without_evaluations_are_left_out(tmp_path: Path) -> None:
    run, begun, films = write_run(tmp_path / "a", [1.0]), tmp_path / "begun", tmp_path / "films"
    begun.mkdir()
    films.mkdir()
    (begun / "evaluations.csv").write_text(",".join(COLUMNS) + "\n")
    with pytest.warns(Advice) as said:
        assert [one.source for one in results.gather([films, run, begun])] == [run]
    assert [str(one.message).partition(" is ")[0].partition(" holds")[0] for one in said] == [
        f"left out: {films}",
        f"left out: {begun / 'evaluations.csv'}",
    ]
    with pytest.raises(ResultsError, match="films is not a run with evaluations"):
        results.gather([films, begun])


def test_a_file_among_run_folders_is_left_out(tmp_path: Path) -> None:
    run, log = write_run(tmp_path / "a", [1.0]), tmp_path / "slurm-1.out"
    log.write_text("as `runs/*` has it\n")
    with pytest.warns(Advice, match=r"left out: .*slurm-1\.out is a file; give the folder of a run"):
        assert [one.source for one in results.gather([log, run])] == [run]
    with pytest.raises(ResultsError, match=r"^.*slurm-1\.out is a file"):
        results.gather([log])


def test_a_run_without_rewards_is_not_asked_for_an_evaluation(tmp_path: Path) -> None:
    for reward, said in (
        ("none", "it learns without rewards"),
        ("env", "its training has made no evaluation yet"),
    ):
        (tmp_path / reward).mkdir()
        (tmp_path / reward / "config.json").write_text(f'{{"reward": "{reward}"}}')
        with pytest.raises(ResultsError, match=f"holds no evaluations.csv; {said}"):
            results.gather([tmp_path / reward])


def test_settings_have_the_names_of_the_command_line() -> None:
    config = {
        "env_kwargs": {"random_goal": True},
        "model": {"latent_dim": 64},
        "planner": {"kind": "icem", "settings": {"colour": 2.0}},
        "regularizer": {"kind": "simnorm", "settings": {}},
    }
    assert results.flatten(config) == {
        "env_kwargs": {"random_goal": True},
        "model.latent_dim": 64,
        "planner.kind": "icem",
        "planner.colour": 2.0,
        "regularizer.kind": "simnorm",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (",".join(COLUMNS) + "\n", "holds no evaluation yet"),
        ("agent,env,seed\n1,2,3\n", "lacks the columns frames"),
        (",".join(COLUMNS) + "\njoule,E,1,10,10,nan,0,1,1,1,1,cpu,v\n", "row 2: return_mean is nan"),
        (
            ",".join(COLUMNS) + "\njoule,E,1,10,10,1.7e308,0,1,1,1,1,cpu,v\n",
            "is 1.7e.308, which is beyond 1e.60",
        ),
        (",".join(COLUMNS) + "\njoule,E,1,10,10,oops,0,1,1,1,1,cpu,v\n", "'oops', which is not a number"),
        (",".join(COLUMNS) + "\n" + "joule,E,1,10,10,1,0,1,1,1,1,cpu,v\n" * 2, "out of order"),
        (",".join(COLUMNS) + "\njoule,E\n", "frames is None"),
        (",".join(COLUMNS) + "\njoule,E,1,10,", "holds no evaluation yet"),  # a kill has cut the row short
        (",".join(COLUMNS) + f"\njoule,E,{10**400},10,10,1,0,1,1,1,1,cpu,v\n", "has a seed beyond"),
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "evaluations.csv").write_text(content)
    with pytest.raises(ResultsError, match=message) as caught:
        results.read_run(tmp_path)
    assert str(tmp_path / "evaluations.csv") in str(caught.value)


def test_a_broken_config_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", [1.0])
    (folder / "config.json").write_text("[1, 2]")
    with pytest.raises(ResultsError, match="not an object of settings"):
        results.read_run(folder)


def test_a_folder_that_is_no_run_gets_a_hint(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a", [1.0])
    write_evaluations(tmp_path / "tree" / "joule" / "Hopper-v5" / "seed1.csv", [1.0])
    for name, hint in (("runs", "give .*runs/\\*"), ("tree", "give --results")):
        with pytest.raises(ResultsError, match=hint):
            results.read_run(tmp_path / name)


def test_the_settings_beside_the_results_of_a_sweep_tell_tasks_and_agents_apart(tmp_path: Path) -> None:
    def collected(suite: str, given: dict[str, object], value: float) -> Path:
        run = write_run(tmp_path / "runs" / suite, [value])
        result = tmp_path / "results" / suite / "joule" / "Hopper-v5" / "seed1.csv"
        collect(run, result, given)
        return result

    collected("a", {"perturb": ("mass=2",), "learning.batch_size": 64}, 1.0)
    collected("b", {"perturb": ("mass=2",), "learning.batch_size": 128}, 2.0)
    last = collected("c", {"learning.batch_size": 64}, 3.0)
    found = {(run.task, run.label) for run in results.gather([], [tmp_path / "results"])}
    changed = "Hopper-v5 (perturb=mass=2)"
    assert found == {
        (changed, "joule (learning.batch_size=64)"),
        (changed, "joule (learning.batch_size=128)"),
        ("Hopper-v5", "joule (learning.batch_size=64)"),
    }
    (last.parents[2] / "settings.json").write_text("[]")
    with pytest.raises(ResultsError, match=r"c.settings.json cannot be read: not an object of settings"):
        results.read_tree(tmp_path / "results")


def test_a_run_that_an_error_ended_is_named(tmp_path: Path) -> None:
    diverged, whole = (
        write_run(tmp_path / "diverged", [1.0, 2.0]),
        write_run(tmp_path / "whole", [1.0], seed=2),
    )
    failure_file.write(diverged, StopRun("not finite"))
    runs = results.gather([diverged, whole])
    (note,) = [note for note in table.notes(table.rows(runs), runs) if "ended by an error" in note]
    assert note.startswith(f"{diverged} was ended by an error")
    assert f"at {int(runs[0].frames[-1]):,} frames" in note
