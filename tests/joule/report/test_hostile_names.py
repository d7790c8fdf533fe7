"""Names of other people in tables, Markdown pages, figures, films, and the texts of evaluations and decisions."""

from __future__ import annotations

import csv
import io
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from hostile_text import NAMES, control_characters
from matplotlib.figure import Figure
from result_files import write_run

from joule.report import evaluation_text, table
from joule.report.evaluations import ResultsError, Run
from joule.report.film import Story, annotate
from joule.report.film.canvas import fitted, font_of
from joule.report.markdown_page import BEGIN, END, with_table
from joule.report.plot_style import encoded, theme, wrapped
from joule.report.results import read_run


@pytest.fixture
def rows(tmp_path: Path) -> list[table.Row]:
    """A table in which every hostile name is an environment and an agent."""
    run: Run = read_run(write_run(tmp_path / "run", [1.0, -2.5]))
    named = [replace(run, label=name, task=name, agent="random") for name in NAMES.values()]
    return table.rows(named)


def test_markdown_keeps_its_cells_and_its_place(rows: list[table.Row], tmp_path: Path) -> None:
    text = table.markdown(rows, [f"P({name} > sac)" for name in NAMES.values()])
    assert not control_characters(text)
    assert "<script" not in text
    assert ":dog:" not in text
    assert len(text.splitlines()) == 2 + len(NAMES) + 1 + len(NAMES)
    for line in text.splitlines()[2 : 2 + len(NAMES)]:
        assert line.replace("\\\\", "").replace("\\|", "").count("|") == len(table.HEADINGS) + 1, line
    page = tmp_path / "page.md"
    page.write_text(f"a\n{BEGIN}\n{END}\nb\n")
    page.write_text(once := with_table(page, text))
    assert with_table(page, text) == once
    with pytest.raises(ResultsError, match="mark its place"):
        with_table(page, f"| {END} |")


def test_a_spreadsheet_calculates_nothing_and_reads_numbers(rows: list[table.Row]) -> None:
    read = list(csv.DictReader(io.StringIO(table.comma_separated(rows))))
    assert len(read) == len(NAMES)
    for row in read:
        for cell in (row["env"], row["agent"]):
            assert not cell.lstrip().startswith(("=", "+", "-", "@"))
            assert not control_characters(cell, kept="")
        assert float(row["mean"]) == -2.5


def test_no_name_breaks_or_hides_in_a_figure() -> None:
    figure = Figure(figsize=(6, 20))
    with matplotlib.rc_context(theme(False)), warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = figure.add_subplot()
        for height, name in enumerate(NAMES.values()):
            axes.plot([0, 1], [height, height], label=wrapped(name))
            axes.text(0, height, wrapped(name))
        shown = axes.legend()
        encoded(figure, "svg")
    labels = [text.get_text() for text in shown.get_texts()]
    assert len(labels) == len([name for name in NAMES.values() if name])
    assert "$\\frac{1}{$" in labels
    assert not any(text.get_parse_math() for text in shown.get_texts())
    assert not control_characters("".join(labels))


def test_no_name_breaks_a_film() -> None:
    font = font_of(12)
    for name in NAMES.values():
        assert font.getlength(fitted(name, font, 100)) <= 101
    frame = np.zeros((480, 640, 3), np.uint8)
    for name in ("one\ntwo", "x" * 20_000, "\x1b[2J"):
        story = Story(name, "joule", 0.1, terms=(name,))
        annotate(frame, panel=story.tell(1.0, energies={name: 1.0}))


def test_an_evaluation_is_printed_on_its_own_lines() -> None:
    for kind, name in NAMES.items():
        record: dict[str, Any] = {
            "env": name, "agent": name, "frames": 1, "unit": "frames", "planner": {"kind": name}, "perturb": [name],
            "perceive": "energy", "task": name, "constraint": [name], "seeds": [1], "returns": [2.0],
            "lengths": [3], "drawn": [{name: 1.0}], "deadline": None, "mean": 2.0, "std": 0.0, "iqm": 2.0,
            "surprise": None, "forecast": None, "planning_ms": 1.0, "violations_per_1000": 0.0,
            "worst_violation": 0.0, "margin": {name: 0.0}, "violations": {name: {"per_1000": 0.0, "worst": 0.0}},
            "changes_detected": None, "diverged": 0, "episodes": 1, "readouts": {name: 0.1},
        }  # fmt: skip
        text = evaluation_text.shown(record)
        assert len(text.splitlines()) == 10, kind
        assert not control_characters(text), kind
