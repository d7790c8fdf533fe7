"""The logs of one run together: metrics, evaluations, forecasts, and TensorBoard's events."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from joule.storage.errors import RunError
from joule.storage.files import why
from joule.storage.log_files import EVALUATION_COLUMNS, FORECAST_COLUMNS, CsvLog, TensorBoardLog

METRICS, EVALUATIONS, FORECASTS = "metrics.csv", "evaluations.csv", "forecasts.csv"
"""The names of the tables in a run folder."""
BOARD = "tensorboard"
"""The folder of TensorBoard's event files."""


class RunLogs:
    """Writes the logs of a run. A log that fails switches itself off and is counted; the run continues.

    Args:
        folder: the run folder.
        counters: `log_failures` counts logs that failed, `log_rows_lost` rows that were not written.
        check_folder: raises RunError when the folder is gone, which is no failure of one log.
    """

    def __init__(self, folder: Path, counters: dict[str, int], check_folder: Callable[[], None]) -> None:
        self._counters, self._check_folder = counters, check_folder
        self._metrics = CsvLog(folder / METRICS, ["frames"])
        self._evaluations = CsvLog(folder / EVALUATIONS, EVALUATION_COLUMNS)
        self._forecasts = CsvLog(folder / FORECASTS, FORECAST_COLUMNS)
        self._board = TensorBoardLog(folder / BOARD)

    def add_metrics(self, row: Mapping[str, float]) -> None:
        """Adds a row to metrics.csv and to TensorBoard."""
        self._add(self._metrics, row)
        self._add(self._board, row)

    def add_evaluation(self, row: Mapping[str, Any]) -> None:
        """Adds a row to evaluations.csv.

        Raises:
            RunError: for missing or unknown columns.
        """
        if set(row) != set(EVALUATION_COLUMNS):
            names = sorted(set(row) ^ set(EVALUATION_COLUMNS))
            raise RunError(f"evaluation: columns {', '.join(names)} are missing or unknown")
        self._add(self._evaluations, row)

    def add_forecasts(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds rows to forecasts.csv."""
        self._add(self._forecasts, *rows)

    def truncate(self, frames: int) -> None:
        """Drops every row after `frames`, so that a resumed run writes it again.

        Raises:
            RunError: when a log cannot be read or written.
        """
        for log in (self._metrics, self._evaluations, self._forecasts, self._board):
            try:
                self._counters["log_rows_lost"] += log.truncate(frames)
            except OSError as error:
                raise RunError(f"{log.path}: {why(error)}") from error

    def close(self) -> None:
        """Closes the open files."""
        self._board.close()

    def _add(self, log: CsvLog | TensorBoardLog, *rows: Mapping[str, Any]) -> None:
        if log.off:
            self._counters["log_rows_lost"] += len(rows)
            return
        try:
            log.add(*rows)
        except (OSError, ImportError) as error:
            self._check_folder()
            log.off = True
            self._counters["log_failures"] += 1
            self._counters["log_rows_lost"] += len(rows)
            warnings.warn(f"{log.path.name} is switched off: {why(error)}", RuntimeWarning, stacklevel=4)
