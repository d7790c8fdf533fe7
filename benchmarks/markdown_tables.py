"""Tables of results in Markdown pages, written from raw rows between two markers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from joule.report.markdown_page import with_table
from joule.storage.files import replace_file
from joule_errors import Refused


def mean_and_each(values: Sequence[float], form: str) -> str:
    """A cell: the mean over seeds, and each seed's value in brackets; a dash where there is none.

    Args:
        values: one per seed.
        form: format of a number, such as ".2f".
    """
    if not values:
        return "—"
    return f"{np.mean(values):{form}} ({', '.join(f'{value:{form}}' for value in values)})"


def each_run(rows: Sequence[Mapping[str, str]], spread: bool = True) -> str:
    """A cell: the mean return of each run, and its deviation; a dash where there is none.

    Args:
        rows: a row for each run.
        spread: whether the deviation is shown, where there are several episodes.
    """
    cells = []
    for row in rows:
        mean, std = float(row["return_mean"]), float(row["return_std"])
        form = ",.0f" if abs(mean) >= 100.0 else ".1f"
        cells.append(f"{mean:{form}}" + f" ± {std:{form}}" * (spread and int(row["episodes"]) > 1))
    return "; ".join(cells) or "—"


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose first column is text and whose others are numbers."""
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return "\n".join((lines[0], "|---|" + "---:|" * (len(heads) - 1), *lines[1:]))


def markers_of(name: str) -> tuple[str, str]:
    """The lines before and after a table."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def write(page: Path, table: str, markers: tuple[str, str]) -> None:
    """Puts a table between the two markers of a page.

    Raises:
        SystemExit: where that cannot be done; the message is one sentence.
    """
    try:
        replace_file(page, with_table(page, table, markers).encode())
    except (OSError, Refused) as error:
        raise SystemExit(f"error: {error}") from error
