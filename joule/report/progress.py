"""The live display of a training run: frames, return, surprise, and the remaining time.

On a terminal one block is kept up to date. Into a file or a pipe, plain lines are written: one for each
evaluation and a few between them.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from joule.report.console import PipeSafeConsole

LINES_EVERY = 20.0  # seconds between plain lines


class Progress:
    """The display of one run. It is a context manager, which restores the terminal at its end.

    Args:
        folder: of the run.
        env: id of the environment.
        agent: name of the agent.
        steps: budget in environment frames.
        console: where to print; by default stdout.
    """

    def __init__(
        self, folder: Path, env: str, agent: str, steps: int, console: Console | None = None
    ) -> None:
        self.console = console or PipeSafeConsole()
        self.folder, self.steps = folder, steps
        self.live: Live | None = None
        self.values: dict[str, float] = {}
        self.score: Mapping[str, Any] | None = None
        self.rate: float | None = None  # frames per second; not known before the second report
        self.last_report: tuple[float, int] | None = None  # time in seconds, frames
        self.line_due = 0.0
        self.bar = Bar(
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} frames"),
            BarColumn(bar_width=40),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
        )
        self.task = self.bar.add_task("train", total=steps)
        self.console.print(f"{agent} in {env}, {steps:,} frames -> {folder}", soft_wrap=True)

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self.live = Live(self._picture(), console=self.console, refresh_per_second=4)
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            with contextlib.suppress(OSError):  # the terminal may be gone
                self.live.stop()

    def progress(self, frames: int, metrics: Mapping[str, float]) -> None:
        """Takes in the number of frames and the metrics by name."""
        now = time.monotonic()
        if self.last_report is not None and now > self.last_report[0]:
            self.rate = (frames - self.last_report[1]) / (now - self.last_report[0])
        self.last_report = (now, frames)
        self.values = dict(metrics)
        self.bar.update(self.task, completed=frames)
        if self.live is not None:
            self.live.update(self._picture())
        elif now >= self.line_due:
            self.line_due = now + LINES_EVERY
            self._say(f"{frames:>9,} frames  {'  '.join(f'{n} {v}' for n, v in self._measurements())}")

    def evaluated(self, row: Mapping[str, Any]) -> None:
        """Takes in an evaluation: a row of evaluations.csv."""
        self.score, self.last_report = row, None  # frames per second exclude the time of the evaluation
        self._say(
            f"{row['frames']:>9,} frames  evaluated: return {row['return_mean']:,.1f} "
            f"± {row['return_std']:,.1f} over {row['episodes']} episodes on held-out seeds"
        )

    def saved(self, frames: int) -> None:
        """Called after a checkpoint at `frames`."""
        if self.live is not None:
            self.live.update(self._picture())

    def note(self, sentence: str) -> None:
        """Prints a sentence for the user."""
        self._say(sentence)

    def _say(self, line: str) -> None:
        try:
            self.console.print(line, soft_wrap=True)
            if not self.console.is_terminal:
                sys.stdout.flush()
        except OSError:  # the pipe or the terminal is gone
            if not isinstance(self.console, PipeSafeConsole):
                raise
            self.console.discard_output()

    def _measurements(self) -> list[tuple[str, str]]:
        values = self.values
        named = [
            ("return", "episode/return", "{:,.1f}"),
            ("surprise", "surprise", "{:.2f}"),
            *((name[7:], name, "{:,.2f}") for name in sorted(values) if name.startswith("energy/")),
            ("latent rank", "latent/rank", "{:.1f}"),
        ]
        shown = [(label, form.format(values[name])) for label, name, form in named if name in values]
        return [*shown, ("frames/s", f"{self.rate:,.0f}")] if self.rate is not None else shown

    def _picture(self) -> Group:
        table = Table.grid(padding=(0, 2))
        for label, value in self._measurements():
            table.add_row(Text(label, style="dim"), value)
        if self.score is not None:
            mean, std, frames = (self.score[name] for name in ("return_mean", "return_std", "frames"))
            table.add_row(Text("evaluated", style="dim"), f"{mean:,.1f} ± {std:,.1f} at {frames:,}")
        return Group(self.bar, table)
