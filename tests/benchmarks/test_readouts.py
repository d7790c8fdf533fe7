"""The benchmark of readouts: means over runs and robots, and a table from a run folder."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks.comprehension import readouts


def test_runs_of_a_robot_are_averaged_and_the_worst_robot_is_named() -> None:
    found = readouts.by_readout(
        [{"a": 1.0, "b": 0.5, "c": math.nan}, {"a": 0.8, "b": math.nan, "c": math.nan}]
    )
    assert found == {"a": 0.9, "b": 0.5, "c": None}
    robots: dict[str, Any] = {"cheetah": {"r_squared": found}, "hopper": {"r_squared": {"a": 0.9, "b": 0.81}}}
    summary = readouts.summary(robots)
    assert summary["legible_share"] == pytest.approx(0.75)
    assert (summary["worst_robot"], summary["robots"]) == ("cheetah", 2)


@pytest.mark.usefixtures("unchecked")
def test_a_run_is_measured_by_robot(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "readouts.json"
    assert readouts.main([str(trained_run), "--episodes", "4", "--out", str(out)]) == 0
    (robot,) = json.loads(out.read_text())["by_robot"].values()
    assert set(robot["r_squared"]) == {"position", "distance"}
    assert " of 2 legible" in capsys.readouterr().out
    assert readouts.main([str(trained_run), "--episodes", "1", "--out", str(out)]) == 2
    assert (
        "fewer than 64 decisions whose readouts are finite; give more --episodes" in capsys.readouterr().err
    )
    assert readouts.main([str(tmp_path)]) == 2
    assert "is not a run" in capsys.readouterr().err
