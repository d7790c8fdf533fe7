"""The replay logs of a run: one for each stream of the agent's replay buffer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agent.errors import StopRun
from agent.interface import Checkpointable, ReplayRows
from agent.memory.columns import has_readouts
from joule.storage.checkpoint import kept_files
from joule.storage.errors import ReplayLogError
from joule.storage.replay_commit import commit_of, record_type
from joule.storage.replay_log import ReplayLog


class ReplayLogs:
    """Copies the final rows of every stream to the disk. An agent without a replay buffer has no streams.

    The log of the first stream is in the folder itself, that of stream k in `stream-<k>`.

    Args:
        folder: where the logs are; it is made when the first row is written.
        agent: the agent. The logs are empty and start at the oldest rows that it holds.

    Raises:
        ReplayLogError: when the columns cannot be stored or the folder cannot be read.
    """

    def __init__(self, folder: Path, agent: Checkpointable) -> None:
        self._agent = agent
        self._logs = [
            ReplayLog(_place(folder, k), rows.columns(), first=rows.first)
            for k, rows in enumerate(agent.replay)
        ]

    @classmethod
    def open(cls, folder: Path, agent: Checkpointable, files: Mapping[str, Any]) -> ReplayLogs:
        """The logs as they were at a commit, with every row verified.

        Args:
            folder: where the logs are.
            agent: the agent, into which `restore` puts their rows.
            files: the files of a checkpoint, which hold what `commit` returned.

        Raises:
            ReplayLogError: when the files name other logs, or a log does not verify.
        """
        names = [_name(k) for k in range(len(agent.replay))]
        if sorted(files) != sorted(names):
            found, expected = (", ".join(sorted(each)) or "no log" for each in (files, names))
            raise ReplayLogError(f"replay {folder}: the checkpoint names {found[:120]}, expected {expected}")
        logs = cls(folder, agent)
        try:
            logs._logs = [
                ReplayLog.open(_place(folder, k), rows.columns(), files[_name(k)])
                for k, rows in enumerate(agent.replay)
            ]
        except ReplayLogError as error:
            if folder.exists():
                raise
            raise ReplayLogError(
                f"{folder} does not exist, and the checkpoint needs it; put it back (`joule push RUN --out FOLDER` "
                "writes a copy of a run that acts without its replay buffer, while that is there)"
            ) from error
        return logs

    @property
    def due(self) -> bool:
        """Whether rows must be appended soon, because the replay buffer would overwrite them."""
        return any(rows.total - log.rows > rows.capacity // 2 for rows, log in self._pairs())

    def append(self) -> None:
        """Appends the rows that the logs do not have yet.

        Raises:
            StopRun: when a row is not finite; then no row is appended.
            ReplayLogError: when the disk refuses; `append` and `commit` may be retried.
        """
        new = [rows.since(log.rows) for rows, log in self._pairs()]
        for columns in new:
            if names := _not_finite_rows(columns):
                raise StopRun(f"not finite, so not saved: replay column {', '.join(names)}")
        for log, columns in zip(self._logs, new, strict=True):
            log.append(columns)

    def commit(self) -> dict[str, Any]:
        """Writes all rows to the disk.

        Returns:
            What `open` needs, as JSON values: a commit for each log, by name. They are files of a checkpoint.

        Raises:
            ReplayLogError: when the disk refuses; `commit` may be retried.
        """
        return {_name(k): log.commit() for k, log in enumerate(self._logs)}

    def prune(self, checkpoints: Path) -> None:
        """Removes rows that neither a resume nor a checkpoint in the folder `checkpoints` needs.

        Raises:
            CheckpointError: when a checkpoint cannot be read now, but may be valid.
            ReplayLogError: when a commit is not readable or the disk refuses.
        """
        for k, (rows, log) in enumerate(self._pairs()):
            log.prune(rows.capacity, kept_files(checkpoints, _name(k)))

    @property
    def restored_rows(self) -> int:
        """How many rows `restore` puts back, over all streams."""
        return sum(min(rows.capacity, log.rows - log.first) for rows, log in self._pairs())

    def restore(self) -> None:
        """Puts the newest rows back into the agent's streams. Call before the agent's state is restored.

        Raises:
            ReplayLogError: when a log cannot be read.
            ValueError: for rows that are not finite, or that the agent does not take.
        """
        for rows, log in self._pairs():
            columns = log.read_tail(min(rows.capacity, log.rows - log.first))
            if names := _not_finite_rows(columns):
                raise ValueError(f"its replay holds numbers that are not finite in {', '.join(names)}")
            rows.restore(columns, log.rows)

    def check_counts(self) -> None:
        """Raises ValueError where a restored agent counts other rows than the logs hold."""
        for rows, log in self._pairs():
            if rows.total != log.rows:
                raise ValueError(f"its replay log has {log.rows} rows, its state counts {rows.total}")

    def _pairs(self) -> Iterable[tuple[ReplayRows, ReplayLog]]:
        return zip(self._agent.replay, self._logs, strict=True)


def _not_finite_rows(columns: Mapping[str, np.ndarray]) -> list[str]:
    """As `not_finite`, of rows of a replay buffer: recorded episodes may be without readouts."""
    readout = columns.get("readout")
    return not_finite(columns if readout is None else {**columns, "readout": readout[has_readouts(readout)]})


def not_finite(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """The names of the float arrays that hold a NaN or an infinity."""
    return [name for name, a in arrays.items() if a.dtype.kind == "f" and not np.isfinite(a).all()]


def no_rows(agent: Checkpointable) -> dict[str, Any]:
    """The commits of logs without a row, by name, as `ReplayLogs.commit` returns them.

    Raises:
        ReplayLogError: when the columns cannot be stored.
    """
    return {_name(k): commit_of(0, record_type(rows.columns()), []) for k, rows in enumerate(agent.replay)}


def _name(stream: int) -> str:
    """The name of a stream's log among the files of a checkpoint."""
    return f"replay/stream-{stream}" if stream else "replay"


def _place(folder: Path, stream: int) -> Path:
    place = folder / f"stream-{stream}" if stream else folder
    if place.is_symlink():
        raise ReplayLogError(f"replay {place}: is a link, which a run folder must not hold")
    return place
