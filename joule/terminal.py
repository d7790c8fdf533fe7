"""What a command prints, whoever wrote it, does not control the terminal.

Everything that a command prints passes one of two places: the console of Joule (`joule.report.console`) for what
is laid out, and `PrintableStream` for all else, such as warnings, tracebacks and what libraries print.
"""

from __future__ import annotations

import io
import sys
from typing import Any, TextIO

from joule_errors.printable import printable_lines


class PrintableStream(io.TextIOBase):
    """A text stream that writes to another one, and escapes what is not printable.

    Args:
        stream: where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    @property
    def rich_proxied_file(self) -> TextIO:
        """Where a console of rich writes: its codes are its own, and must stay."""
        return self.stream

    def write(self, text: str) -> int:
        """Writes the text, printable. Returns the number of its characters."""
        self.stream.write(printable_lines(text))
        return len(text)

    def flush(self) -> None:
        """Flushes the other stream."""
        self.stream.flush()

    def close(self) -> None:
        """Leaves the other stream open: it belongs to the process."""

    def fileno(self) -> int:
        """Of the other stream."""
        return self.stream.fileno()

    def isatty(self) -> bool:
        """Whether the other stream is a terminal."""
        return self.stream.isatty()

    def writable(self) -> bool:
        """True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the other stream."""
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """Of the other stream."""
        return self.stream.errors

    def __getattr__(self, name: str) -> Any:
        """What else a library may ask of a stream of the process, such as `buffer` and `reconfigure`."""
        return getattr(self.stream, name)


def print_printable() -> None:
    """From now on, what this process prints is printable."""
    for name in ("stdout", "stderr"):
        stream = vars(sys)[name]
        if stream is not None and not isinstance(stream, PrintableStream):
            setattr(sys, name, PrintableStream(stream))
