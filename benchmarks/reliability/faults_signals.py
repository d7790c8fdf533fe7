"""Faults 61 to 65: signals, closed terminals and pipes, suspended processes, and clocks that jump."""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import time
from pathlib import Path
from typing import Any

from benchmarks.reliability.command_result import CommandResult
from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.faults_disk import signal_at
from benchmarks.reliability.run_fingerprint import checkpoint_frames, fingerprint
from benchmarks.reliability.sandbox import Patch, Sandbox, wait_until

PHASES = ("training", "evaluation", "learning")
"""What the run does when the signal comes; learning is the pre-training at the end of warm-up."""


def slow(phase: str) -> Patch:
    """Makes every decision of evaluations, or every gradient step, take 0.2 s, and marks its start by a file."""

    def patch() -> None:
        from agent.agent import WorldModelAgent
        from agent.learning.interaction import Interaction

        owner: Any = WorldModelAgent if phase == "evaluation" else Interaction
        name = "predict" if phase == "evaluation" else "update_once"
        real = getattr(owner, name)

        def slowly(self: Any, *given: Any, **named: Any) -> Any:
            Path("busy").touch()
            time.sleep(0.2)
            return real(self, *given, **named)

        setattr(owner, name, slowly)

    return patch


def interrupted(sandbox: Sandbox, number: int, phase: str) -> tuple[CommandResult, float]:
    """A run that gets a signal in one of PHASES.

    Returns:
        Its result, and the seconds from the signal to its end.
    """
    sent = [0.0]

    def meanwhile(child: int, folder: Path) -> None:
        if phase == "training":
            wait_until(lambda: bool(checkpoint_frames(folder)))
        else:
            wait_until((sandbox.newest_log / "busy").exists)
            time.sleep(0.3)
        sent[0] = time.monotonic()
        os.kill(child, number)

    patch = None if phase == "training" else slow(phase)
    result = sandbox.train(meanwhile=meanwhile, patch=patch)
    return result, time.monotonic() - sent[0]


def saves_and_ends(sandbox: Sandbox, number: int, code: int) -> Outcome:
    """Whether a signal leads to a checkpoint and this exit code within 10 s, and the resumed run is the same."""
    reference, checks = fingerprint(sandbox.train().folder), {}
    for phase in PHASES:
        result, seconds = interrupted(sandbox, number, phase)
        saved = checkpoint_frames(result.folder)
        again = sandbox.resume(result.folder)
        same = again.survived() and fingerprint(again.folder) == reference
        ended = f"exit {result.code} after {seconds:.1f} s at {saved[-1:]}, same hashes {same}"
        in_time = result.code == code and seconds < 10
        checks[f"in {phase}: {ended}"] = in_time and bool(saved) and result.no_traceback and same
    return all_of(checks)


@fault(61, "SIGINT once / twice", "checkpoint, exit 130 / at once")
def interrupt(sandbox: Sandbox) -> Outcome:
    once = saves_and_ends(sandbox, signal.SIGINT, 130)
    sent = [0.0]

    def twice(child: int, folder: Path) -> None:
        wait_until(lambda: bool(checkpoint_frames(folder)))
        os.kill(child, signal.SIGINT)
        time.sleep(0.3)
        sent[0] = time.monotonic()
        os.kill(child, signal.SIGINT)

    def slow_save() -> None:
        from joule.training.trainer import Trainer

        real = Trainer.save

        def save(self: Any, *given: Any, **named: Any) -> None:
            if self.stopped_by is not None:
                time.sleep(60)
            real(self, *given, **named)

        Trainer.save = save  # type: ignore[method-assign]

    result = sandbox.train(meanwhile=twice, patch=slow_save)
    seconds = time.monotonic() - sent[0]
    again = sandbox.resume(result.folder)
    at_once = result.code == 130 and seconds < 2 and result.no_traceback
    second = f"twice: exit {result.code} after {seconds:.1f} s, resumed: {again.describe()}"
    return Outcome(once.ok and at_once and again.survived(), f"once: {once.text}; {second}")


