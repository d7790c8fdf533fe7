"""The table: the score at the budget, pairs over shared tasks, pooled scores, and the notes."""

from __future__ import annotations

from pathlib import Path

import pytest
from result_files import write_evaluations, write_run, write_tree

from joule.report import table
from joule.report.evaluations import ResultsError
from joule.report.results import gather


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "results")


def test_score_is_the_last_evaluation_at_the_budget_never_the_best(tree: Path) -> None:
    runs = gather([], [tree])
    rows = {(row.task, row.label): row for row in table.rows(runs)}
    ours = rows["Hopper-v5", "joule"]
    assert ours.seeds == 3
    assert ours.mean == pytest.approx(102.0)
    assert ours.cpu_minutes == pytest.approx(3.0)
    assert ours.iqm.low <= 102.0 <= ours.iqm.high
    assert rows["Hopper-v5", "random"].cells()[2] == "any"
    early = {(row.task, row.label): row for row in table.rows(runs, at=19)}["Hopper-v5", "joule"]
    assert early.mean == 100.0
    assert early.frames == (10, 10)
    assert table.rows(runs, at=20)[0].frames == (20, 20), "the budget itself counts"
    with pytest.raises(ResultsError, match="no evaluation at or below 9 frames"):
        table.rows(runs, at=9)


def test_pairs_cover_shared_tasks_and_leave_trivial_agents_out(tree: Path) -> None:
    (pair,) = table.pairs(table.rows(gather([], [tree])))
    assert (pair.ours, pair.theirs, pair.tasks) == ("joule", "sac", 2)
    assert pair.probability is not None
    assert pair.probability.estimate == 1.0


def test_dm_control_tasks_are_pooled_and_others_are_not(tmp_path: Path, tree: Path) -> None:
    assert table.pooled(table.rows(gather([], [tree]))) == []
    for env, level in (("dmc:walker-walk", 900.0), ("dmc:cheetah-run", 500.0)):
        for seed in (1, 2):
            path = tmp_path / "dmc" / env.replace(":", "-") / f"seed{seed}.csv"
            write_evaluations(path, [level], env=env, seed=seed)
    (entry,) = table.pooled(table.rows(gather([], [tmp_path / "dmc"])))
    assert (entry.mean, entry.gap, entry.tasks) == (700.0, 300.0, 2)
    short: dict[str, object] = {"max_episode_frames": 100}
    changed = [
        write_run(
            tmp_path / "short" / str(seed), [90.0 * seed], env="dmc:walker-walk", seed=seed, settings=short
        )
        for seed in (1, 2)
    ]
    assert table.pooled(table.rows(gather(changed, [tmp_path / "dmc"]))) == [entry]


def test_an_agent_with_few_tasks_does_not_hide_the_others(tmp_path: Path) -> None:
    levels = {
        "joule": (900.0, 500.0, 100.0),
        "sac": (500.0, 200.0, 0.0),
        "tqc": (600.0, 400.0),
        "ppo": (1.0,),
    }
    for agent, scores in levels.items():
        for env, level in zip(("dmc:a", "dmc:b", "dmc:c"), scores, strict=False):
            path = tmp_path / agent / env.replace(":", "-") / "seed1.csv"
            write_evaluations(path, [level], agent=agent, env=env)
    found = table.pooled(table.rows(gather([], [tmp_path])))
    assert [(entry.label, entry.tasks, entry.mean) for entry in found] == [
        ("joule", 3, 500.0),
        ("sac", 3, pytest.approx(700 / 3)),
        ("joule", 2, 700.0),
        ("sac", 2, 350.0),
        ("tqc", 2, 500.0),
    ]


def test_notes_name_unequal_budgets_and_few_seeds(tmp_path: Path) -> None:
    runs = gather([write_run(tmp_path / "a", [1.0, 2.0]), write_run(tmp_path / "b", [1.0], seed=2)])
    notes = " ".join(table.notes(table.rows(runs), runs))
    assert "--at 10" in notes
    assert "about 50 %" in notes


def test_robots_that_were_changed_between_runs_are_told(tmp_path: Path) -> None:
    light = {"mujoco": "3.9.0", "masses": "one", "actuators": "one"}
    records: list[dict[str, str]] = [
        light, {**light, "masses": "two"}, light, {**light, "masses": "two", "actuators": "two"}, {},
        {**light, "mujoco": "3.10.0", "masses": "three"},
    ]  # fmt: skip
    folders = [
        write_run(tmp_path / str(seed), [float(seed)], seed=seed, env_spec={"physics": record})
        for seed, record in enumerate(records)
    ]

    def told(folders: list[Path]) -> list[str]:
        runs = gather(folders)
        return [note for note in table.notes(table.rows(runs), runs) if "robot" in note]

    assert told(folders) == [
        "The runs on Hopper-v5 have 3 robots, which differ in their masses and actuators: "
        f"(1) {folders[0]} and {folders[2]}, (2) {folders[1]} and (3) {folders[3]}. "
        "Rows do not tell them apart: where a model was edited in between, compare the runs of one robot alone."
    ]
    assert told([folders[place] for place in (0, 2, 4, 5)]) == []


