"""Comparison of runs from Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from joule.report.table import Row


def compare(
    runs: Sequence[str | os.PathLike[str]],
    *,
    results: Sequence[str | os.PathLike[str]] = (),
    at: int | None = None,
    out: str | os.PathLike[str] | None = None,
) -> list[Row]:
    """Compares runs: mean, IQM, 95 % interval and CPU time per environment and agent.

    The score of a run is its last evaluation at the budget, never its best.

    Args:
        runs: run folders.
        results: trees of results, <suite>/<agent>/<env>/seed<k>.csv.
        at: budget in frames; by default the last evaluation of each run.
        out: folder for compare.html, compare.png, table.md and table.csv, as the command `compare` writes them;
            by default nothing is written.

    Returns:
        A row per environment and agent: `task`, `label`, `mean`, `iqm`, `scores` [seeds], ...

    Raises:
        ResultsError: for results that cannot be read or compared.
        ConfigError: where a file cannot be written.
    """
    folders, trees = [Path(run) for run in runs], [Path(tree) for tree in results]
    if out is not None:
        from joule.commands.compare import compare as compare_and_write

        return compare_and_write(folders, trees, out=Path(out), at=at).rows
    from joule.report import table
    from joule.report.results import gather

    return table.rows(gather(folders, trees), at)
