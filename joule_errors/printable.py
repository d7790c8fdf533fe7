"""Text that a terminal, a page or a picture shows as it is, whoever wrote it.

A name or a message of another person may hold escape sequences that change the title of a terminal or the words
on it, and marks of writing direction that turn words round. Here they are replaced by what they are called.
"""

from __future__ import annotations

import re

_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")


def printable(text: str, kept: str = "") -> str:
    r"""The text with every character that is not printable replaced by its escape, such as `\x1b` or `\n`.

    Not printable are control characters, marks of writing direction, invisible and unassigned characters, lone
    surrogates, and all spaces and ends of line but the space itself. Text that is printable is returned as it
    is, so that this function may be called more than once.

    Args:
        text: from anybody.
        kept: characters that stay, such as a newline.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in kept else _escape(sign) for sign in text)


def printable_lines(text: str) -> str:
    """Several lines as a terminal may show them: printable, without colours; tabs and ends of line stay."""
    if text.isprintable():
        return text
    plain = _COLOURS.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return printable(plain, kept="\n\t")


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")