@fault(62, "SIGTERM", "checkpoint <=10 s, exit 143")
def terminate(sandbox: Sandbox) -> Outcome:
    return saves_and_ends(sandbox, signal.SIGTERM, 143)


@fault(63, "SIGHUP; stdout closed (`| head`)", "SURVIVE / quiet exit")
def closed_output(sandbox: Sandbox) -> Outcome:
    hung_up = sandbox.train(meanwhile=signal_at(40, signal.SIGHUP))
    with closed_pipe() as pipe:
        closed = sandbox.train(stdout=pipe)
    with closed_pipe() as pipe:
        evaluated = sandbox.run_command("evaluate", [str(closed.folder), "--episodes", "1"], stdout=pipe)
    terminal = closed_terminal(sandbox)
    quiet = evaluated.code == 0 and evaluated.no_traceback
    return all_of(
        {
            f"SIGHUP: {hung_up.describe()}": hung_up.survived(),
            f"a pipe without a reader: {closed.describe()}": closed.survived(),
            f"evaluate into such a pipe: {evaluated.describe()}": quiet,
            f"a closed terminal: {terminal.describe()}": terminal.survived(),
        }
    )


@contextlib.contextmanager
def closed_pipe() -> Any:
    """The writing end of a pipe whose reading end is closed."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


def closed_terminal(sandbox: Sandbox) -> CommandResult:
    """A run whose terminal is closed while it trains."""
    main, terminal = os.openpty()

    def meanwhile(child: int, folder: Path) -> None:
        os.set_blocking(main, False)

        def drained() -> bool:
            with contextlib.suppress(OSError):  # there is nothing to read
                os.read(main, 1 << 16)
            return bool(checkpoint_frames(folder))

        wait_until(drained)
        os.close(main)
        os.kill(child, signal.SIGHUP)

    # The child inherits both ends; it must not keep the other end open.
    result = sandbox.train(stdout=terminal, meanwhile=meanwhile, patch=lambda: os.close(main))
    os.close(terminal)
    return result


@fault(64, "SIGSTOP 60 s + SIGCONT", "SURVIVE, no false timeout")
def suspended(sandbox: Sandbox) -> Outcome:
    def slow_steps() -> None:
        import tiny_env

        real = tiny_env.Point.step

        def step(self: Any, action: Any) -> Any:
            time.sleep(0.05)  # so that it is suspended inside a step
            return real(self, action)

        tiny_env.Point.step = step  # type: ignore[method-assign]

    def meanwhile(child: int, folder: Path) -> None:
        wait_until(lambda: bool(checkpoint_frames(folder)))
        os.kill(child, signal.SIGSTOP)
        time.sleep(60)
        os.kill(child, signal.SIGCONT)

    words = ("--step-timeout-seconds", "5")
    result = sandbox.train(*words, patch=slow_steps, meanwhile=meanwhile, timeout=180)
    text = f"stopped for 60 s with a step timeout of 5 s: {result.describe()}"
    return Outcome(result.survived() and result.seconds > 60, text)


@fault(65, "clock +-1 day, DST", "order by step, monotonic rates")
def jumping_clock(sandbox: Sandbox) -> Outcome:
    def jump() -> None:
        import itertools

        real, nanoseconds = time.time, time.time_ns
        jumps = itertools.cycle((0, 86_400, -86_400, 3_600))
        time.time = lambda: real() + next(jumps)  # type: ignore[assignment]
        time.time_ns = lambda: nanoseconds() + next(jumps) * 10**9  # type: ignore[assignment]

    reference, result = sandbox.train(), sandbox.train(patch=jump)
    with (result.folder / "evaluations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    walls, frames = [float(row["wall_seconds"]) for row in rows], [int(row["frames"]) for row in rows]
    same = fingerprint(result.folder) == fingerprint(reference.folder)
    ordered = walls == sorted(walls) and walls[0] > 0 and frames == sorted(frames)
    text = f"{result.describe()}, frames {frames}, wall seconds {walls}, same hashes as with a steady clock: {same}"
    return Outcome(result.survived() and ordered and same, text)
