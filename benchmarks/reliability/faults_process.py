"""Faults 201 to 211: signals from the first moment of a command to its end, in the film, and in hung machine code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.reliability.command_result import CommandResult
from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.faults_disk import RANDOM
from benchmarks.reliability.faults_signals import PHASES, interrupted, saves_and_ends
from benchmarks.reliability.run_fingerprint import checkpoint_frames, fingerprint
from benchmarks.reliability.sandbox import ROOT, TEST_ENVS, Patch, Sandbox, options, wait_until

MOMENTS = (0.05, 0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
"""Seconds from the start of a new process to a signal."""
FILMED = {**RANDOM, "env": "drawn_env:joule-tests/Drawn-v0", "steps": 60, "eval_every_frames": 60}
CLUSTER_SIGNALS = ("SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGALRM")


def start(sandbox: Sandbox, name: str, words: list[str], **process: Any) -> subprocess.Popen[str]:
    """A command in a new interpreter, in a new process group."""
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # as in the background of a shell; it would be inherited
        signal.signal(signal.SIGINT, signal.default_int_handler)
    here = sandbox.new_path()
    here.mkdir(parents=True)
    variables = {**os.environ, "HOME": str(sandbox.place / "home"), "PYTHONPATH": TEST_ENVS}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": here, "env": variables, **process}
    command = [sys.executable, str(ROOT / f"{name}.py"), *words]
    return subprocess.Popen(command, text=True, start_new_session=True, **streams)


def after(process: subprocess.Popen[str], folder: Path, timeout: float = 300.0) -> CommandResult:
    """The result of a process, which is killed after `timeout` seconds."""
    began = time.monotonic()
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    return CommandResult(process.returncode, out, err, time.monotonic() - began, folder)


def leftovers(folder: Path) -> list[str]:
    """Temporary files in a run folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*") if path.is_file())


def ended_by(result: CommandResult, number: int) -> bool:
    """Whether a command ended by a signal without a traceback: by its own exit code, or killed before it had one.

    A traceback of the interpreter's own start, before the first line of a script, is none of Joule's.
    """
    if not result.no_traceback:
        return str(ROOT) not in result.err and "Exception ignored" not in result.err
    return result.code in (128 + number, -number)


def at_every_moment(
    sandbox: Sandbox, name: str, words: list[str], number: int, folder: Path
) -> dict[str, bool]:
    """A signal to a new process at each of MOMENTS: no traceback, no temporary file, and an end within 15 s.

    Args:
        sandbox: holds what the process writes.
        name: the command.
        words: its arguments, without --out.
        number: the signal.
        folder: where else temporary files are looked for.
    """
    checks, suffix = {}, {"evaluate": ".json", "render": ".mp4"}.get(name, "")
    for seconds in MOMENTS:
        path = sandbox.new_path()
        path.parent.mkdir()
        process = start(sandbox, name, [*words, "--out", str(path.with_suffix(suffix))])
        time.sleep(seconds)
        process.send_signal(number)
        result = after(process, path)
        left = [*leftovers(path.parent), *leftovers(folder)]
        over = result.code == 0 and result.seconds < 1.0  # it was at its end
        ok = (ended_by(result, number) or over) and result.seconds < 15 and not left
        checks[
            f"{name} {signal.Signals(number).name} at {seconds} s: exit {result.code} {left or ''}".strip()
        ] = ok
        if result.code == 0:
            break  # it was over before
    return checks


@fault(
    201,
    "SIGINT, SIGTERM, SIGUSR1 to a new process after 0.05 to 8 s",
    "exit 128 + n, no traceback from the first line of a script on",
)
def signal_at_the_start(sandbox: Sandbox) -> Outcome:
    checks: dict[str, bool] = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        checks |= at_every_moment(sandbox, "train", options(), number, sandbox.place / "home")
    return all_of(checks)


@fault(202, "SIGHUP to a new process after 0.2 to 6 s", "SURVIVE")
def hangup_at_the_start(sandbox: Sandbox) -> Outcome:
    checks = {}
    for seconds in (0.2, 0.5, 1.0, 3.0, 6.0):
        path = sandbox.new_path()
        path.parent.mkdir()
        process = start(sandbox, "train", [*options(RANDOM), "--out", str(path)])
        time.sleep(seconds)
        process.send_signal(signal.SIGHUP)
        checks[f"at {seconds} s"] = after(process, path).survived()
    return all_of(checks)


