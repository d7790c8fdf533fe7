"""The command `compare`, from raw files to table, page and README."""

from __future__ import annotations

import copy
import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import assert_refused
from result_files import write_forecasts, write_run, write_tree

import joule
from joule.commands import compare
from joule.report import statistics
from joule.report.evaluations import ResultsError
from joule.report.markdown_page import BEGIN, END
from joule_errors import Refused

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "results")


def test_it_writes_all_files_and_only_its_part_of_the_readme(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# Joule\n\n{BEGIN}\nold\n{END}\n\nafter\n")
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
    assert float(next(row for row in rows if row["agent"] == "sac")["mean"]) == 52.0


@pytest.mark.slow
def test_forecasts_are_shown_where_a_log_was_kept(tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "a", [1.0, 2.0]), write_run(tmp_path / "b", [1.0, 3.0], seed=2)
    write_forecasts(first, [*((float(k), k + 1.0) for k in range(40)), (9.0, None)])
    write_forecasts(second, [(1.0, 1.0), (2.0, 3.0)])
    assert compare.main([str(first), str(second), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "compare.html").read_text()
    row = [">1</td>", ">40</td>", ">1.00</td>", ">1.00</td>", ">\N{MINUS SIGN}1.00</td>"]
    assert re.search(r"<td data-value=[^>]*".join(["", *map(re.escape, row)]), text)
    assert text.count("<picture>") == 1
    assert compare.main([str(first), str(second), "--at", "10", "--out", str(tmp_path / "early")]) == 0
    assert "Predicted and observed returns" not in (tmp_path / "early" / "compare.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--reslts", "x"], "unknown option --reslts; did you mean --results?"),
        (["--at", "x", "r"], "--at"),
        (["--at", "0", "r"], "--at: 0 is less than 1"),
        ([], "nothing to compare"),
        (["nowhere"], "nowhere does not exist; joule train --out nowhere makes one"),
        (["reach"], "reach does not exist; give joule://reach for the agent that comes with Joule"),
        (["joule://nobody"], "is no agent that comes with Joule; there are joule://halfcheetah"),
        (["--results", "{tree}", "--readme", "{tree}/none.md"], "none.md is not a file"),
        (["--results", "{tree}", "--out", "/dev/null/x"], "/dev/null"),
        (["{tree}"], "give --results"),
    ],
)
def test_input_that_cannot_be_used_is_refused_before_anything_is_written(
    arguments: list[str], message: str, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused) as caught:
        compare.main([argument.format(tree=tree) for argument in arguments])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["results"], "something was written"


def test_where_no_file_can_be_written_the_table_is_shown(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(compare.Unwritten, match="file/out cannot be written: ") as caught:
        compare.main(["--results", str(tree), "--out", str(tmp_path / "file/out")])
    assert copy.copy(caught.value).comparison.rows, "a process pool loses it"
    assert re.search(r"Hopper-v5 +joule +30 +102", capsys.readouterr().out), "no row of the table"


def test_agents_that_come_with_joule_are_compared() -> None:
    (row,) = joule.compare("joule://reach")
    assert (row.task, len(row.scores)) == ("joule/Reach-v0", 1)


def test_a_refusal_is_one_line_and_exit_code_2() -> None:
    assert_refused("compare", ["nowhere"], "error: nowhere does not exist")


def test_a_defect_keeps_its_traceback(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object, **__: object) -> None:
        raise ValueError("a defect of Joule")

    monkeypatch.setattr(statistics, "interval", defect)
    with pytest.raises(ValueError, match="a defect of Joule") as caught:
        compare.main(["--results", str(tree), "--out", str(tmp_path / "out")])
    assert not isinstance(caught.value, Refused)


@pytest.mark.slow
def test_a_closed_pipe_is_no_error(tree: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} compare.py --results {tree} --out {tmp_path / 'out'} | head -c 1 >/dev/null"
    done = subprocess.run(
        ["bash", "-c", f'{command}; echo "${{PIPESTATUS[0]}}"'], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "0"
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "table.csv").is_file()


@pytest.mark.parametrize(
    ("page", "raw"),
    [("docs/reports/results.md", "results"), ("docs/reports/unseen.md", "results_held_out_tasks")],
)
def test_a_page_says_what_its_raw_results_say(
    tmp_path: Path, page: str, raw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tables are what is compared, and the figures take ten times as long.
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda _, file, **how: file.write(b"<svg></svg>"))
    copy = tmp_path / "page.md"
    copy.write_text((ROOT / page).read_text())
    rows = str(ROOT / "benchmarks" / raw)
    compare.main(["--results", rows, "--out", str(tmp_path / "out"), "--readme", str(copy)])
    assert copy.read_text() == (ROOT / page).read_text()


def test_a_readme_without_markers_is_left_alone(tree: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{END} {BEGIN}")
    with pytest.raises(ResultsError, match="each once"):
        compare.main(["--results", str(tree), "--out", str(tmp_path / "out"), "--readme", str(readme)])
    assert readme.read_text() == f"{END} {BEGIN}"
    assert not (tmp_path / "out").exists()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from joule.commands import compare\n"
        "try: compare.main(['--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'numpy', 'matplotlib', 'scipy', 'torch', 'rich', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_reports_import_neither_torch_nor_an_environment() -> None:
    code = (
        "import sys, joule.report.page, joule.report.results, joule.report.film, joule.report.decision\n"
        "import joule.report.imagination, joule.report.progress\n"
        "heavy = {'torch', 'gymnasium', 'mujoco', 'agent', 'envs', 'planners'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
