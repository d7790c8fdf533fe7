"""The forecast log is read back, whatever a kill left of it, and its calibration is that of a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from joule.report import forecasts
from joule.report.evaluations import ResultsError
from joule.storage.log_files import FORECAST_COLUMNS

HEADER = ",".join(FORECAST_COLUMNS) + "\n"
ROWS = "200,10000,0,1.5,,0.5,0.25\n400,10000,0,1.5,,0.5,0.125\n400,10000,1,2.5,,0.25,0.5\n"


@pytest.mark.parametrize("incomplete", ["", "400,10", "400,10000,2,1.5,,0.5,0.12"])
def test_the_newest_evaluation_is_read_without_an_incomplete_line(incomplete: str, tmp_path: Path) -> None:
    (tmp_path / "forecasts.csv").write_text(HEADER + ROWS + incomplete)
    newest = forecasts.read(tmp_path)
    assert newest is not None
    assert newest.frames == 400
    np.testing.assert_array_equal(newest.costs, [0.125, 0.5])
    np.testing.assert_array_equal(newest.predicted_costs, [0.5, 0.25])
    assert newest.of_returns().words() == "every decision too near the time limit"


def test_a_number_that_no_run_can_have_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "forecasts.csv").write_text(f"{HEADER}400,1,0,1.7e308,-1.7e308,1,2\n400,1,1,1e59,1.5,inf,2\n")
    entries = forecasts.read(tmp_path)
    assert entries is not None
    assert (np.isnan(entries.predicted_returns).tolist(), entries.of_returns().decisions) == (
        [True, False],
        1,
    )
    (tmp_path / "forecasts.csv").write_text(f"{HEADER}1e400,1,0,1,1,1,2\n")
    assert forecasts.read(tmp_path) is None


def test_an_evaluation_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert forecasts.read(tmp_path) is None
    (tmp_path / "forecasts.csv").write_text(HEADER + ROWS)
    assert forecasts.read(tmp_path, 300) is None
    (tmp_path / "forecasts.csv").write_text(HEADER)
    assert forecasts.read(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "why"), [(HEADER + "1,2,3,x,,,\n", "not a number"), ("a,b\n", "columns"), ("", "columns")]
)
def test_a_file_that_is_no_forecast_log_is_refused(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "forecasts.csv").write_text(text)
    with pytest.raises(ResultsError, match=why):
        forecasts.read(tmp_path)


def test_calibration_is_that_of_the_least_squares_line() -> None:
    predicted = np.tile([1.0, 2.0, 4.0, np.nan, 9.0], 8)
    found = forecasts.calibration(predicted, 3.0 + 0.5 * predicted)
    assert (found.decisions, found.correlation, found.slope) == (32, pytest.approx(1), pytest.approx(0.5))
    assert found.bias == pytest.approx(4 - 5)
    noisy = forecasts.calibration(np.tile([0.0, 1.0, 2.0, 3.0], 8), np.tile([1.0, -1.0, 1.0, 0.0], 8))
    assert noisy.correlation == pytest.approx(np.corrcoef([0, 1, 2, 3], [1, -1, 1, 0])[0, 1])
    assert noisy.slope == pytest.approx(np.polyfit([0, 1, 2, 3], [1, -1, 1, 0], 1)[0])


@pytest.mark.parametrize("values", [np.arange(29.0), np.ones(40)])
def test_too_few_or_equal_values_have_no_slope(values: np.ndarray) -> None:
    assert np.isnan(forecasts.calibration(values, values).slope)
