"""Runs Joule's commands in child processes, so that faults can be injected into them.

A command runs in a forked child, so that torch is imported only once, in the parent. The child has its own
working folder and home folder. It may get lower resource limits, other environment variables, or a patch of
Joule's code that is applied before the command starts.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.reliability.command_result import CommandResult

ROOT = Path(__file__).resolve().parents[2]
TEST_ENVS = str(ROOT / "tests" / "support")
"""Where the small environments of the tests are."""
for _path in (str(ROOT), TEST_ENVS):
    if _path not in sys.path:
        sys.path.insert(0, _path)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("PYTHONPATH", TEST_ENVS)

TINY_ENV = "tiny_env:joule-tests/Point-v0"
SMALL_RUN: dict[str, Any] = {
    "env": TINY_ENV,
    "steps": 120,
    "eval_every_frames": 60,
    "eval_episodes": 1,
    "checkpoint_every_frames": 40,
    "model.latent_dim": 16,
    "model.hidden_dim": 32,
    "model.head_width": 16,
    "learning.batch_size": 16,
    "explore.warmup_decisions": 30,
    "explore.plan_from_decisions": 0,
    "explore.plan_every_episodes": 1,
    "learning.pretrain_updates": 10,
    "learning.utd": 0.5,
    "learning.initial_utd": 2.0,
    "learning.precision": "float32",
    "planner.horizon_decisions": 2,
    "planner.samples": 8,
    "planner.iterations": 1,
    "planner.elites": 2,
    "actor.proposals": 2,
}
"""Settings of a run that takes about a second."""

Patch = Callable[[], object]
"""Changes Joule's code or its libraries in a child before the command starts."""
Meanwhile = Callable[[int, Path], object]
"""Runs in the parent while the command runs; its arguments are the child's process id and the run folder."""


def words_of(settings: Mapping[str, Any]) -> list[str]:
    """Settings as words of a command line; a setting whose value is None is left out."""
    pairs = ((f"--{name.replace('_', '-')}", str(v)) for name, v in settings.items() if v is not None)
    return [word for pair in pairs for word in pair]


def options(changes: Mapping[str, Any] | None = None) -> list[str]:
    """The options of a small run, without a video.

    Args:
        changes: settings that replace or extend SMALL_RUN; None leaves a setting out. Settings of the
            world-model agent are left out for another agent.
    """
    settings = {**SMALL_RUN, **(changes or {})}
    if settings.get("agent", "joule") != "joule":
        settings = {name: value for name, value in settings.items() if "." not in name}
    return [*words_of(settings), "--no-video"]


def preload() -> None:
    """Imports what every child needs, by a short run in a temporary folder."""
    import stable_baselines3  # noqa: F401

    from joule.commands import train

    words = options({"steps": 40, "env": "InvertedPendulum-v5"})
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        train.main([*words, "--out", f"{folder}/run"])