def test_a_budget_that_would_be_refused_is_not_advised(tmp_path: Path) -> None:
    for folder, frames in (("a", 10), ("b", 30)):
        write_evaluations(tmp_path / folder / "seed1.csv", [1.0], agent=folder, every=frames)
    runs = gather([], [tmp_path])
    notes = " ".join(table.notes(table.rows(runs), runs))
    assert "budgets differ; there is no number of frames at which all of its runs were evaluated" in notes
    with pytest.raises(ResultsError):
        table.rows(runs, at=10)
    write_evaluations(tmp_path / "a" / "seed1.csv", [1.0, 2.0, 3.0], agent="a", every=10)
    write_evaluations(tmp_path / "b" / "seed1.csv", [1.0, 2.0], agent="b", every=10)
    write_evaluations(tmp_path / "c" / "seed1.csv", [1.0], agent="c", every=30, env="Ant-v5")
    runs = gather([], [tmp_path])
    notes = " ".join(table.notes(table.rows(runs), runs))
    assert "--at 20 would make them equal, but the first evaluation of a run is at 30" in notes


def test_equal_frames_are_those_at_which_all_were_evaluated(tmp_path: Path) -> None:
    write_evaluations(tmp_path / "a" / "seed1.csv", [1.0, 2.0, 3.0], agent="a", every=40)
    write_evaluations(tmp_path / "b" / "seed1.csv", [1.0, 2.0, 3.0, 4.0, 5.0], agent="b", every=20)
    runs = gather([], [tmp_path])
    assert "compare at equal frames with --at 80" in " ".join(table.notes(table.rows(runs), runs))
    assert {row.frames for row in table.rows(runs, at=80)} == {(80, 80)}


def test_settings_that_rows_do_not_show_are_told(tmp_path: Path) -> None:
    def told(*settings: dict[str, object]) -> str:
        runs = gather(
            [
                write_run(tmp_path / str(seed), [float(seed)], agent="sac", seed=seed, settings=one)
                for seed, one in enumerate(settings)
            ]
        )
        return " ".join(table.notes(table.rows(runs), runs))

    assert "Runs of sac on Hopper-v5 were given 100 and 200 frames" in told({"steps": 100}, {"steps": 200})
    same = told({"steps": 100}, {"steps": 100})
    assert "were given" not in same
    assert "learning process alone" not in same
    assert "that of the learning process alone" in told({"actors": 2}, {"actors": 2})


def test_success_is_that_of_the_budget_and_is_given_where_every_run_knows_it(tmp_path: Path) -> None:
    cases: list[tuple[str, int, list[float | str] | None]] = [
        ("joule", 1, [0.1, 0.9]),
        ("joule", 2, ["", 0.7]),
        ("sac", 1, [0.5, 0.25]),
        ("td3", 1, None),
        ("tqc", 1, [0.3, ""]),
    ]
    for agent, seed, success in cases:
        path = tmp_path / agent / "joule" / "Push-v0" / f"seed{seed}.csv"
        write_evaluations(path, [1.0, 2.0], agent=agent, env="joule/Push-v0", seed=seed, success=success)
    runs = gather([], [tmp_path])
    said = [note for note in table.notes(table.rows(runs), runs) if "succeeded" in note]
    assert said == ["Episodes of joule/Push-v0 that succeeded: joule 80 %, sac 25 %."]
    found = {row.label: row.success for row in table.rows(runs, at=10)}
    assert found == {"joule": None, "sac": 0.5, "td3": None, "tqc": 0.3}
    assert ",sac,20,20," in (text := table.comma_separated(table.rows(runs)))
    assert [line.rpartition(",")[2] for line in text.splitlines()].count("0.25") == 1


def test_one_seed_of_an_agent_gives_no_probability_of_improvement(tmp_path: Path) -> None:
    def write(agent: str, env: str, seeds: int) -> None:
        for seed in range(seeds):
            path = tmp_path / agent / env / f"seed{seed}.csv"
            write_evaluations(path, [100.0 * seed], agent=agent, env=env, seed=seed)

    write("joule", "Hopper-v5", 3)
    write("sac", "Hopper-v5", 1)
    (pair,) = table.pairs(table.rows(gather([], [tmp_path])))
    assert pair.probability is None
    assert "is not given: one seed" in table.pair_sentences([pair])[0]
    write("joule", "Ant-v5", 2)
    write("sac", "Ant-v5", 2)
    (pair,) = table.pairs(table.rows(gather([], [tmp_path])))
    assert (pair.tasks, pair.left_out, pair.seeds) == (1, 1, (2, 2))
    assert "1 task with a single seed left out" in pair.sentence()
    write("td3", "Hopper-v5", 1)
    found = table.pairs(table.rows(gather([], [tmp_path])))
    assert table.pair_sentences(found)[1].startswith("No probability of improvement is given for 2 pairs")
