"""The logs of one run together: metrics, evaluations, forecasts, readouts, episodes, and TensorBoard's events."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from joule.storage.errors import RunError
from joule.storage.files import why
from joule.storage.log_files import (
    EPISODE_COLUMNS,
    EVALUATION_COLUMNS,
    FORECAST_COLUMNS,
    READOUT_COLUMNS,
    SUCCESS_COLUMN,
    CsvLog,
    TensorBoardLog,
)
from joule_errors import Advice
from joule_schema.values import LARGEST_COUNT

METRICS, EVALUATIONS, FORECASTS, EPISODES, READOUTS = (
    "metrics.csv", "evaluations.csv", "forecasts.csv", "episodes.csv", "readouts.csv",
)  # fmt: skip
"""The names of the tables in a run folder."""
BOARD = "tensorboard"
"""The folder of TensorBoard's event files."""
MOST_EPISODES = 100_000
"""Of those in episodes.csv, the newest that are read."""
LONGEST_FRAMES = 18
"""Digits of a number of frames that is read."""
LARGEST_RETURN = 1e300
"""Of an episode that is read, in magnitude."""


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
        self._readouts = CsvLog(folder / READOUTS, READOUT_COLUMNS)
        self._episodes = CsvLog(folder / EPISODES, EPISODE_COLUMNS)
        self._board = TensorBoardLog(folder / BOARD)

    def add_metrics(self, row: Mapping[str, float]) -> None:
        """Adds a row to metrics.csv."""
        self._add(self._metrics, row)

    def add_to_board(self, row: Mapping[str, Any]) -> None:
        """Adds a row to TensorBoard; see `TensorBoardLog.add`."""
        self._add(self._board, row)

    def add_episode(self, row: Mapping[str, float]) -> None:
        """Adds a row to episodes.csv."""
        self._add(self._episodes, row)

    def episodes(self) -> list[tuple[int, float, int]]:
        """Frames, return and length of the newest training episodes; rows that cannot be read are left out."""
        found: deque[tuple[int, float, int]] = deque(maxlen=MOST_EPISODES)
        try:
            for row in self._episodes.rows():
                try:
                    entry = int(row["frames"]), float(row["return"]), int(row["length"])
                except ValueError:
                    continue
                # The table may come from another person: means of these numbers must be numbers.
                if abs(entry[1]) <= LARGEST_RETURN and max(map(abs, entry[::2])) <= LARGEST_COUNT:
                    found.append(entry)
        except OSError as error:
            warnings.warn(f"{EPISODES}: {why(error)}", Advice, stacklevel=3)
        return list(found)

    def frames(self) -> int:
        """The largest number of frames in a table of training or evaluations; 0 without a row.

        Raises:
            RunError: when a table cannot be read.
        """
        found = 0
        for log in (self._metrics, self._evaluations, self._episodes):
            try:
                for row in log.rows():
                    frames = row.get("frames", "")
                    if frames.isdecimal() and len(frames) <= LONGEST_FRAMES:
                        found = max(found, int(frames))
            except OSError as error:
                raise RunError(f"{log.path}: {why(error)}") from error
        return found

    def add_evaluation(self, row: Mapping[str, Any]) -> None:
        """Adds a row to evaluations.csv.

        Raises:
            RunError: for missing or unknown columns.
        """
        names = sorted((set(row) - {SUCCESS_COLUMN}) ^ set(EVALUATION_COLUMNS))
        if names:
            raise RunError(f"evaluation: columns {', '.join(names)} are missing or unknown")
        self._add(self._evaluations, row)

    def add_forecasts(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds rows to forecasts.csv."""
        self._add(self._forecasts, *rows)

    def add_readouts(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds rows to readouts.csv."""
        self._add(self._readouts, *rows)

    def truncate(self, frames: int, episode_frames: int | None = None) -> None:
        """Drops every row after `frames`, so that a resumed run writes it again.

        Args:
            frames: of the newest row that stays.
            episode_frames: the same for episodes.csv, where it differs.

        Raises:
            RunError: when a log cannot be read or written.
        """
        tables = (self._metrics, self._evaluations, self._forecasts, self._readouts, self._episodes)
        logs = (*tables, self._board)
        for log in logs:
            last = frames if episode_frames is None or log is not self._episodes else episode_frames
            try:
                self._counters["log_rows_lost"] += log.truncate(last)
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
            warnings.warn(f"{log.path.name} is switched off: {why(error)}", Advice, stacklevel=4)