class Sandbox:
    """A temporary folder with a home folder, in which commands run. `close` removes it."""

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="joule-sandbox-"))
        self.count = 0
        """Paths and logs that were handed out."""

    def close(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.place, ignore_errors=True)

    def new_path(self, name: str = "run") -> Path:
        """A path that does not exist, nor does its parent."""
        self.count += 1
        return self.place / f"{self.count:03d}" / name

    @property
    def newest_log(self) -> Path:
        """The working folder of the newest command."""
        return self.place / f"{self.count:03d}-log"

    def train(self, *words: str, changes: Mapping[str, Any] | None = None, **run: Any) -> CommandResult:
        """A small training run.

        Args:
            words: further options.
            changes: settings; see `options`.
            run: keyword arguments of `run_command`.
        """
        folder = run.pop("folder", None) or self.new_path()
        out = [] if "--out" in words else ["--out", str(folder)]
        return self.run_command("train", [*options(changes), *words, *out], folder=folder, **run)

    def resume(self, folder: Path, *words: str, **run: Any) -> CommandResult:
        """Resumes the run in a folder."""
        return self.run_command("train", ["--resume", str(folder), *words], folder=folder, **run)

    def run_command(
        self,
        name: str,
        words: Sequence[str],
        *,
        folder: Path | None = None,
        patch: Patch | None = None,
        meanwhile: Meanwhile | None = None,
        environ: Mapping[str, str | None] | None = None,
        limits: Mapping[int, int] | None = None,
        cwd: Path | None = None,
        stdout: int | None = None,
        timeout: float = 300.0,
        curve: bool = False,
    ) -> CommandResult:
        """Runs a command in a child process.

        Args:
            name: a module of `joule.commands`.
            words: its arguments.
            folder: the run folder that the result names.
            patch: changes code in the child before the command starts.
            meanwhile: runs in the parent while the command runs.
            environ: environment variables; None removes one.
            limits: `resource` limits of the child.
            cwd: the working folder; default a new one.
            stdout: a file descriptor; default a file that is read afterwards.
            timeout: seconds after which the child is killed.
            curve: whether curve.png is drawn, which takes longer than the rest of a small run.
        """
        folder = folder or self.new_path()
        self.count += 1
        logs = self.newest_log
        logs.mkdir(parents=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            patches: list[Patch] = [] if curve else [_draw_no_curve]
            patches += [patch] if patch is not None else []

            def command() -> None:
                self._prepare_child(logs, environ or {}, limits or {}, cwd or logs, stdout)
                _run(name, words, patches)

            _end_child(command)
        if meanwhile is not None:
            meanwhile(child, folder)
        status = wait_for_exit(child, timeout - (time.monotonic() - start))
        seconds = time.monotonic() - start
        out, err = ((logs / stream).read_text(errors="replace") for stream in ("out", "err"))
        return CommandResult(os.waitstatus_to_exitcode(status), out, err, seconds, folder)

    def _prepare_child(
        self,
        logs: Path,
        environ: Mapping[str, str | None],
        limits: Mapping[int, int],
        cwd: Path,
        stdout: int | None,
    ) -> None:
        """Sets the streams, the folders, the environment variables and the limits of this child process."""
        out = os.open(logs / "out", os.O_WRONLY | os.O_CREAT)
        os.dup2(out if stdout is None else stdout, 1)
        os.dup2(os.open(logs / "err", os.O_WRONLY | os.O_CREAT), 2)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", 1, errors="replace") for n in (1, 2))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(cwd)
        os.environ["HOME"] = str(self.place / "home")
        os.environ.pop("XDG_STATE_HOME", None)
        for variable, value in environ.items():
            os.environ.pop(variable, None)
            if value is not None:
                os.environ[variable] = value
        for limit, most in limits.items():
            resource.setrlimit(limit, (most, resource.getrlimit(limit)[1]))


def _run(name: str, words: Sequence[str], patches: Sequence[Patch]) -> NoReturn:
    """Runs a command in this process as its script does."""
    from joule.cli.main import run_process

    sys.argv = [f"{name}.py", *words]
    module = importlib.import_module(f"joule.commands.{name}")
    for patch in patches:
        patch()
    run_process(module.main)


def _end_child(command: Callable[[], object]) -> NoReturn:
    """Calls `command` and ends this process with its exit code, as the interpreter does."""
    code = 70
    try:
        try:
            command()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # noqa: BLE001  as the interpreter does: a traceback, and exit code 1
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:  # the child must never return into the parent's code
        os._exit(code)


def _draw_no_curve() -> None:
    from joule.report import curves

    curves.learning_curve = lambda *given, **named: None  # type: ignore[assignment, return-value]


def wait_for_exit(child: int, timeout: float) -> int:
    """The status of a child that has ended, or that is killed after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1]
        time.sleep(0.02)


def wait_until(ready: Callable[[], bool], timeout: float = 60.0) -> bool:
    """Waits until `ready` is true. Returns False after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
