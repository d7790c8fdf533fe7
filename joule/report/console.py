"""The console of the commands: it shows every text as it is, and survives a closed pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from joule.terminal import PrintableStream
from joule_errors.printable import printable


class PipeSafeConsole(Console):
    """A console that takes no text for markup or an emoji, and prints no control character of a text.

    Only what is made with rich's classes, such as `Text(name, style="bold")`, has a style. Once its pipe is
    closed, as by `| head`, nothing more is printed and the command continues.

    Args:
        file: where to print; by default stdout.
        width: in characters; by default that of the terminal, or 160 where there is none.
    """

    def __init__(self, file: IO[str] | None = None, *, width: int | None = None) -> None:
        if file is None and isinstance(sys.stdout, PrintableStream):
            file = sys.stdout.stream  # it would escape the colours of this console too
        super().__init__(file=file, width=width, markup=False, emoji=False, highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See rich; every text that is rendered, a table's cells too, passes here."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text, kept="\n"), segment.style)

    def on_broken_pipe(self) -> None:
        """Called by rich when the pipe is closed."""
        self.discard_output()

    def discard_output(self) -> None:
        """Discards all further output of the process, that at its end included."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def while_read(console: Console) -> Iterator[None]:
    """Inside, a pipe or a terminal that is gone ends the output and not the command."""
    try:
        yield
    except OSError:
        if not isinstance(console, PipeSafeConsole):
            raise
        console.discard_output()


def stderr_console() -> PipeSafeConsole:
    """A console that prints on stderr."""
    stream = sys.stderr
    return PipeSafeConsole(stream.stream if isinstance(stream, PrintableStream) else stream)
