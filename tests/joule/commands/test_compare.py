"""compare.py from raw files to table, page and README: right numbers, honest labels, clear refusals."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from joule.commands import compare
from joule.report import curves, page, results, table
from joule.report import forecasts as forecast_log
from joule.report.results import COLUMNS, ResultsError

ROOT = Path(__file__).parents[3]


def write(
    path: Path,
    returns: list[float],
    *,
    agent: str = "joule",
    env: str = "Hopper-v5",
    seed: int = 1,
    every: int = 10,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for k, value in enumerate(returns, start=1):
            writer.writerow(
                [agent, env, seed, k * every, k * every, value, 1.0, 10, 60 * k, 70 * k, 1, "cpu", "abc"]
            )
    return path


def run(
    folder: Path, returns: list[float], *, settings: dict[str, object] | None = None, **kwargs: object
) -> Path:
    write(folder / "evaluations.csv", returns, **kwargs)  # type: ignore[arg-type]
    (folder / "config.json").write_text(json.dumps(settings or {"planner": {"kind": "mppi"}}))
    (folder / "command.txt").write_text("python train.py --env <Hopper-v5>\n")
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "results"
    for seed in (1, 2, 3):
        for env, name in (("Hopper-v5", "Hopper-v5"), ("joule/Push-v0", "joule/Push-v0")):
            for agent, level in (("joule", 100.0), ("sac", 50.0)):
                returns = [level, 9_999.0, level + seed]
                write(
                    root / "main" / agent / name / f"seed{seed}.csv", returns, agent=agent, env=env, seed=seed
                )
    write(root / "main" / "random" / "Hopper-v5" / "seed1.csv", [7.0], agent="random")
    return root


def test_score_is_the_last_evaluation_at_the_budget_never_the_best(tree: Path) -> None:
    runs = results.gather([], [tree])
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
    # The budget itself counts.
    assert table.rows(runs, at=20)[0].frames == (20, 20)
    with pytest.raises(ResultsError, match="no evaluation at or below 9 frames"):
        table.rows(runs, at=9)


def test_suites_are_found_and_tell_equal_runs_apart(tree: Path) -> None:
    assert {entry.suite for entry in results.gather([], [tree])} == {"main"}
    write(tree / "after" / "joule" / "joule" / "Push-v0" / "seed1.csv", [1.0], env="joule/Push-v0")
    labels = {r.label for r in results.gather([], [tree]) if r.task == "joule/Push-v0" and r.agent == "joule"}
    assert labels == {"joule · main", "joule · after"}


def test_pairs_cover_shared_tasks_and_leave_floors_out(tree: Path) -> None:
    (pair,) = table.pairs(table.rows(results.gather([], [tree])))
    assert (pair.ours, pair.theirs, pair.tasks) == ("joule", "sac", 2)
    assert pair.probability.estimate == 1.0


def test_dm_control_tasks_are_pooled_and_others_are_not(tmp_path: Path, tree: Path) -> None:
    assert table.pooled(table.rows(results.gather([], [tree]))) == []
    for env, level in (("dmc:walker-walk", 900.0), ("dmc:cheetah-run", 500.0)):
        for seed in (1, 2):
            write(tmp_path / "dmc" / env.replace(":", "-") / f"seed{seed}.csv", [level], env=env, seed=seed)
    (entry,) = table.pooled(table.rows(results.gather([], [tmp_path / "dmc"])))
    assert (entry.mean, entry.gap, entry.tasks) == (700.0, 300.0, 2)


def test_an_agent_on_few_tasks_does_not_hide_the_others(tmp_path: Path) -> None:
    levels = {
        "joule": (900.0, 500.0, 100.0),
        "sac": (500.0, 200.0, 0.0),
        "tqc": (600.0, 400.0),
        "ppo": (1.0,),
    }
    for agent, scores in levels.items():
        for env, level in zip(("dmc:a", "dmc:b", "dmc:c"), scores, strict=False):
            write(tmp_path / agent / env.replace(":", "-") / "seed1.csv", [level], agent=agent, env=env)
    found = table.pooled(table.rows(results.gather([], [tmp_path])))
    assert [(one.label, one.tasks, one.mean) for one in found] == [
        ("joule", 3, 500.0),
        ("sac", 3, pytest.approx(700 / 3)),
        ("joule", 2, 700.0),
        ("sac", 2, 350.0),
        ("tqc", 2, 500.0),
    ]


def test_unequal_budgets_and_few_seeds_are_said(tmp_path: Path) -> None:
    runs = results.gather([run(tmp_path / "a", [1.0, 2.0]), run(tmp_path / "b", [1.0], seed=2)])
    said = " ".join(table.notes(table.rows(runs), runs))
    assert "--at 10" in said
    assert "about 50 %" in said


def test_settings_and_perturbed_worlds_are_never_pooled(tmp_path: Path) -> None:
    runs = results.gather(
        [
            run(tmp_path / "a", [1.0]),
            run(tmp_path / "b", [2.0], settings={"planner": {"kind": "icem"}}),
            run(
                tmp_path / "c", [3.0], settings={"planner": {"kind": "mppi"}, "perturb": ["gravity=0.5@300"]}
            ),
        ]
    )
    named = {(r.label, r.task) for r in runs}
    assert named == {
        ("joule (planner.kind=mppi)", "Hopper-v5"),
        ("joule (planner.kind=icem)", "Hopper-v5"),
        ("joule (planner.kind=mppi)", "Hopper-v5 (perturb=gravity=0.5@300)"),
    }
    assert "Settings that differ" in page.build(table.rows(runs), runs)


def test_another_task_is_another_row_and_what_is_not_heeded_makes_no_agent(tmp_path: Path) -> None:
    runs = results.gather(
        [
            run(tmp_path / "a", [1.0], agent="sac", settings={"task": "", "learner": {"batch": 64}}),
            run(tmp_path / "b", [2.0], agent="sac", seed=2, settings={"task": "", "learner": {"batch": 128}}),
            run(tmp_path / "c", [-3.0], agent="sac", settings={"task": "track:velocity=2"}),
        ]
    )
    assert {(r.label, r.task) for r in runs} == {
        ("sac", "Hopper-v5"),
        ("sac", "Hopper-v5 (task=track:velocity=2)"),
    }


def test_one_run_never_counts_twice(tmp_path: Path) -> None:
    first = run(tmp_path / "a", [1.0])
    assert len(results.gather([first, first])) == 1
    with pytest.raises(ResultsError, match="hold the same run"):
        results.gather([first, run(tmp_path / "b", [1.0])])
    # The same settings and seed with other numbers, as before and after a change of code: kept apart by name.
    labels = {r.label for r in results.gather([first, run(tmp_path / "after", [2.0])])}
    assert labels == {"joule · a", "joule · after"}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "is empty"),
        (",".join(COLUMNS) + "\n", "holds no evaluation yet"),
        ("agent,env,seed\n1,2,3\n", "lacks the columns frames"),
        (",".join(COLUMNS) + "\njoule,E,1,10,10,nan,0,1,1,1,1,cpu,v\n", "row 2: return_mean is nan"),
        (",".join(COLUMNS) + "\njoule,E,1,10,10,oops,0,1,1,1,1,cpu,v\n", "'oops', which is not a number"),
        (",".join(COLUMNS) + "\n" + "joule,E,1,10,10,1,0,1,1,1,1,cpu,v\n" * 2, "out of order"),
        (",".join(COLUMNS) + "\njoule,E\n", "frames is None"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content: str, word: str) -> None:
    (tmp_path / "evaluations.csv").write_text(content)
    with pytest.raises(ResultsError, match=word) as caught:
        results.read_run(tmp_path)
    assert str(tmp_path / "evaluations.csv") in str(caught.value)


def test_door_writes_everything_and_only_its_own_part_of_the_readme(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# Joule\n\n{compare.BEGIN}\nold\n{compare.END}\n\nafter\n")
    out = tmp_path / "out"
    arguments = ["--results", str(tree), "--out", str(out), "--readme", str(readme), "--markdown"]
    assert compare.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "| Hopper-v5 | joule | 30 | 102 | 102 |" in printed
    assert {path.name for path in out.iterdir()} == {"compare.png", "compare.html", "table.md", "table.csv"}
    once = readme.read_text()
    assert once.startswith("# Joule\n\n")
    assert once.endswith("\n\nafter\n")
    assert "old" not in once
    assert "| Hopper-v5 | joule | 30 |" in once
    pictures = [(out / name).read_bytes() for name in ("compare.png", "compare.html")]
    assert compare.main(arguments) == 0
    assert readme.read_text() == once
    assert [(out / name).read_bytes() for name in ("compare.png", "compare.html")] == pictures
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(next(r for r in rows if r["agent"] == "sac")["mean"]) == 52.0


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in ("src", "srcset", "href")]


def test_page_is_self_contained_and_escapes_what_it_was_given(tmp_path: Path) -> None:
    runs = results.gather([run(tmp_path / "<b>x", [1.0, 2.0])])
    text = page.build(table.rows(runs), runs)
    links = _Links()
    links.feed(text)
    assert "script" not in links.tags
    assert "b" not in links.tags
    assert len(links.targets) == 2
    assert all(target.startswith("data:image/svg+xml;base64,") for target in links.targets)
    assert "python train.py --env &lt;Hopper-v5&gt;" in text


def keep_ledger(folder: Path, returns: list[tuple[float, float | None]], frames: int = 20) -> None:
    lines = [
        f"{frames},10000,{k},{predicted},{'' if outcome is None else outcome},-1.0,{-k}"
        for k, (predicted, outcome) in enumerate(returns)
    ]
    (folder / "forecasts.csv").write_text("\n".join([",".join(forecast_log.COLUMNS), *lines]) + "\n")


def test_what_was_foretold_is_shown_where_a_ledger_was_kept(tmp_path: Path) -> None:
    first, second = run(tmp_path / "a", [1.0, 2.0]), run(tmp_path / "b", [1.0, 3.0], seed=2)
    keep_ledger(first, [(1.0, 2.0), (2.0, 3.0), (3.0, 4.0), (9.0, None)])
    keep_ledger(second, [(1.0, 1.0), (2.0, 3.0)])
    assert compare.main([str(first), str(second), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "compare.html").read_text()
    row = "".join(f"<td>{cell}</td>" for cell in ("1", "3", "1.00", "1.00", "\N{MINUS SIGN}1.00"))
    assert row in text
    assert text.count("<picture>") == 2
    assert compare.main([str(first), str(second), "--at", "10", "--out", str(tmp_path / "early")]) == 0
    assert "What was foretold" not in (tmp_path / "early" / "compare.html").read_text()
    runs = results.gather([first, second])
    kept = [(one, entries) for one in runs if (entries := forecast_log.read(one.source)) is not None]
    (axes,) = curves.predicted(kept).axes
    assert len(axes.collections[0].get_offsets()) == 5, "all seeds of a task share a panel"  # type: ignore[arg-type]
    figure = curves.learning_curve(runs[0], entries=kept[0][1])
    assert "correlation 1.00" in figure.axes[1].texts[0].get_text()


def test_mean_line_covers_only_what_all_seeds_cover(tmp_path: Path) -> None:
    long, short = write(tmp_path / "l.csv", [0.0, 10.0, 20.0]), write(tmp_path / "s.csv", [4.0], every=20)
    frames, minutes, returns = curves.on_common_grid([results.read_evaluations(p) for p in (long, short)])
    np.testing.assert_allclose(frames, [20])
    np.testing.assert_allclose(minutes, [[2.0], [1.0]])
    np.testing.assert_allclose(returns, [[10.0], [4.0]])


def test_agents_are_told_apart_by_colour_and_by_line(tree: Path, tmp_path: Path) -> None:
    looks = curves.styles(results.gather([run(tmp_path / "x", [1.0], agent="mine")], [tree]))
    assert (
        len({colour for colour, _ in looks.values()}) == len({str(line) for _, line in looks.values()}) == 4
    )


def test_learning_curve_of_a_single_evaluation_and_gappy_series(tmp_path: Path) -> None:
    series = {"surprise": ([0.0, 1.0, 2.0], [1.0, float("nan"), 2.0]), "nothing": ([], [])}
    figure = curves.learning_curve(
        results.read_run(run(tmp_path / "x", [1.0])), tmp_path / "c.png", series=series
    )
    assert (tmp_path / "c.png").stat().st_size > 5_000
    assert [axes.get_title(loc="left") for axes in figure.axes[1:]] == ["surprise"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--reslts", "x"], "Unknown option --reslts; did you mean --results?"),
        (["--at", "x", "r"], "--at"),
        (["--at", "0", "r"], "positive"),
        ([], "Nothing to compare"),
        (["nowhere"], "nowhere does not exist"),
        (["--results", "{tree}", "--readme", "{tree}/none.md"], "none.md is not a file"),
        (["--results", "{tree}", "--out", "/dev/null/x"], "/dev/null"),
        (["{tree}"], "give --results"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    arguments: list[str],
    sentence: str,
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert compare.main([entry.format(tree=tree) for entry in arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["results"], "something was written"


@pytest.mark.parametrize(("page", "raw"), [("README.md", "results"), ("docs/unseen.md", "unseen")])
def test_a_page_says_what_its_raw_results_say(tmp_path: Path, page: str, raw: str) -> None:
    copy = tmp_path / "page.md"
    copy.write_text((ROOT / page).read_text())
    rows = str(ROOT / "benchmarks" / raw)
    compare.main(["--results", rows, "--out", str(tmp_path / "out"), "--readme", str(copy)])
    assert copy.read_text() == (ROOT / page).read_text()


def test_readme_without_markers_is_left_alone(tree: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{compare.END} {compare.BEGIN}")
    assert (
        compare.main(["--results", str(tree), "--out", str(tmp_path / "out"), "--readme", str(readme)]) == 2
    )
    assert readme.read_text() == f"{compare.END} {compare.BEGIN}"
    assert not (tmp_path / "out").exists()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, compare\n"
        "try: compare.main(['--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'numpy', 'matplotlib', 'scipy', 'torch', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
