"""Faults 66 to 72: missing libraries, locales, other versions, and resumes with other settings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reliability.command_result import CommandResult
from benchmarks.reliability.fault_table import Outcome, all_of, fault
from benchmarks.reliability.faults_disk import RANDOM
from benchmarks.reliability.run_fingerprint import fingerprint
from benchmarks.reliability.sandbox import ROOT, Patch, Sandbox, options


def without_ffmpeg() -> None:
    """Videos cannot be encoded."""
    import imageio.v2

    def refuse(*given: Any, **named: Any) -> None:
        raise ImportError("To use the imageio ffmpeg plugin you need to install imageio-ffmpeg")

    imageio.v2.get_writer = refuse  # type: ignore[assignment]


@fault(66, "ffmpeg/MoviePy missing", "SURVIVE, video off + hint")
def missing_encoder(sandbox: Sandbox) -> Outcome:
    rendered = {"env": "InvertedPendulum-v5", **RANDOM}
    result = sandbox.train("--video", patch=without_ffmpeg, changes=rendered)
    render = sandbox.run_command("render", [str(result.folder)], patch=without_ffmpeg)
    hint = result.mentions("pip install") and render.code == 2 and render.mentions("pip install")
    text = f"train: {result.describe()}, hint {hint}; render: {render.describe()}"
    return Outcome(result.survived() and hint, text)


def train_in_new_interpreter(
    sandbox: Sandbox, words: list[str], environ: Mapping[str, str | None]
) -> CommandResult:
    """A training run in a new interpreter, for what is decided when modules are imported.

    Args:
        sandbox: holds the run folder.
        words: options of train.
        environ: environment variables; None removes one.
    """
    folder = sandbox.new_path()
    folder.parent.mkdir(parents=True)
    merged = {**os.environ, "HOME": str(sandbox.place / "home"), **environ}
    variables = {name: value for name, value in merged.items() if value is not None}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words, "--out", str(folder)],
        cwd=folder.parent, env=variables, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return CommandResult(done.returncode, done.stdout, done.stderr, time.monotonic() - start, folder)


@fault(67, "no GL / bad `MUJOCO_GL`", "try EGL, then OSMesa, then off + hint")
def missing_gl(sandbox: Sandbox) -> Outcome:
    words = options({"env": "InvertedPendulum-v5", **RANDOM, "steps": 40})
    words.remove("--no-video")
    checks = {}
    for value in (None, "bogus", "osmesa", "glfw"):
        result = train_in_new_interpreter(sandbox, words, {"MUJOCO_GL": value, "DISPLAY": None})
        rendered = any(result.folder.glob("videos/*.mp4"))
        name = f"MUJOCO_GL={value}: exit {result.code}, {'a video' if rendered else 'no video'}"
        checks[name] = result.survived() and (rendered or result.mentions("MUJOCO_GL"))
    return all_of(checks)


@fault(68, "frame size changes, 0-frame video", "no crash, valid file or none")
def video_frames(sandbox: Sandbox) -> Outcome:
    import imageio.v2 as imageio

    from envs.rendering.video import write_mp4

    path, empty = sandbox.place / "video.mp4", sandbox.place / "empty.mp4"
    sizes = [(64, 64), (48, 80), (65, 33), (64, 64)]
    write_mp4(path, (np.full((*size, 3), 100, np.uint8) for size in sizes), 10.0)
    reader: Any = imageio.get_reader(path)
    read = sum(1 for _ in reader)
    written = write_mp4(empty, iter(()), 10.0)
    left = [p.name for pattern in ("*.mp4*", ".empty*") for p in sandbox.place.glob(pattern)]
    ok = read == 4 and not written and left == ["video.mp4"]
    return Outcome(ok, f"4 sizes give {read} frames; no frame gives no file: {left}")


@fault(69, "resume with other thread count / torch / mujoco version", 'warn "not bit-exact", recorded')
def other_versions(sandbox: Sandbox) -> Outcome:
    made = sandbox.train(changes={"steps": 80}).folder

    def other(library: str) -> Patch:
        def patch() -> None:
            from joule.storage import provenance, run_folder

            real = provenance.versions()
            run_folder.versions = lambda: {**real, library: "9.9"}

        return patch

    cases: dict[str, tuple[tuple[str, ...], Patch | None, str]] = {
        "torch": ((), other("torch"), "torch "),
        "mujoco": ((), other("mujoco"), "mujoco "),
        "threads": (("--threads", "2", "--override"), None, "threads 1 -> 2"),
    }
    checks = {}
    for name, (words, patch, difference) in cases.items():
        folder = sandbox.new_path()
        shutil.copytree(made, folder)
        result = sandbox.resume(folder, "--steps", "120", *words, patch=patch)
        warned = result.mentions("not bit-exact", difference)
        checks[name] = result.survived() and warned and result.counter("inexact_resumes") == 1
    return all_of(checks)


@fault(
    70,
    "resume with changed config; finished run; larger budget",
    "diff shown, REJECT w/o --override; no-op; continues",
)
def other_settings(sandbox: Sandbox) -> Outcome:
    folder = sandbox.train(curve=True).folder  # a run without its curve is not finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    finished = sandbox.resume(folder, curve=True)
    touched = sorted(path.name for path, time_ns in before.items() if path.stat().st_mtime_ns != time_ns)
    batch = ("--learning.batch-size", "32")
    changed = sandbox.resume(folder, *batch)
    smaller = sandbox.resume(folder, "--steps", "60")
    larger = sandbox.resume(folder, "--steps", "160")
    larger_frames = larger.summary()["frames"] if larger.survived() else 0
    forced = sandbox.resume(folder, "--steps", "200", *batch, "--override")
    nothing = finished.code == 0 and finished.mentions("nothing to do")
    difference = changed.mentions("learning.batch_size 16 -> 32", "--override")
    return all_of(
        {
            f"finished: exit {finished.code}, touched {touched}": nothing,
            "changed": changed.code == 2 and difference,
            "smaller": smaller.code == 2 and smaller.mentions("steps"),
            "larger": larger_frames == 160,
            "--override": forced.survived() and forced.summary()["frames"] == 200,
        }
    )


@fault(71, "LC_ALL=C / decimal-comma locale, HOME unset, no network", "works")
def locales(sandbox: Sandbox) -> Outcome:
    short = {"steps": 60}

    def offline() -> None:
        import socket

        def refuse(*given: Any, **named: Any) -> None:
            raise OSError("no network")

        socket.socket.connect = refuse  # type: ignore[method-assign, assignment]
        socket.getaddrinfo = refuse  # type: ignore[assignment]

    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "HOME": None}
    words = options({**short, "env": "InvertedPendulum-v5"})
    plain = train_in_new_interpreter(sandbox, words, ascii_only)
    reference, cut_off = sandbox.train(changes=short), sandbox.train(changes=short, patch=offline)
    same = cut_off.survived() and fingerprint(cut_off.folder) == fingerprint(reference.folder)
    checks = {f"LC_ALL=C, ASCII, no HOME: {plain.describe()}": plain.survived(), "no network": same}
    comma = decimal_comma_locale(sandbox)
    if comma is None:
        found = all_of(checks)
        return Outcome(found.ok, f"{found.text}; no decimal-comma locale is here or can be made: not tried")
    return all_of(checks | works_with_decimal_comma(sandbox, comma))


def works_with_decimal_comma(sandbox: Sandbox, locale: dict[str, str]) -> dict[str, bool]:
    """Whether every command does the same in a locale with a decimal comma."""
    checks, local = {}, {"environ": locale, "patch": use_locale}
    for env in ("InvertedPendulum-v5", "joule/Reach-v0"):  # both read numbers from XML
        # Short episodes: before its first seeded reset, an environment's generator has a random state.
        changes = {"steps": 60, "env": env, "max_episode_frames": 20}
        point = sandbox.train(changes=changes)
        comma = sandbox.train(changes=changes, folder=sandbox.new_path("comma"), curve=True, **local)
        same = comma.survived() and fingerprint(comma.folder) == fingerprint(point.folder)
        checks[f"{locale['LC_ALL']}: {env} {comma.describe()}, the same run"] = same
    again = sandbox.resume(comma.folder, "--steps", "90", **local)
    checks["resumed there"] = again.survived() and again.summary()["frames"] == 90
    folders = [str(comma.folder), str(point.folder)]
    commands = {
        "evaluate": [folders[0], "--episodes", "1"],
        "compare": [*folders, "--out", str(sandbox.new_path())],
    }
    for name, words in commands.items():
        checks[f"{name} there"] = sandbox.run_command(name, words, **local).code == 0  # type: ignore[arg-type]
    return checks


def use_locale() -> None:
    """Sets the locale of the environment variables, as a library might; C then reads 1.5 as 1."""
    import locale

    locale.setlocale(locale.LC_ALL, "")
    if locale.localeconv()["decimal_point"] != ",":
        raise AssertionError("this locale has no decimal comma")


def decimal_comma_locale(sandbox: Sandbox) -> dict[str, str] | None:
    """Environment variables of a locale with a decimal comma, made from the system's sources; None without them."""
    name, place = "de_DE.UTF-8", sandbox.place / "locales"
    place.mkdir()
    command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(place / name)]
    try:
        subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"LC_ALL": name, "LOCPATH": str(place)}


