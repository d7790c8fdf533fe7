"""The run folder: what a run was asked, what it is, and what it measured, in files that outlive it.

    config.json  command.txt  versions.json  run.json     written once, when the run is created
    metrics.csv  evaluations.csv  ledger.csv  tensorboard/ grow; cut back when a run is resumed
    checkpoints/  replay/  videos/  explanations/  summary.json  run.lock

A folder may come from a stranger. Nothing in it is executed, links in it are not followed, sizes are
bounded, and a module its environment names is imported only when this user made the run here, or
says so.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import re
import shlex
import time
import uuid
import warnings
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from agent.configurator.settings import Config
from agent.configurator.validation import from_json, to_json, unique_keys
from agent.errors import ConfigError
from joule.storage.checkpoint import MANIFEST, sweep
from joule.storage.files import DISK, read_plain, replace_file, why
from joule.storage.logs import EVALUATION_COLUMNS, CsvLog, TensorBoardLog
from joule.storage.provenance import differences, modules_named, register, registered, version, versions
from joule.training import forecast_log as ledger
from joule_errors import Refused

__all__ = ["EVALUATION_COLUMNS", "Run", "RunError", "differences", "version", "versions"]

FORMAT = 1
RUNS = Path("runs")
"""Where runs go that were given no folder; it is made when it is missing."""
_LIMIT = 1 << 20  # bytes a JSON file of a run may have
_STALE = re.compile(r"\.tmp-[0-9]+-(metrics\.csv|evaluations\.csv|ledger\.csv|summary\.json)")


class RunError(Refused):
    """A run folder that cannot be made, trusted or written; the message is one sentence."""


class Run:
    """One run's folder. Made by `Run.create` or `Run.open`; a context manager that closes it."""

    def __init__(self, folder: Path, config: Config, record: Mapping[str, Any]) -> None:
        self.folder = folder
        self.config = config
        self.id: str = record["id"]
        self.env_facts: dict[str, Any] = record["env_facts"]
        self.counters: dict[str, int] = {"log_failures": 0, "log_rows_lost": 0}
        """What the run survived: loggers that failed and switched themselves off, rows not logged."""
        self._place = _place(folder)
        self._lock: int | None = None
        self._metrics = CsvLog(folder / "metrics.csv", ["frames"])
        self._evaluations = CsvLog(folder / "evaluations.csv", EVALUATION_COLUMNS)
        self._ledger = CsvLog(folder / "ledger.csv", ledger.COLUMNS)
        self._board = TensorBoardLog(folder / "tensorboard")

    @classmethod
    def create(
        cls,
        out: Path | None,
        config: Config,
        command: Sequence[str],
        env_facts: Mapping[str, Any],
    ) -> Run:
        """Makes the folder of a new run; `out` None chooses runs/<env>-<agent>-seed<k>-<time>.

        Raises RunError when `out` holds something, is a file, lacks its parent folder, or cannot be
        written; then nothing stays.
        """
        folder = Path(out) if out is not None else _default_folder(config)
        identifier = uuid.uuid4().hex
        record = {
            "format": FORMAT,
            "id": identifier,
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "env_facts": dict(env_facts),
        }
        files = {
            "config.json": to_json(config),
            "versions.json": versions(),
            "run.json": record,  # last: a folder without it is not a run
        }
        made: list[Path] = []
        check_free(folder)
        try:
            if not folder.exists():
                made = [folder, *(parent for parent in folder.parents if not parent.exists())]
                folder.mkdir(parents=True)
            replace_file(folder / "command.txt", f"{shlex.join(command)}\n".encode(errors="surrogateescape"))
            for name, value in files.items():
                replace_file(folder / name, _pretty(value))
        except (OSError, TypeError) as error:
            _clear(folder, made)
            raise RunError(f"{folder}: a run cannot be written there: {why(error)}") from error
        register(identifier, config)
        return cls(folder, config, record)

    @classmethod
    def open(cls, path: Path, *, trust_modules: Sequence[str] = ()) -> Run:
        """The run in a folder, its config validated.

        Raises RunError: not a run, a damaged or oversized file, a setting out of range, or an
        environment in a module that neither this user made the run with nor `trust_modules` names.
        """
        folder = Path(path)
        try:
            if not folder.is_dir():
                found = "is not a run folder" if folder.exists() else "does not exist"
                raise RunError(f"{folder}: {found}")
        except OSError as error:
            raise RunError(f"{folder}: {why(error)}") from error
        record = _read_json(folder / "run.json")
        if isinstance(record.get("format"), int) and record["format"] > FORMAT:
            raise RunError(f"{folder}: written by a newer Joule (format {record['format']})")
        identifier = record.get("id")
        if not (isinstance(identifier, str) and re.fullmatch("[0-9a-f]{32}", identifier)):
            raise RunError(f"{folder}: run.json names no run")
        if not isinstance(record.get("env_facts"), dict):
            raise RunError(f"{folder}: run.json has no facts of the environment")
        try:
            config = from_json(_read_json(folder / "config.json"))
        except ConfigError as error:
            raise RunError(f"{folder / 'config.json'}: {error}") from error
        for module in modules_named(config):
            # The name is printed for the user to copy: it must not hide a second word or a terminal code.
            if not all(part.isidentifier() for part in module.split(".")):
                raise RunError(f"{folder}: env {config.env!r} names no module that could be imported")
            if module not in trust_modules and not registered(identifier, module):
                raise RunError(
                    f"{folder}: its environment {config.env} would import the module {module}; "
                    f"if you trust it, add --trust-module {module}"
                )
        return cls(folder, config, record)

    @property
    def checkpoints(self) -> Path:
        """Where `checkpoint.save` and `newest` look."""
        return self._inside("checkpoints")

    @property
    def replay(self) -> Path:
        """Where the replay log lives."""
        return self._inside("replay")

    @property
    def videos(self) -> Path:
        return self._inside("videos")

    @property
    def explanations(self) -> Path:
        return self._inside("explanations")

    def identity(self, **more: Any) -> dict[str, Any]:
        """What a checkpoint of this run says of its origin; `more` adds dimensions and the like."""
        config = self.config
        return {
            "run": self.id,
            "env": config.env,
            "agent": config.agent,
            "threads": config.threads,
            "versions": versions(),
            **more,
        }

    def lock(self) -> Run:
        """Claims the folder for this process until `close`, and removes what a killed one left half-written.

        A dead process's claim is not in the way. Raises RunError naming the process that has the folder.
        """
        path = self.folder / "run.lock"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RunError(f"{path}: {why(error)}") from error
        try:
            _claim(handle)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            for name in DISK.names(self.folder):
                if _STALE.fullmatch(name):
                    DISK.remove(self.folder / name)
            sweep(self.checkpoints)
        except BlockingIOError:
            owner = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            os.close(handle)
            raise RunError(f"{self.folder}: is in use by process {owner or 'unknown'}") from None
        except (OSError, ValueError) as error:
            os.close(handle)
            raise RunError(f"{self.folder}: cannot be claimed: {why(error)}") from error
        self._lock = handle
        _release_in_children(self)
        return self

    def reconfigure(self, config: Config) -> None:
        """Makes what a resume was told to change the run's own, for every resume and load after it.

        Raises RunError.
        """
        self.check_place()
        try:
            replace_file(self.folder / "config.json", _pretty(to_json(config)))
        except (OSError, TypeError) as error:
            raise RunError(f"{self.folder / 'config.json'}: {why(error)}") from error
        self.config = config

    def log(self, metrics: Mapping[str, float], frames: int) -> None:
        """Adds a row to metrics.csv and TensorBoard. Names may appear late.

        A logger that fails switches itself off and is counted; the run goes on. Raises RunError when
        the folder is gone.
        """
        self.check_place()
        self._record(self._metrics, {"frames": frames, **metrics})
        self._record(self._board, {"frames": frames, **metrics})

    def evaluated(self, row: Mapping[str, Any]) -> None:
        """Adds a row to evaluations.csv (columns: `logs.EVALUATION_COLUMNS`). Raises RunError as `log`."""
        if set(row) != set(EVALUATION_COLUMNS):
            odd = sorted(set(row) ^ set(EVALUATION_COLUMNS))
            raise RunError(f"evaluation: columns {', '.join(odd)} are missing or unknown")
        self.check_place()
        self._record(self._evaluations, row)

    def account(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds rows to ledger.csv (columns: `ledger.COLUMNS`). Raises RunError as `log`."""
        self.check_place()
        self._record(self._ledger, *rows)

    def truncate_logs(self, frames: int) -> None:
        """Drops what was logged after `frames`, so that a resumed run logs it once.

        A checkpoint at `frames` must be saved after the rows of `frames` were logged.
        """
        self.check_place()
        for log in (self._metrics, self._evaluations, self._ledger, self._board):
            try:
                self.counters["log_rows_lost"] += log.truncate(frames)
            except OSError as error:
                raise RunError(f"{log.path}: {why(error)}") from error

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Writes summary.json, this run's counters added to its `counters`. Raises RunError."""
        self.check_place()
        counters = {**summary.get("counters", {}), **self.counters}
        try:
            replace_file(self.folder / "summary.json", _pretty({**summary, "counters": counters}))
        except (OSError, TypeError) as error:
            raise RunError(f"{self.folder / 'summary.json'}: {why(error)}") from error

    def finished_at(self) -> int | None:
        """The frames that summary.json speaks of, or None when there is none that can be read."""
        try:
            frames = _read_json(self.folder / "summary.json").get("frames")
        except RunError:
            return None
        return frames if isinstance(frames, int) else None

    def close(self) -> None:
        """Releases the lock and the open files."""
        self._board.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _record(self, log: CsvLog | TensorBoardLog, *rows: Mapping[str, Any]) -> None:
        if log.off:
            self.counters["log_rows_lost"] += len(rows)
            return
        try:
            log.add(*rows)
        except (OSError, ImportError) as error:
            self.check_place()
            log.off = True
            self.counters["log_failures"] += 1
            self.counters["log_rows_lost"] += len(rows)
            warnings.warn(f"{log.path.name} is switched off: {why(error)}", RuntimeWarning, stacklevel=3)

    def check_place(self) -> None:
        """Raises RunError when the folder is no longer the one that this run began in."""
        if _place(self.folder) != self._place or self._place is None:
            raise RunError(f"{self.folder}: was removed or moved while the run was using it")

    def _inside(self, name: str) -> Path:
        path = self.folder / name
        if path.is_symlink():
            raise RunError(f"{path}: is a link, which a run folder must not hold")
        return path


def located(path: str | Path) -> tuple[Path, Path | None]:
    """The run folder that `path` means, and the checkpoint, if it names one of the run's `step-<n>`."""
    folder = Path(path)
    return (folder.parent.parent, folder) if (folder / MANIFEST).exists() else (folder, None)


def check_free(folder: Path) -> None:
    """Raises RunError when a new run cannot have this folder: it holds something, is a file, or its parent is
    missing, which a mistyped path would otherwise leave in an unexpected place."""
    try:
        if os.path.lexists(folder):
            if not folder.is_dir():
                raise RunError(f"{folder}: is a file, a run needs a folder")
            if any(folder.iterdir()):
                raise RunError(f"{folder}: is not empty; choose another folder, or resume that run")
        elif folder.parent != RUNS and not folder.parent.exists():
            raise RunError(f"{folder}: its parent folder {folder.parent} does not exist; make it first")
    except OSError as error:
        raise RunError(f"{folder}: a run cannot be written there: {why(error)}") from error


def _claim(handle: int) -> None:
    """Takes the lock on an open file, or raises BlockingIOError.

    A process forked off the holder has the lock too until it lets go, which it may do a moment after the
    holder has died: so a dead holder's claim is waited for, for two seconds at most.
    """
    until = time.monotonic() + 2.0
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            owner = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            if time.monotonic() > until or not owner.isdecimal() or alive(int(owner)):
                raise
        time.sleep(0.02)


def alive(process: int) -> bool:
    """Whether a process of that number exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _default_folder(config: Config) -> Path:
    env = re.sub(r"[^A-Za-z0-9._-]+", "-", config.env).strip(".-")[:80] or "env"
    time = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name = f"{env}-{config.agent}-seed{config.seed}-{time}"
    folder, again = RUNS / name, 2
    while folder.exists():
        folder, again = RUNS / f"{name}-{again}", again + 1
    return folder


def _clear(folder: Path, made: Sequence[Path]) -> None:
    """Takes back what a refused `create` wrote, as far as the disk lets us."""
    try:
        for name in ("command.txt", "config.json", "versions.json", "run.json"):
            if os.path.lexists(folder / name):
                (folder / name).unlink()
        for path in filter(os.path.lexists, made):
            path.rmdir()
    except OSError:
        return  # the refusal itself is what the user needs to read


def _place(folder: Path) -> tuple[int, int] | None:
    """Which folder a path leads to: it changes when the folder is removed and made again."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _pretty(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_plain(path, _LIMIT), object_pairs_hook=unique_keys)
    except FileNotFoundError:
        raise RunError(f"{path.parent}: is not a run folder, {path.name} is missing") from None
    except OSError as error:
        raise RunError(f"{path}: {why(error)}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RunError(f"{path}: is not a JSON object")
    return value


def _release_in_children(run: Run) -> None:
    """A forked worker must not hold the lock after its parent was killed."""
    alive = weakref.ref(run)

    def release() -> None:
        child = alive()
        if child is not None and child._lock is not None:
            os.close(child._lock)
            child._lock = None

    os.register_at_fork(after_in_child=release)
