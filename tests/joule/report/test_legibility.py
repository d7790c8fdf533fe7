"""The legibility of readouts, read back from a run folder."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from agent.cost import legibility as measured
from joule.report import legibility
from joule.report.evaluations import ResultsError

HEADER = "frames,readout,r_squared\n"


def test_one_evaluation_is_read_without_a_line_that_a_kill_cut_off(tmp_path: Path) -> None:
    assert legibility.read(tmp_path) is None
    path = tmp_path / "readouts.csv"
    path.write_text(HEADER + "10,a,0.5\n10,b,\n20,a,0.9\n20,b,-3\n20,c,0.1")
    assert legibility.read(tmp_path) == {"a": 0.9, "b": -3.0}
    first = legibility.read(tmp_path, 10)
    assert first is not None
    assert math.isnan(first["b"])
    assert legibility.read(tmp_path, 15) is None
    assert legibility.counted({"a": 0.9, "b": -3.0, "c": math.nan}) == (1, 2, "b below 0")


@pytest.mark.parametrize(("text", "why"), [("a,b\n1,2\n", "columns"), (HEADER + "x,a,1\n", "not a number")])
def test_another_file_is_refused(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "readouts.csv").write_text(text)
    with pytest.raises(ResultsError, match=why):
        legibility.read(tmp_path)


def test_a_quantity_of_two_names_is_said_once() -> None:
    values = {"x_velocity": -1.5, "height": 0.5, "velocity": -1.5, "angle": 0.95}
    assert legibility.counted(values) == (1, 4, "velocity = x_velocity below 0, height 0.50")
    many = {f"r{k // 2}{'ab'[k % 2]}": 0.1 * (k // 2) for k in range(14)}
    assert legibility.sentence(many).endswith("r4a = r4b 0.40 and 4 more")


def test_where_no_readout_varied_the_sentence_counts_none() -> None:
    assert legibility.sentence({"a": None, "b": math.nan}) == "no readout varied, so that none has an R²"


def test_reports_and_agents_mean_the_same_by_legible() -> None:
    assert legibility.LEGIBLE == measured.LEGIBLE
    many = {f"r{k}": 0.1 * k for k in range(8)}
    assert legibility.sentence(many).endswith("not r0 0.00, r1 0.10, r2 0.20, r3 0.30, r4 0.40 and 3 more")