def diverging_pendulum() -> None:
    """The physics of the inverted pendulum diverges at every seventh step."""
    from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv

    real, steps = InvertedPendulumEnv.step, [0]

    def step(self: Any, action: Any) -> Any:
        steps[0] += 1
        if steps[0] % 7 == 0:
            self.data.qvel[:] = 1e12
        return real(self, action)

    InvertedPendulumEnv.step = step  # type: ignore[method-assign]


@fault(72, "`MUJOCO_LOG.TXT` in cwd, read-only cwd", "no stray files, no crash")
def working_folder(sandbox: Sandbox) -> Outcome:
    here = sandbox.new_path("here")
    here.mkdir(parents=True)
    pendulum = {"env": "InvertedPendulum-v5"}
    result = sandbox.train(changes=pendulum, patch=diverging_pendulum, cwd=here)
    stray = sorted(os.listdir(here))
    count = result.counter("diverged_steps")
    read_only = sandbox.train(changes={**pendulum, "steps": 40}, cwd=Path("/proc"))
    ok = result.survived() and not stray and count > 0 and read_only.survived()
    text = f"{count} diverged steps: {result.describe()}, stray files: {stray or 'none'}"
    return Outcome(ok, f"{text}; in a folder that cannot be written: {read_only.describe()}")
