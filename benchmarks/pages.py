"""Tables of results in the pages of docs/, written from raw rows between two markers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from joule.commands import compare


def mean_and_each(values: Sequence[float], form: str) -> str:
    """A cell: the mean of the seeds and, in brackets, each of them, all in the format `form`; a dash for none."""
    if not values:
        return "—"
    return f"{np.mean(values):{form}} ({', '.join(f'{value:{form}}' for value in values)})"


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is names, and whose others are figures."""
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return "\n".join((lines[0], "|---|" + "---:|" * (len(heads) - 1), *lines[1:]))


def write(page: Path, table: str, markers: tuple[str, str]) -> None:
    """Puts the table between the markers of the page. Raises SystemExit, in a sentence, where that cannot be done."""
    try:
        text = page.read_text(encoding="utf-8")
        compare.write(page, compare.replace_results(text, table, str(page), markers))
    except (OSError, compare.Refusal) as error:
        raise SystemExit(f"error: {error}") from error