@fault(203, "SIGUSR1, SIGUSR2, SIGXCPU, SIGALRM in training", "checkpoint <=10 s, exit 128 + n")
def signals_of_clusters(sandbox: Sandbox) -> Outcome:
    reference, checks = fingerprint(sandbox.train().folder), {}
    for name in CLUSTER_SIGNALS:
        number = getattr(signal, name)
        result, seconds = interrupted(sandbox, number, PHASES[0])
        saved = checkpoint_frames(result.folder)
        again = sandbox.resume(result.folder)
        same = again.survived() and fingerprint(again.folder) == reference
        ended = result.code == 128 + number and result.no_traceback and seconds < 10 and bool(saved)
        checks[f"{name}: exit {result.code} after {seconds:.1f} s, same hashes {same}"] = ended and same
    everywhere = saves_and_ends(sandbox, signal.SIGUSR1, 128 + signal.SIGUSR1)
    return all_of({**checks, f"SIGUSR1 in every phase: {everywhere.text}": everywhere.ok})


@fault(204, "SIGTERM repeated while the checkpoint is written", "the checkpoint is complete")
def repeated_signal(sandbox: Sandbox) -> Outcome:
    def slow_save() -> None:
        from joule.training.trainer import Trainer

        real = Trainer.save

        def save(self: Any, *given: Any, **named: Any) -> None:
            if self.stopped_by is not None:
                Path("busy").touch()
                time.sleep(2.0)
            real(self, *given, **named)

        Trainer.save = save  # type: ignore[method-assign]

    def meanwhile(child: int, folder: Path) -> None:
        wait_until(lambda: bool(checkpoint_frames(folder)))
        for number in (signal.SIGUSR1, signal.SIGUSR1):
            os.kill(child, number)
        wait_until((sandbox.newest_log / "busy").exists)
        for _ in range(3):
            time.sleep(0.3)
            os.kill(child, signal.SIGTERM)

    reference = fingerprint(sandbox.train().folder)
    result = sandbox.train(meanwhile=meanwhile, patch=slow_save)
    again = sandbox.resume(result.folder)
    same = again.survived() and fingerprint(again.folder) == reference
    ok = result.code == 128 + signal.SIGUSR1 and result.no_traceback and not leftovers(result.folder) and same
    return Outcome(ok, f"SIGUSR1 twice, then SIGTERM three times: {result.describe()}, same hashes {same}")


@fault(205, "SIGQUIT (Ctrl-\\)", "ends at once; resumed from the last checkpoint")
def quit_at_once(sandbox: Sandbox) -> Outcome:
    reference = fingerprint(sandbox.train().folder)
    result, seconds = interrupted(sandbox, signal.SIGQUIT, PHASES[0])
    again = sandbox.resume(result.folder)
    same = again.survived() and fingerprint(again.folder) == reference
    ok = result.code == -signal.SIGQUIT and seconds < 2 and same
    return Outcome(ok, f"{result.describe()} after {seconds:.1f} s, same hashes {same}")


def slow_film() -> None:
    """Every frame of a film takes 0.2 s, and marks its start by a file."""
    import drawn_env

    real = drawn_env.Drawn.render

    def render(self: Any) -> Any:
        Path("busy").touch()
        time.sleep(0.2)
        return real(self)

    drawn_env.Drawn.render = render  # type: ignore[method-assign]


def in_the_film(sandbox: Sandbox, number: int) -> CommandResult:
    """A run that gets a signal while the film at its end is made."""

    def meanwhile(child: int, folder: Path) -> None:
        wait_until((sandbox.newest_log / "busy").exists)
        time.sleep(0.5)
        os.kill(child, number)

    return sandbox.train("--video", changes=FILMED, patch=slow_film, meanwhile=meanwhile)


def completed(sandbox: Sandbox, folder: Path) -> bool:
    """Whether a resume makes the film and the curve that are missing, and the next one says that all is done."""
    before = (folder / "evaluations.csv").read_text()
    again = sandbox.resume(folder, curve=True)
    nothing = sandbox.resume(folder)
    whole = (folder / "videos" / "step-60.mp4").exists() and (folder / "curve.png").exists()
    same = (folder / "evaluations.csv").read_text() == before
    return again.survived() and whole and same and not leftovers(folder) and nothing.mentions("nothing to do")


@fault(206, "SIGINT, SIGTERM, SIGUSR1 in the film at the end of a run", "exit 128 + n, no part of a film")
def signal_in_the_film(sandbox: Sandbox) -> Outcome:
    checks = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        result = in_the_film(sandbox, number)
        clean = bool(result.summary()) and not leftovers(result.folder)
        ended = result.code == 128 + number and result.no_traceback and result.mentions("--resume")
        made = completed(sandbox, result.folder)
        name = f"{signal.Signals(number).name}: {result.describe()}, made by a resume {made}"
        checks[name] = ended and clean and made
    return all_of(checks)


