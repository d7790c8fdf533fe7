"""Where doors are broken on purpose: each run of a door in a forked child, so that torch is imported once.

A child has a working folder of its own, may have tighter limits and may be tampered with before its door
opens; what it printed, how it ended and what it left behind are the outcome.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for place in (str(ROOT), str(ROOT / "tests" / "support")):
    if place not in sys.path:
        sys.path.insert(0, place)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("PYTHONPATH", str(ROOT / "tests" / "support"))

TINY = "tiny_env:joule-tests/Point-v0"
SMALL: dict[str, Any] = {
    "env": TINY,
    "steps": 120,
    "eval-every-frames": 60,
    "eval-episodes": 1,
    "checkpoint-every-frames": 40,
    "model.latent-dim": 16,
    "model.hidden_dim": 32,
    "model.head-width": 16,
    "learning.batch_size": 16,
    "explore.warmup-decisions": 30,
    "explore.plan_from_decisions": 0,
    "explore.plan-every-episodes": 1,
    "learning.pretrain-updates": 10,
    "learning.utd": 0.5,
    "learning.precision": "float32",
    "planner.horizon-decisions": 2,
    "planner.samples": 8,
    "planner.iterations": 1,
    "planner.elites": 2,
    "actor.proposals": 2,
}
"""Settings with which a whole run takes about a second."""


def options(changes: Mapping[str, Any] | None = None) -> list[str]:
    """SMALL with changes, as they are typed, without a video; a change to None leaves an option out. What a
    baseline does not heed is left out, too."""
    chosen = {**SMALL, **(changes or {})}
    if chosen.get("agent", "joule") != "joule":
        chosen = {name: value for name, value in chosen.items() if "." not in name}
    typed = [
        word for name, value in chosen.items() if value is not None for word in (f"--{name}", str(value))
    ]
    return [*typed, "--no-video"]


def warm_up() -> None:
    """Imports what every child would import, by a run that is thrown away."""
    import contextlib
    import io

    import stable_baselines3  # noqa: F401

    from joule.commands import train

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        train.main([*options({"steps": 40, "env": "InvertedPendulum-v5"}), "--out", f"{folder}/run"])


@dataclass(frozen=True)
class Ended:
    """How a door's process ended."""

    code: int
    """Exit code; minus the signal's number when a signal killed it."""
    out: str
    err: str
    seconds: float
    folder: Path

    @property
    def last(self) -> str:
        """The last line of stderr, where doors say why."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    @property
    def orderly(self) -> bool:
        """No traceback."""
        return "Traceback" not in self.err

    def summary(self) -> dict[str, Any]:
        """summary.json, or nothing when the run did not come to its end."""
        path = self.folder / "summary.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def counted(self, name: str) -> int:
        """A counter of the run's summary."""
        return int(self.summary().get("counters", {}).get(name, 0))

    def says(self, *words: str) -> bool:
        """Whether each of the words stands in what it said, in any case."""
        text = (self.err + self.out).lower()
        return all(word.lower() in text for word in words)

    def rejected(self, *words: str) -> bool:
        """REJECT: exit 2, one line that holds the words, within 5 s, and nothing written."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        written = self.folder.is_dir() and any(self.folder.iterdir())
        return self.code == 2 and len(lines) == 1 and self.says(*words) and self.seconds < 5 and not written

    def stopped(self, *words: str) -> bool:
        """STOP: exit 1, no traceback, and a last line that holds the words."""
        return self.code == 1 and self.orderly and self.last.startswith("stopped:") and self.says(*words)

    def survived(self) -> bool:
        """SURVIVE: exit 0, a summary, no traceback."""
        return self.code == 0 and self.orderly and bool(self.summary())

    def told(self) -> str:
        """The outcome in a line."""
        how = f"exit {self.code}" if self.code >= 0 else f"killed by {signal.Signals(-self.code).name}"
        return f"{how}: {self.last}" if self.last else how


class Arena:
    """A temporary place with a home of its own; `door` opens a door there."""

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="joule-arena-"))
        self.count = 0

    def close(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)

    def fresh(self, name: str = "run") -> Path:
        """A path that does not exist yet."""
        self.count += 1
        return self.place / f"{self.count:03d}" / name

    def train(self, *given: str, changes: Mapping[str, Any] | None = None, **more: Any) -> Ended:
        """A small run, with settings changed and further options given."""
        folder = more.pop("folder", None) or self.fresh()
        words = [*options(changes), *given, *([] if "--out" in given else ["--out", str(folder)])]
        return self.run_script("train", words, folder=folder, **more)

    def resume(self, folder: Path, *given: str, **more: Any) -> Ended:
        return self.run_script("train", ["--resume", str(folder), *given], folder=folder, **more)

    def run_script(
        self,
        name: str,
        words: Sequence[str],
        *,
        folder: Path | None = None,
        tamper: Callable[[], object] | None = None,
        meanwhile: Callable[[int, Path], object] | None = None,
        environ: Mapping[str, str | None] | None = None,
        limits: Mapping[int, int] | None = None,
        cwd: Path | None = None,
        stdout: int | None = None,
        timeout: float = 300.0,
        curve: bool = False,
    ) -> Ended:
        """Opens `name`.py with `words` in a child. `tamper` runs in the child before, `meanwhile` in the
        parent with the child's id and run folder. A child that outlives `timeout` is killed: code -9. Without
        `curve` no curve.png is drawn, which takes longer than all the rest of a small run."""
        folder = folder or self.fresh()
        self.count += 1
        logs = self.place / f"{self.count:03d}-log"
        logs.mkdir(parents=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            steps = [tamper] if tamper is not None else []
            steps = steps if curve else [_draw_nothing, *steps]
            self._be_the_door(name, words, logs, steps, environ or {}, limits or {}, cwd or logs, stdout)
        if meanwhile is not None:
            meanwhile(child, folder)
        status = wait(child, timeout - (time.monotonic() - began))
        seconds = time.monotonic() - began
        out, err = ((logs / name).read_text(errors="replace") for name in ("out", "err"))
        return Ended(os.waitstatus_to_exitcode(status), out, err, seconds, folder)

    def _be_the_door(
        self,
        name: str,
        words: Sequence[str],
        logs: Path,
        tampers: Sequence[Callable[[], object]],
        environ: Mapping[str, str | None],
        limits: Mapping[int, int],
        cwd: Path,
        stdout: int | None,
    ) -> None:
        """Never returns."""
        code = 70
        try:
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
            sys.argv = [f"{name}.py", *words]
            import importlib

            from joule.cli.main import run_command

            module = importlib.import_module(name)
            for tamper in tampers:
                tamper()
            if name == "compare":
                sys.exit(module.main(list(words)))
            run_command(module.main)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # noqa: BLE001  as the interpreter would: a traceback, and exit code 1
            traceback.print_exc()
            code = 1
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)


def _draw_nothing() -> None:
    from joule.report import curves

    curves.learning_curve = lambda *given, **named: None  # type: ignore[assignment, return-value]


def wait(child: int, timeout: float) -> int:
    """The status of a child that ended, or that had to be killed after `timeout` seconds."""
    until = time.monotonic() + timeout
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1]
        time.sleep(0.02)


def steps_of(folder: Path) -> list[int]:
    """The frames of a run's checkpoints, oldest first."""
    names = os.listdir(folder / "checkpoints") if (folder / "checkpoints").is_dir() else []
    return sorted(int(name[5:]) for name in names if re.fullmatch("step-[0-9]+", name))


