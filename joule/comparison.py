"""Comparison of runs from Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from joule.arguments import as_path, as_paths, whole

if TYPE_CHECKING:
    from joule.report.table import Row


def compare(
    runs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    results: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    at: int | None = None,
    out: str | os.PathLike[str] | None = None,
) -> list[Row]:
    """Compares runs: mean, IQM, 95 % interval and CPU time per environment and agent.

    The score of a run is its last evaluation at the budget, never its best.

    Args:
        runs: run folders; one alone will do.
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
    folders, trees = as_paths("runs", runs), as_paths("results", results)
    if at is not None:
        at = whole("at", at, 1)
    if out is not None:
        from joule.commands.compare import compare as compare_and_write

        return compare_and_write(folders, trees, out=as_path("out", out), at=at).rows
    from joule.report import table
    from joule.report.results import gather

    return table.rows(gather(folders, trees), at)
