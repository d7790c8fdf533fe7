"""The table of a sweep: kept up to date on a terminal, plain lines into a file or a pipe, and whole at the end."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.table import Table
from rich.text import Text

from joule.escaping import terminal
from joule.report.console import PipeSafeConsole, while_read
from joule.report.live_block import LiveBlock
from joule.report.progress_lines import bar, duration
from joule.sweeping.job import State
from joule.sweeping.progress import STATES, Standing, Standings

WIDEST = 110
"""Characters of a line of the table on a terminal."""
WIDTH_WITHOUT_TERMINAL = 160
"""Characters of a line of the whole table in a file or a pipe."""
LINES_EVERY_SECONDS = 60.0
"""Between two plain lines."""
LONGEST_SENTENCE = 500
"""Characters of a reason that are printed."""
_NUMBERS = 32
"""Characters of the columns after the name."""
_COLOURS: dict[State, str] = {"done": "green", "failed": "red", "interrupted": "yellow", "running": "bold"}


class Display:
    """Shows how far a sweep is. A context manager, which restores the terminal at its end.

    Args:
        standings: of the trials.
        console: where to print; by default stdout.
    """

    def __init__(self, standings: Standings, console: Console | None = None) -> None:
        self.standings = standings
        self.console = console or PipeSafeConsole()
        if console is None and not self.console.is_terminal:
            self.console = PipeSafeConsole(width=WIDTH_WITHOUT_TERMINAL)
        self._live: LiveBlock | None = None
        self._line_due = time.monotonic() + LINES_EVERY_SECONDS

    def __enter__(self) -> Display:
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self._live = LiveBlock(self.console, self._lines, widest=WIDEST)
            with while_read(self.console):
                self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.end()
            self._live = None

    def say(self, text: str) -> None:
        """Prints a line."""
        with while_read(self.console):
            self.console.print(terminal(text, LONGEST_SENTENCE), soft_wrap=True)
            if not self.console.is_terminal:
                sys.stdout.flush()

    def changed(self, standing: Standing) -> None:
        """Prints that a trial began or ended: failures always, and everything where there is no table."""
        if self._live is None or standing.state == "failed":
            self.say(event(standing))

    def refresh(self) -> None:
        """Prints how far the sweep is, where a plain line is due; a table is kept up to date by itself."""
        now = time.monotonic()
        if self._live is None and now >= self._line_due:
            self._line_due = now + LINES_EVERY_SECONDS
            self.say(summary(self.standings))

    def whole_table(self) -> None:
        """Prints a row for every trial, and why those that failed did."""
        if not self.standings.of_trial:
            return
        shown = Table(box=None, pad_edge=False, header_style="bold")
        for heading, side in (("trial", "left"), ("state", "left"), ("frames", "right"), ("return", "right")):
            shown.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
        for standing in self.standings.all():
            score = "" if standing.score is None else f"{standing.score:,.1f}"
            state = Text(standing.state, style=_COLOURS.get(standing.state, ""))
            shown.add_row(standing.trial.title, state, f"{standing.frames:,}", score)
        with while_read(self.console):
            self.console.print(shown)
        for standing in (*self.standings.of_state("failed"), *self.standings.of_state("interrupted")):
            if standing.sentence:
                self.say(f"{standing.state}: {standing.trial.title}: {standing.sentence}")

    def _lines(self, width: int) -> list[Text]:
        standings, ascii_only = self.standings, self.console.options.ascii_only
        left = "" if standings.seconds_left is None else f"  {duration(standings.seconds_left)} left"
        lines = [bar("sweep", standings.share, f"{left:>14}", width, ascii_only)]
        lines.append(Text(counts(standings), no_wrap=True))
        most = max(1, self.console.height - 4)
        running = standings.of_state("running")
        lines += [_row(standing, width) for standing in running[:most]]
        if len(running) > most:
            lines.append(Text(f"and {len(running) - most} more", style="dim"))
        return lines


def counts(standings: Standings) -> str:
    """The number of trials in each state that any is in."""
    found = standings.counts()
    return ", ".join(f"{found[state]:,} {state}" for state in STATES if found[state] or state == "done")


def summary(standings: Standings) -> str:
    """One line for a file or a pipe."""
    left = standings.seconds_left
    end = "" if left is None else f", {duration(left)} left"
    return f"{100 * standings.share:>3.0f} %  {counts(standings)}{end}"


def event(standing: Standing) -> str:
    """One line that says how a trial stands."""
    words = f"{standing.state}: {standing.trial.title}"
    if standing.sentence:
        return f"{words}: {standing.sentence}"
    if standing.score is not None:
        return f"{words}, return {standing.score:,.1f} at {standing.frames:,} frames"
    return words


def _row(standing: Standing, width: int) -> Text:
    """Name, share, return and time left of a trial that runs."""
    space = max(10, width - _NUMBERS)
    title = standing.trial.title
    shown = title if len(title) <= space else f"{title[: space - 1]}…"
    share = 100 * min(1.0, standing.frames / max(1, standing.trial.steps))
    score = "" if standing.score is None else f"{standing.score:,.1f}"
    left = "" if standing.seconds_left is None else duration(standing.seconds_left)
    return Text(f"{shown:<{space}} {share:>4.0f} % {score:>12} {left:>10}", no_wrap=True)
