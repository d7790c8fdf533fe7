"""The display of a run: what it says and when, and how it is drawn on any terminal."""

from __future__ import annotations

import dataclasses
import io
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.text import Text

from joule.callbacks.callback import Activity, Episode, EvaluationResult, Measurement, RunStart
from joule.report import episode_display, progress
from joule.report.console import PipeSafeConsole
from joule.report.episode_display import EpisodeDisplay
from joule.report.goals_display import GoalsDisplay
from joule.report.live_block import LiveBlock
from joule.report.progress import Progress
from joule.report.progress_lines import ProgressState, block, duration
from joule.report.sparkline import BLOCKS, History, sparkline
from joule.report.startup_line import StartupLine


class Clock:
    """Replaces `time.monotonic`."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Counting:
    """An agent of which the display sees the counter."""

    def __init__(self, frames: int) -> None:
        self.frames = frames


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


START = RunStart(
    Path("runs/arm"), "ab" * 16, {"env": "Arm-v0", "agent": "joule", "steps": 1_000}, "cuda:0", 400, 9.0, True,
    [Episode(100 * i, float(i), 100) for i in range(4)],
)  # fmt: skip


def test_a_file_gets_a_line_soon_and_then_regularly_whatever_the_run_does(clock: Clock) -> None:
    stream, agent = io.StringIO(), Counting(400)
    with Progress(PipeSafeConsole(stream, width=300)) as shown:
        shown.on_start(START)
        for seconds in range(46):
            clock.now, agent.frames = 1_000.0 + seconds, 400 + 10 * seconds
            if 20 <= seconds < 40:
                shown.on_activity(Activity("evaluating", (seconds - 19) / 20, seconds // 10 - 2, 2))
            else:
                shown.on_step(agent)
    header, first, second, third = stream.getvalue().splitlines()
    assert header == "joule in Arm-v0, 1,000 frames from frame 400 on -> runs/arm"
    assert "450 frames   45 %  return 3.0  10 frames/s  0:55 left  cuda:0" in first
    assert "590 frames   59 %  evaluating 30 %, 0 of 2 episodes" in second
    assert "850 frames   85 %  return 3.0" in third


def test_the_rate_of_random_actions_says_nothing_of_the_time_that_learning_takes(clock: Clock) -> None:
    shown, agent = Progress(PipeSafeConsole(io.StringIO(), width=300)), Counting(0)
    shown.on_start(dataclasses.replace(START, frames=0, episodes=[]))
    left = []
    for seconds in range(4):
        clock.now, agent.frames = (
            1_000.0 + seconds,
            100 * seconds if seconds < 2 else 100 + 10 * (seconds - 1),
        )
        shown.on_metrics(Measurement(100, {"loss/critic" if seconds == 1 else "decisions": 1.0}, 1.0))
        shown.on_step(agent)
        left.append(shown.state.seconds_left)
    assert left[0] is None
    assert left[-1] == pytest.approx(88.0), "880 frames at 10 a second"


@pytest.mark.parametrize("width", [20, 40, 59])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_the_block_fits_the_terminal_and_shows_all(width: int, ascii_only: bool) -> None:
    state = ProgressState("cpu", 10_000, frames=2_500, rate=50.0, cpu_share=0.97, memory=812_000_000)
    state.activity = Activity("filming", 0.5, 0, 1)
    state.values = {"surprise": 1.0, "latent/rank": 20.0, "energy/critic": -3.25}
    state.evaluated = {"return_mean": 12.0, "return_std": 1.0, "frames": 2_000}
    for value in range(64):
        state.returns.add(value)
    state.newest_return = 63.0
    lines = [line.plain for line in block(state, width, ascii_only)]
    text = "\n".join(lines)
    for part in (
        "training", " 25 %", "2:30 left", "2,500 of 10,000 frames, 50 a second", "filming", " 50 %", "63.0",
        "12.0 ± 1.0 at 2,000", "surprise 1.00", "critic -3.25", "cpu, 97 % of a core, 812 MB",
    ):  # fmt: skip
        assert part in text
    if width == 59:
        assert max(map(len, lines)) <= width
        assert ("▁▂" in text, "━━" in text) == (not ascii_only, not ascii_only)
    if ascii_only:
        text.replace("±", "").encode("ascii")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_narrower_terminal_is_cleared_of_what_it_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    console = PipeSafeConsole(stream, width=59)
    live = LiveBlock(console, lambda width: [Text("x" * width), Text("short"), Text("y" * width)])
    live.auto_refresh = False

    def rows_up() -> int:
        before = len(stream.getvalue())
        live.refresh()
        return stream.getvalue()[before:].count("\x1b[1A")

    live.start(refresh=True)
    assert rows_up() == 2
    console.width = 30
    assert rows_up() == 4, "three lines are five rows in 30 columns"
    assert rows_up() == 2
    console.width = 120
    assert rows_up() == 2
    live.stop()
    assert stream.getvalue().endswith("\x1b[?25h\r" + "\x1b[1A\x1b[2K" * 3), "nothing stays"


def test_a_sparkline_has_the_shape_of_its_values_in_any_number() -> None:
    assert sparkline(range(8), 8) == BLOCKS
    assert sparkline([value for value in range(8) for _ in range(100)], 8) == BLOCKS
    assert sparkline([5.0, 5.0], 9) == BLOCKS[4] * 2
    assert sparkline([-1.7e308, float("nan"), 1.7e308], 9) == BLOCKS[0] + BLOCKS[-1]
    assert sparkline([], 9) == sparkline([float("inf")], 9) == sparkline([1.0], 0) == ""
    history = History(capacity=8)
    for value in range(1_000):
        history.add(value)
    assert len(history.values) <= 8
    assert history.values == sorted(history.values)
    assert history.values[0] == pytest.approx((history.of_each - 1) / 2)


def test_a_duration_is_read_at_a_glance() -> None:
    assert [duration(seconds) for seconds in (0, 59.6, 3_723, -1)] == ["0:00", "1:00", "1:02:03", "0:00"]


def test_a_slow_start_is_announced_and_a_fast_one_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with StartupLine("starting", 0.0) as line:
        line._timer.join(5.0)
    with StartupLine("not shown", 0.2) as line:
        line.on_start(START)
        line._timer.join(5.0)
    assert capsys.readouterr().out == "starting\n"


def test_a_slow_start_without_a_reader_prints_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[Any] = []

    class Left(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(threading, "excepthook", raised.append)
    monkeypatch.setattr(sys, "stdout", Left())
    with StartupLine("starting", 0.0) as line:
        line._timer.join(5.0)
    assert raised == []


def test_results_go_to_stdout_as_they_come_and_progress_to_stderr(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert episode_display.time is progress.time
    with EpisodeDisplay("evaluating", 2, lambda seed, value, _: f"{seed} {value}") as shown:
        for step in range(1, 5):
            clock.now += 6.0
            shown.progress(step / 4)
            if step == 2:
                shown.episode(7, 1.5, 10)
                assert capsys.readouterr() == ("7 1.5\n", "evaluating: 50 %, 0 of 2 episodes, 0:06 left\n")
    assert capsys.readouterr() == ("", "")


def test_goals_are_reached_in_attempts(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with GoalsDisplay() as shown:
        for done in (3, 6):
            clock.now += 10.0
            shown.progress(done, 9)
    assert "reaching goals: 67 %, 6 of 9 attempts" in capsys.readouterr().err


def test_an_evaluation_is_one_line(clock: Clock) -> None:
    stream = io.StringIO()
    row: dict[str, Any] = {"frames": 500, "return_mean": 2.0, "return_std": 1.0, "episodes": 1}
    shown = Progress(PipeSafeConsole(stream, width=300))
    shown.on_evaluation(EvaluationResult(500, np.ones(1), np.ones(1), row))
    assert stream.getvalue() == "      500 frames  evaluated: return 2.0 ± 1.0, 1 held-out episode\n"
