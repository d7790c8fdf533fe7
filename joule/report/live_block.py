"""A block of lines at the bottom of a terminal that is kept up to date, also while the terminal is resized."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from math import ceil

from rich.console import Console, ConsoleRenderable, Group
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

WIDEST = 58
"""Characters of a line: a terminal may become as narrow as 60 without wrapping what was drawn."""
REFRESHES_PER_SECOND = 2.0


class LiveBlock(Live):
    """Draws lines again and again in the same place; what is printed meanwhile stands above them.

    At its end the lines are removed.

    Args:
        console: of a terminal.
        lines: the lines for a width in characters.
        redirect_stdout: whether what others print on stdout is put above the lines.
        widest: characters of a line at most.
    """

    def __init__(
        self,
        console: Console,
        lines: Callable[[int], Sequence[Text]],
        redirect_stdout: bool = True,
        widest: int = WIDEST,
    ) -> None:
        self._lines, self._widest = lines, widest
        self._drawn: list[int] = []
        """Width of each line that is on the screen."""
        self._drawn_in = 0
        """Width of the terminal when they were drawn."""
        super().__init__(
            console=console,
            get_renderable=self._block,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            redirect_stdout=redirect_stdout,
            vertical_overflow="crop",
        )

    def end(self) -> None:
        """Removes the lines. The terminal may be gone."""
        with suppress(OSError):
            self.stop()

    def _block(self) -> Group:
        width = min(self.console.width - 1, self._widest)
        lines = list(self._lines(width))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Group(*lines)

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """See rich. A terminal that became narrower has wrapped the lines, so that they take more rows."""
        width, lifted = self.console.width, []
        if 0 < width < self._drawn_in:
            extra = sum(ceil(length / width) - 1 for length in self._drawn if length > width)
            lifted = [Control((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))] * extra
        processed = super().process_renderables(renderables)
        block = self.get_renderable()
        if isinstance(block, Group):
            self._drawn = [line.cell_len for line in block.renderables if isinstance(line, Text)]
        self._drawn_in = width
        return [*lifted, *processed]
