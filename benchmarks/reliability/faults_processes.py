"""Faults 61 to 72: signals, terminals, clocks, machines that lack something, and resuming what changed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reliability.arena import ROOT, Arena, Ended, fingerprint, options, steps_of, wait_for
from benchmarks.reliability.fault_table import Outcome, all_of, row
from benchmarks.reliability.faults_files import FLOOR, kill_at


def slow(what: str) -> Callable[[], None]:
    """Makes evaluations, or the learning at the end of warm-up, last as long as on a slow machine."""

    def tamper() -> None:
        from agent.agent import WorldModelAgent

        name = {"evaluation": "predict", "learning": "study"}[what]
        real = getattr(WorldModelAgent, name)

        def slowly(self: WorldModelAgent, *given: Any, **named: Any) -> Any:
            Path("busy").touch()
            time.sleep(0.2)
            return real(self, *given, **named)

        setattr(WorldModelAgent, name, slowly)

    return tamper


def asked(arena: Arena, number: int, busy: str | None = None) -> tuple[Ended, float]:
    """A run that gets a signal, after a checkpoint or in the midst of something slow; seconds it took."""
    took = [0.0]

    def meanwhile(child: int, folder: Path) -> None:
        if busy is None:
            wait_for(lambda: bool(steps_of(folder)))
        else:
            logs = arena.place / f"{arena.count:03d}-log"
            wait_for((logs / "busy").exists)
            time.sleep(0.3)
        took[0] = time.monotonic()
        os.kill(child, number)

    found = arena.train(meanwhile=meanwhile, tamper=slow(busy) if busy else None)
    return found, time.monotonic() - took[0]


def ends_well(arena: Arena, number: int, code: int) -> Outcome:
    """A checkpoint within 10 s and the code, in training, evaluation and pre-training; the same hashes."""
    whole, checks = arena.train(), {}
    for busy in (None, "evaluation", "learning"):
        found, seconds = asked(arena, number, busy)
        saved = steps_of(found.folder)
        again = arena.resume(found.folder)
        same = again.survived() and fingerprint(again.folder) == fingerprint(whole.folder)
        name = f"in {busy or 'training'}: exit {found.code} after {seconds:.1f} s at {saved[-1:]}, same hashes {same}"
        checks[name] = found.code == code and seconds < 10 and bool(saved) and found.orderly and same
    return all_of(checks)


@row(61, "SIGINT once / twice", "checkpoint, exit 130 / at once")
def _(arena: Arena) -> Outcome:
    once = ends_well(arena, signal.SIGINT, 130)
    took = [0.0]

    def twice(child: int, folder: Path) -> None:
        wait_for(lambda: bool(steps_of(folder)))
        os.kill(child, signal.SIGINT)
        time.sleep(0.3)
        took[0] = time.monotonic()
        os.kill(child, signal.SIGINT)

    def stuck() -> None:
        from joule.training import trainer

        real = trainer.Trainer.save

        def save(self: Any, *given: Any, **named: Any) -> None:
            if self.stopped_by is not None:
                time.sleep(60)
            real(self, *given, **named)

        trainer.Trainer.save = save  # type: ignore[method-assign]

    found = arena.train(meanwhile=twice, tamper=stuck)
    seconds = time.monotonic() - took[0]
    again = arena.resume(found.folder)
    ok = once.ok and found.code == 130 and seconds < 2 and found.orderly and again.survived()
    return Outcome(
        ok, f"once: {once.text}; twice: exit {found.code} after {seconds:.1f} s, resumed: {again.told()}"
    )


@row(62, "SIGTERM", "checkpoint <=10 s, exit 143")
def _(arena: Arena) -> Outcome:
    return ends_well(arena, signal.SIGTERM, 143)


@row(63, "SIGHUP; stdout closed (`| head`)", "SURVIVE / quiet exit")
def _(arena: Arena) -> Outcome:
    hung_up = arena.train(meanwhile=kill_at(40, signal.SIGHUP))
    reader, writer = os.pipe()
    os.close(reader)
    closed = arena.train(stdout=writer)
    os.close(writer)
    reader, writer = os.pipe()
    os.close(reader)
    listing = arena.run_script("evaluate", [str(closed.folder), "--episodes", "1"], stdout=writer)
    os.close(writer)
    terminal = terminal_that_goes(arena)
    return all_of(
        {
            f"SIGHUP: {hung_up.told()}": hung_up.survived(),
            f"a pipe nobody reads: {closed.told()}": closed.survived(),
            f"evaluate into such a pipe: {listing.told()}": listing.code == 0 and listing.orderly,
            f"a terminal that goes: {terminal.told()}": terminal.survived(),
        }
    )


def terminal_that_goes(arena: Arena) -> Ended:
    """A run whose terminal is closed under it."""
    main, terminal = os.openpty()

    def meanwhile(child: int, folder: Path) -> None:
        os.set_blocking(main, False)

        def drained() -> bool:
            with contextlib.suppress(OSError):  # nothing to read now
                os.read(main, 1 << 16)
            return bool(steps_of(folder))

        wait_for(drained)
        os.close(main)
        os.kill(child, signal.SIGHUP)

    found = arena.train(stdout=terminal, meanwhile=meanwhile)
    os.close(terminal)
    return found


@row(64, "SIGSTOP 60 s + SIGCONT", "SURVIVE, no false timeout")
def _(arena: Arena) -> Outcome:
    def sleepy() -> None:
        import tiny_env

        real = tiny_env.Point.step

        def step(self: Any, action: Any) -> Any:
            time.sleep(0.05)  # so that it is stopped inside a step
            return real(self, action)

        tiny_env.Point.step = step  # type: ignore[method-assign]

    def meanwhile(child: int, folder: Path) -> None:
        wait_for(lambda: bool(steps_of(folder)))
        os.kill(child, signal.SIGSTOP)
        time.sleep(60)
        os.kill(child, signal.SIGCONT)

    found = arena.train("--step-timeout-seconds", "5", tamper=sleepy, meanwhile=meanwhile, timeout=180)
    return Outcome(
        found.survived() and found.seconds > 60,
        f"stopped for 60 s with a step timeout of 5 s: {found.told()}",
    )


@row(65, "clock +-1 day, DST", "order by step, monotonic rates")
def _(arena: Arena) -> Outcome:
    def restless() -> None:
        import itertools

        real, jumps = time.time, itertools.cycle((0, 86_400, -86_400, 3_600))
        time.time = lambda: real() + next(jumps)  # type: ignore[assignment]
        nano = time.time_ns
        time.time_ns = lambda: nano() + next(jumps) * 10**9  # type: ignore[assignment]

    whole, found = arena.train(), arena.train(tamper=restless)
    import csv

    with (found.folder / "evaluations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    walls = [float(line["wall_seconds"]) for line in rows]
    frames = [int(line["frames"]) for line in rows]
    same = fingerprint(found.folder) == fingerprint(whole.folder)
    ok = found.survived() and walls == sorted(walls) and walls[0] > 0 and frames == sorted(frames) and same
    return Outcome(
        ok,
        f"{found.told()}, frames {frames}, wall seconds {walls}, same hashes as with a steady clock: {same}",
    )


def without_ffmpeg() -> None:
    import imageio.v2

    def refuse(*given: Any, **named: Any) -> None:
        raise ImportError("To use the imageio ffmpeg plugin you need to install imageio-ffmpeg")

    imageio.v2.get_writer = refuse  # type: ignore[assignment]


@row(66, "ffmpeg/MoviePy missing", "SURVIVE, video off + hint")
def _(arena: Arena) -> Outcome:
    found = arena.train("--video", tamper=without_ffmpeg, changes={"env": "InvertedPendulum-v5", **FLOOR})
    render = arena.run_script("render", [str(found.folder)], tamper=without_ffmpeg)
    hint = found.says("no film", "pip install") and render.code == 2 and render.says("pip install")
    return Outcome(found.survived() and hint, f"train: {found.told()}, hint {hint}; render: {render.told()}")


def afresh(arena: Arena, words: list[str], environ: Mapping[str, str | None], **more: Any) -> Ended:
    """A door in a new interpreter, for what is settled when modules are imported."""
    folder = arena.fresh()
    folder.parent.mkdir(parents=True)
    env = {**os.environ, "HOME": str(arena.place / "home")}
    for name, value in environ.items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words, "--out", str(folder)],
        cwd=more.pop("cwd", folder.parent), env=env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - began, folder)


@row(67, "no GL / bad `MUJOCO_GL`", "try EGL, then OSMesa, then off + hint")
def _(arena: Arena) -> Outcome:
    words = [w for w in options({"env": "InvertedPendulum-v5", **FLOOR, "steps": 40}) if w != "--no-video"]
    checks = {}
    for value in (None, "bogus", "osmesa", "glfw"):
        found = afresh(arena, words, {"MUJOCO_GL": value, "DISPLAY": None})
        filmed = any(found.folder.glob("videos/*.mp4"))
        checks[f"MUJOCO_GL={value}: exit {found.code}, {'a film' if filmed else 'no film'}"] = (
            found.survived() and (filmed or found.says("no film", "MUJOCO_GL"))
        )
    return all_of(checks)


@row(68, "frame size changes, 0-frame video", "no crash, valid file or none")
def _(arena: Arena) -> Outcome:
    import imageio.v2 as imageio

    from envs.rendering.frames import write_mp4

    path = arena.place / "film.mp4"
    sizes = [(64, 64), (48, 80), (65, 33), (64, 64)]
    write_mp4(path, (np.full((*size, 3), 100, np.uint8) for size in sizes), 10.0)
    reader: Any = imageio.get_reader(path)
    read = sum(1 for _ in reader)
    none = arena.place / "none.mp4"
    wrote = write_mp4(none, iter(()), 10.0)
    left = [p.name for p in arena.place.glob("*.mp4*")] + [p.name for p in arena.place.glob(".none*")]
    return Outcome(
        read == 4 and not wrote and left == ["film.mp4"],
        f"4 sizes give {read} frames; no frame gives no file: {left}",
    )


@row(69, "resume with other thread count / torch / mujoco version", 'warn "not bit-exact", recorded')
def _(arena: Arena) -> Outcome:
    made, checks = arena.train(changes={"steps": 80}), {}

    def other(name: str) -> Callable[[], None]:
        def tamper() -> None:
            from joule.storage import provenance
            from joule.storage import run_folder as runs

            real = provenance.versions()
            runs.versions = lambda: {**real, name: "9.9"}  # type: ignore[assignment]

        return tamper

    for name in ("torch", "mujoco"):
        folder = arena.fresh()
        shutil.copytree(made.folder, folder)
        found = arena.resume(folder, "--steps", "120", tamper=other(name))
        checks[name] = (
            found.survived()
            and found.says("not bit-exact", f"{name} ")
            and found.counted("inexact_resumes") == 1
        )
    folder = arena.fresh()
    shutil.copytree(made.folder, folder)
    found = arena.resume(folder, "--steps", "120", "--threads", "2", "--override")
    checks["threads"] = (
        found.survived()
        and found.says("not bit-exact", "threads 1 -> 2")
        and found.counted("inexact_resumes") == 1
    )
    return all_of(checks)


@row(
    70,
    "resume with changed config; finished run; larger budget",
    "diff shown, REJECT w/o --override; no-op; continues",
)
def _(arena: Arena) -> Outcome:
    made = arena.train()
    before = {p: p.stat().st_mtime_ns for p in made.folder.rglob("*") if p.is_file()}
    noop = arena.resume(made.folder)
    touched = sorted(p.name for p, at in before.items() if p.stat().st_mtime_ns != at)
    changed = arena.resume(made.folder, "--learning.batch_size", "32")
    smaller = arena.resume(made.folder, "--steps", "60")
    larger = arena.resume(made.folder, "--steps", "160")
    larger_frames = larger.summary()["frames"] if larger.survived() else 0
    forced = arena.resume(made.folder, "--steps", "200", "--learning.batch_size", "32", "--override")
    return all_of(
        {
            f"finished: exit {noop.code}, touched {touched}": noop.code == 0 and noop.says("nothing to do"),
            "changed": changed.code == 2 and changed.says("learning.batch_size 16 -> 32", "--override"),
            "smaller": smaller.code == 2 and smaller.says("steps"),
            "larger": larger_frames == 160,
            "--override": forced.survived() and forced.summary()["frames"] == 200,
        }
    )


@row(71, "LC_ALL=C / decimal-comma locale, HOME unset, no network", "works")
def _(arena: Arena) -> Outcome:
    small = {"steps": 60}
    whole = arena.train(changes=small)

    def offline() -> None:
        import socket

        def refuse(*given: Any, **named: Any) -> None:
            raise OSError("no network")

        socket.socket.connect = refuse  # type: ignore[method-assign, assignment]
        socket.getaddrinfo = refuse  # type: ignore[assignment]

    checks = {}
    plain = afresh(
        arena,
        options({**small, "env": "InvertedPendulum-v5"}),
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "HOME": None},
    )
    checks[f"LC_ALL=C, ASCII, no HOME: {plain.told()}"] = plain.survived()
    cut = arena.train(changes=small, tamper=offline)
    checks["no network"] = cut.survived() and fingerprint(cut.folder) == fingerprint(whole.folder)
    comma = decimal_comma(arena)
    if comma is None:
        found = all_of(checks)
        return Outcome(found.ok, f"{found.text}; no decimal-comma locale is here or can be made: not tried")
    for env in ("InvertedPendulum-v5", "joule/Reach-v0"):  # both read numbers out of XML
        # Short episodes: until its first seeded reset has passed, a body's own generator is as chance made it.
        chosen = {**small, "env": env, "max-episode-frames": 20}
        point = arena.train(changes=chosen)
        there = arena.train(
            changes=chosen, folder=arena.fresh("comma"), environ=comma, tamper=speak, curve=True
        )
        same = there.survived() and fingerprint(there.folder) == fingerprint(point.folder)
        checks[f"{comma['LC_ALL']}: {env} {there.told()}, the same run"] = same
    again = arena.resume(there.folder, "--steps", "90", environ=comma, tamper=speak)
    checks["resumed there"] = again.survived() and again.summary()["frames"] == 90
    for name, words in (("evaluate", [str(there.folder), "--episodes", "1"]),
                        ("compare", [str(there.folder), str(point.folder), "--out", str(arena.fresh())])):  # fmt: skip
        checks[f"{name} there"] = arena.run_script(name, words, environ=comma, tamper=speak).code == 0
    return all_of(checks)


def speak() -> None:
    """Takes over the locale of the environment, as a library might; C then reads 1.5 as 1."""
    import locale

    locale.setlocale(locale.LC_ALL, "")
    if locale.localeconv()["decimal_point"] != ",":
        raise AssertionError("this locale has no decimal comma")


def decimal_comma(arena: Arena) -> dict[str, str] | None:
    """The environment of a user whose numbers have a comma, in a locale made here from the system's sources."""
    name, place = "de_DE.UTF-8", arena.place / "locales"
    place.mkdir()
    try:
        subprocess.run(
            ["localedef", "-i", "de_DE", "-f", "UTF-8", place / name], capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"LC_ALL": name, "LOCPATH": str(place)}


def diverges() -> None:
    """The physics of the pendulum is thrown out of bounds again and again."""
    from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv

    real, life = InvertedPendulumEnv.step, [0]

    def step(self: Any, action: Any) -> Any:
        life[0] += 1
        if life[0] % 7 == 0:
            self.data.qvel[:] = 1e12
        return real(self, action)

    InvertedPendulumEnv.step = step  # type: ignore[method-assign]


@row(72, "`MUJOCO_LOG.TXT` in cwd, read-only cwd", "no stray files, no crash")
def _(arena: Arena) -> Outcome:
    here = arena.fresh("here")
    here.mkdir(parents=True)
    found = arena.train(changes={"env": "InvertedPendulum-v5"}, tamper=diverges, cwd=here)
    stray = sorted(os.listdir(here))
    count = found.counted("diverged_steps")
    locked = arena.train(changes={"env": "InvertedPendulum-v5", "steps": 40}, cwd=Path("/proc"))
    ok = found.survived() and not stray and count > 0 and locked.survived()
    return Outcome(
        ok,
        f"{count} diverged steps: {found.told()}, stray files: {stray or 'none'}; "
        f"in a folder that cannot be written: {locked.told()}",
    )
