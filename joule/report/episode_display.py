"""What a command shows while it plays episodes: a line for each that ends, and how far it is.

Lines of episodes go to stdout, as they end. How far it is goes to a bar where there is a terminal, and otherwise
to stderr, a line every ten seconds; so stdout holds nothing but results.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.text import Text

from joule.escaping import terminal
from joule.report.amounts import count
from joule.report.console import PipeSafeConsole, stderr_console, while_read
from joule.report.live_block import LiveBlock
from joule.report.progress_lines import bar, duration

SECONDS_BETWEEN_LINES = 10.0
FEWEST_SECONDS = 2.0
"""Before the remaining time is estimated."""

Row = Callable[[int, float, int], str]
"""(seed, return, decisions) of an episode -> its line."""


class EpisodeDisplay:
    """Shows an evaluation or a film; see `joule.callbacks.episodes.EpisodeCallback`. A context manager.

    Args:
        name: what is done, such as "evaluating".
        episodes: how many are played.
        row: the line of an episode.
        unit: what an episode is called.
    """

    def __init__(self, name: str, episodes: int, row: Row, unit: str = "episode") -> None:
        self.name, self.episodes, self.row, self.unit = name, episodes, row, unit
        self._console = PipeSafeConsole()
        self._errors = stderr_console()
        self._live: LiveBlock | None = None
        self.ended, self._share = 0, 0.0
        self._playing = False
        self._begun = time.monotonic()
        self._line_due = self._begun + SECONDS_BETWEEN_LINES

    def __enter__(self) -> EpisodeDisplay:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.end()
            self._live = None

    def say(self, text: str) -> None:
        """Prints a line of the results."""
        with while_read(self._console):
            if self._live is not None:
                self._live.refresh()
            self._console.print(text, soft_wrap=True)
            if not self._console.is_terminal:
                sys.stdout.flush()

    def note(self, sentence: str) -> None:
        """Prints a sentence that is no result."""
        with contextlib.suppress(OSError):
            print(terminal(sentence), file=sys.stderr, flush=True)

    def progress(self, share: float) -> None:
        """Shows the share of all episodes that is done."""
        now = time.monotonic()
        if not self._playing:  # what was before, such as loading, counts for nothing
            self._playing, self._begun = True, now
        self._share = share
        if self._live is None and now >= self._line_due and share < 1.0:
            self._line_due = now + SECONDS_BETWEEN_LINES
            self.note(f"{self.name}: {100 * share:.0f} %, {self._counts()}")

    def episode(self, seed: int, total_return: float, decisions: int) -> None:
        """Prints the line of an episode that has ended."""
        self.ended += 1
        self.say(self.row(seed, total_return, decisions))

    def _start(self) -> None:
        """Begins to draw, where there is a terminal."""
        console = self._console if self._console.is_terminal else self._errors
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = LiveBlock(console, self._lines, redirect_stdout=console is self._console)
            with while_read(self._console):
                self._live.start(refresh=True)

    def _counts(self) -> str:
        if not self._playing:
            return "preparing"
        ended = f"{self.ended} of {count(self.episodes, self.unit)}"
        seconds = time.monotonic() - self._begun
        if seconds < FEWEST_SECONDS or not 0.0 < self._share < 1.0:
            return ended
        return f"{ended}, {duration(seconds * (1.0 - self._share) / self._share)} left"

    def _lines(self, width: int) -> list[Text]:
        return [bar(self.name, self._share, f"  {self._counts()}", width, self._console.options.ascii_only)]