def wait_for(ready: Callable[[], bool], timeout: float = 60.0) -> bool:
    """Waits until `ready`; whether it came to that."""
    until = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def fingerprint(folder: Path) -> dict[str, str]:
    """What two runs that are the same have the same: the last checkpoint, and the logged metrics.

    Hashes of the checkpoint's arrays and of its meta without times, and of both tables without their times.
    """
    import csv
    import hashlib

    last = folder / "checkpoints" / f"step-{steps_of(folder)[-1]}"
    meta = json.loads((last / "meta.json").read_text())
    meta.pop("clocks")
    manifest = json.loads((last / "MANIFEST.json").read_text())
    rows = [
        (segment["rows"], segment["sha256"])
        for segment in manifest["files"].get("replay", {}).get("segments", [])
    ]
    found = {
        "arrays": (last / "arrays.safetensors").read_bytes(),
        "meta": json.dumps(meta, sort_keys=True).encode(),
    }
    for name in ("metrics", "evaluations"):
        with (folder / f"{name}.csv").open(newline="") as file:
            table = [
                {k: v for k, v in row.items() if not k.endswith("_seconds")} for row in csv.DictReader(file)
            ]
        found[name] = json.dumps([{k: v for k, v in sorted(row.items()) if v} for row in table]).encode()
    hashes = {name: hashlib.sha256(data).hexdigest()[:16] for name, data in found.items()}
    return hashes | {"rows": str(sum(count for count, _ in rows))}
