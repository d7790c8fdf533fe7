"""Names and messages of other people, made fit for a terminal, a Markdown page, a spreadsheet and a figure.

An env id, the name of a readout, a run folder, a setting or the text of an exception may be written by anybody.
Each of these functions gives a text that is shown as it is and means nothing to the program that shows it. A
function may be applied to its own result of one line. HTML is escaped by Jinja2, in `joule.report.page`.
"""

from __future__ import annotations

import re
import unicodedata

from joule_errors.printable import printable

LONGEST_IN_FIGURE = 200
"""Characters of a text in a figure; a longer one would leave no place for the figure."""
_EMOJI = re.compile(r":(?=[\w+-]+:)")
"""The first colon of a name such as `:dog:`, which GitHub shows as a picture."""
_MARKDOWN = re.compile(
    r"""[\\`*\[\]|~$@]        # code, emphasis, links, cells, mathematics, mentions
    | (?<![^\W_])_ | _(?![^\W_])   # an underscore that is not inside a word
    | :(?=//) | (?<=www)\.         # addresses that would become links
    | ^[-+>=\#] | (?<=^[0-9])[.)]  # beginnings of lists, quotations and headings
    | !(?=\[)""",
    re.VERBOSE | re.IGNORECASE,
)
_FORMULA = "=+-@"
"""What a cell begins with that a spreadsheet calculates."""


def terminal(text: str, most: int | None = None) -> str:
    """One line for a terminal: no escape sequence, no control character, no mark of writing direction.

    Args:
        text: from anybody.
        most: characters; a longer text is cut with an ellipsis. None cuts nothing.
    """
    return printable(text) if most is None else _cut(text, most)


def markdown(text: str) -> str:
    """One line of GitHub Markdown without HTML, markup, links, cells, comments or emojis."""
    plain = printable(text).replace("&", "&amp;").replace("<", "&lt;")
    plain = _EMOJI.sub("&#58;", plain)
    return _MARKDOWN.sub(r"\\\g<0>", plain)


def csv_cell(value: str | float) -> str | float:
    """A cell of a table that a spreadsheet may open: a text that looks like a formula gets an apostrophe before it.

    Args:
        value: a number is returned as it is.
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    first = unicodedata.normalize("NFKC", text.lstrip()[:1])
    return f"'{text}" if first and first in _FORMULA else text


def figure(text: str, most: int = LONGEST_IN_FIGURE) -> str:
    """One line in a figure of matplotlib or pillow.

    Dollar signs stay: `plot_style.theme` turns mathematics off for all texts of a figure.

    Args:
        text: from anybody.
        most: characters; a longer text is cut with an ellipsis.
    """
    plain = _cut(text, most)
    return f" {plain}" if plain.startswith("_") else plain  # matplotlib leaves such a name out of a legend


def _cut(text: str, most: int) -> str:
    plain = printable(text[: most + 1])
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"