@fault(207, "SIGHUP in the film at the end of a run", "SURVIVE")
def hangup_in_the_film(sandbox: Sandbox) -> Outcome:
    result = in_the_film(sandbox, signal.SIGHUP)
    made = (result.folder / "videos" / "step-60.mp4").exists()
    return Outcome(result.survived() and made, f"{result.describe()}, a film {made}")


@fault(208, "SIGKILL in the film, in the curve, before the summary", "a resume makes what is missing")
def kill_at_the_end(sandbox: Sandbox) -> Outcome:
    result = in_the_film(sandbox, signal.SIGKILL)
    checks = {f"in the film, leaves {leftovers(result.folder)}": completed(sandbox, result.folder)}
    for place in ("joule.report.curves.learning_curve", "joule.storage.run_folder.Run.finish"):
        killed = sandbox.train("--video", changes=FILMED, patch=killed_at(place), curve=True)
        checks[f"at {place}: {killed.describe()}"] = killed.code == -signal.SIGKILL and completed(
            sandbox, killed.folder
        )
    return all_of(checks)


def killed_at(place: str) -> Patch:
    """SIGKILL at a call of a function."""

    def patch() -> None:
        import pkgutil

        owner, _, name = place.rpartition(".")
        setattr(pkgutil.resolve_name(owner), name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))

    return patch


@fault(209, "Ctrl-C in a terminal while a film is made: ffmpeg gets it too", "exit 130, no part of a film")
def interrupt_of_the_group(sandbox: Sandbox) -> Outcome:
    run = sandbox.train(changes=FILMED).folder
    film = run / "videos" / "film.mp4"
    process = start(sandbox, "render", [str(run), "--episodes", "2000", "--out", str(film)])
    begun = wait_until(lambda: any(run.rglob(".*.mp4")))
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)
    result = after(process, run)
    ok = begun and result.code == 130 and result.no_traceback and not leftovers(run) and not film.exists()
    return Outcome(ok, f"{result.describe()}, leaves {leftovers(run)}")


@fault(210, "a simulator hangs in machine code: Ctrl-C twice", "ends in 3 s, exit 130")
def interrupt_of_a_hung_step(sandbox: Sandbox) -> Outcome:
    def hang() -> None:
        import ctypes

        import tiny_env

        real, steps, libc = tiny_env.Point.step, [0], ctypes.CDLL(None)

        def step(self: Any, action: Any) -> Any:
            steps[0] += 1
            if steps[0] == 100:
                Path("busy").touch()
                mutex = ctypes.create_string_buffer(64)
                for _ in range(2):  # the second time, it waits for ever; no signal interrupts it
                    libc.pthread_mutex_lock(mutex)
            return real(self, action)

        tiny_env.Point.step = step  # type: ignore[method-assign]

    sent = [0.0]

    def twice(child: int, folder: Path) -> None:
        wait_until((sandbox.newest_log / "busy").exists)
        time.sleep(0.5)
        os.kill(child, signal.SIGINT)
        time.sleep(0.5)
        sent[0] = time.monotonic()
        os.kill(child, signal.SIGINT)

    result = sandbox.train(patch=hang, meanwhile=twice, timeout=60)
    seconds = time.monotonic() - sent[0]
    again = sandbox.resume(result.folder)
    ok = result.code == 130 and seconds < 3 and result.no_traceback and again.survived()
    return Outcome(ok, f"{result.describe()} after {seconds:.1f} s; resumed: {again.describe()}")


@fault(
    211,
    "a signal to evaluate, render, explain, compare after 0.05 to 8 s",
    "exit 128 + n, nothing half-written",
)
def signals_to_other_commands(sandbox: Sandbox) -> Outcome:
    run = sandbox.train(changes={"env": FILMED["env"]}).folder
    before = sorted(path.name for path in run.iterdir())
    checks: dict[str, bool] = {}
    commands = {
        "evaluate": [str(run), "--episodes", "2000"],
        "render": [str(run), "--episodes", "2000"],
        "explain": [str(run), "--step", "20"],
        "compare": [str(run)],
    }
    for name, words in commands.items():
        for number in (signal.SIGINT, signal.SIGHUP):
            checks |= at_every_moment(sandbox, name, words, number, run)
    same = sorted(path.name for path in run.iterdir()) == before
    return all_of({**checks, "the run folder is as before": same})
