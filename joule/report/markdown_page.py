"""A table inside a Markdown page, between two markers."""

from __future__ import annotations

from pathlib import Path

from joule.report.evaluations import ResultsError
from joule.storage.files import why
from joule.storage.reader import PAGE_BYTES, read_text

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def with_table(page: Path, table: str, markers: tuple[str, str] = (BEGIN, END)) -> str:
    """The text of a page with a table put between its two markers, in place of what is there.

    Args:
        page: a Markdown file.
        table: the new text between the markers.
        markers: the lines before and after it.

    Raises:
        ResultsError: for a page that cannot be read, or that does not hold each marker once, in order.
    """
    if not page.exists():
        raise ResultsError(f"{page} is not a file")
    try:
        text = read_text(page, PAGE_BYTES)
    except OSError as error:
        raise ResultsError(f"{page} cannot be read: {why(error)}") from error
    begin, end = markers
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ResultsError(f"{page} must hold {begin} and, after it, {end}, each once")
    if begin in table or end in table:
        raise ResultsError(f"the table holds {begin} or {end}, which mark its place in {page}")
    head, rest = text.split(begin)
    return f"{head}{begin}\n\n{table.strip()}\n\n{end}{rest.split(end)[1]}"
