"""The live display of a training run: frames, return, surprise, the remaining time, and what it does now.

On a terminal one block is kept up to date. Into a file or a pipe, plain lines are written: one soon, then one
every twenty seconds, and one for each evaluation.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.text import Text

from joule.callbacks.callback import Activity, Callback, Episode, EvaluationResult, Measurement, RunStart
from joule.report.amounts import count
from joule.report.console import PipeSafeConsole, while_read
from joule.report.decimals import decimals
from joule.report.evaluations import TRIVIAL_AGENTS
from joule.report.live_block import LiveBlock
from joule.report.process_load import ProcessLoad, memory_bytes
from joule.report.progress_lines import ProgressState, block, line
from joule_schema.model_file import shown_env

FIRST_LINE_SECONDS, LINES_EVERY_SECONDS = 5.0, 20.0
"""Until the first plain line, and between two."""
LOOK_EVERY_SECONDS = 0.25
"""Between two looks at the counters of the agent."""
RATE_SECONDS = 30.0
"""Of training, over which frames per second are measured."""


class Progress(Callback):
    """The display of one run. It is a context manager, which restores the terminal at its end.

    Args:
        console: where to print; by default stdout.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or PipeSafeConsole()
        self.state = ProgressState()
        self._live: LiveBlock | None = None
        self._load = ProcessLoad()
        self._looks: deque[tuple[float, int]] = deque()
        """Seconds and frames in the newest stretch of training."""
        self._look_due, self._line_due = 0.0, 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.end()
            self._live = None

    def on_start(self, start: RunStart) -> None:
        """Prints what is trained and where, and begins to draw."""
        self.take_start(start)
        state, settings = self.state, start.settings
        from_frame = f" from frame {start.frames:,} on" if start.frames else ""
        env = shown_env(settings["env"], settings.get("env_kwargs"))
        self._say(f"{settings['agent']} in {env}, {state.steps:,} {state.unit}{from_frame} -> {start.folder}")
        self._line_due = time.monotonic() + FIRST_LINE_SECONDS
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self._live = LiveBlock(self.console, self._lines)
            with while_read(self.console):
                self._live.start(refresh=True)

    def take_start(self, start: RunStart) -> None:
        """Takes in how far the run is, and prints nothing: it may have all of its frames."""
        state, settings = self.state, start.settings
        state.device, state.steps, state.frames = start.device, settings["steps"], start.frames
        state.unit = "gradient steps" if settings.get("data") else "frames"
        learns = settings["agent"] not in TRIVIAL_AGENTS and not settings.get("data")
        state.warming_up = learns and not start.frames
        for episode in start.episodes:
            self._take(episode)

    def on_step(self, agent: Any) -> None:
        """Looks at the counters of the agent now and then."""
        state, now = self.state, time.monotonic()
        state.frames = agent.frames
        if now < self._look_due:
            return
        self._look_due, looks = now + LOOK_EVERY_SECONDS, self._looks
        looks.append((now, state.frames))
        while now - looks[0][0] > RATE_SECONDS and len(looks) > 2:
            looks.popleft()
        seconds, frames = now - looks[0][0], state.frames - looks[0][1]
        if seconds > 0:
            state.rate = frames / seconds
        self._plain_line(now)

    def on_episode(self, episode: Episode) -> None:
        """Takes in the return."""
        self._take(episode)

    def on_metrics(self, measurement: Measurement) -> None:
        """Takes in the newest metrics."""
        self.state.values = dict(measurement.values)
        if self.state.warming_up and any("loss" in name for name in measurement.values):  # it learns
            self.state.warming_up = False
            self._looks.clear()

    def on_activity(self, activity: Activity) -> None:
        """Shows that the run evaluates or films, until that is done."""
        self.state.activity = None if activity.done >= 1.0 else activity
        self._looks.clear()  # frames per second are those of training
        self._plain_line(time.monotonic())

    def on_evaluation(self, evaluation: EvaluationResult) -> None:
        """Prints the result."""
        row = self.state.evaluated = evaluation.row
        episodes = count(row["episodes"], "held-out episode")
        success = f", success {row['success_rate']:.0%}" if "success_rate" in row else ""
        self._say(
            f"{row['frames']:>9,} {self.state.unit}  evaluated: "
            f"return {decimals(row['return_mean'], 1)} ± {decimals(row['return_std'], 1)}{success}, {episodes}"
        )

    def on_note(self, sentence: str) -> None:
        """Prints it."""
        self._say(sentence)

    def _take(self, episode: Episode) -> None:
        self.state.returns.add(episode.total_return)
        self.state.newest_return = episode.total_return

    def _lines(self, width: int) -> list[Text]:
        self._measure()
        return block(self.state, width, self.console.options.ascii_only)

    def _measure(self) -> None:
        self.state.cpu_share, self.state.memory = self._load.look(), memory_bytes()

    def _plain_line(self, now: float) -> None:
        """Prints a line where one is due and no block is drawn."""
        if self._live is None and now >= self._line_due:
            self._line_due = now + LINES_EVERY_SECONDS
            self._measure()
            self._say(line(self.state))

    def _say(self, text: str) -> None:
        with while_read(self.console):
            if self._live is not None:
                self._live.refresh()  # a narrower terminal is noticed before anything is printed above the block
            self.console.print(text, soft_wrap=True)
            if not self.console.is_terminal:
                sys.stdout.flush()
