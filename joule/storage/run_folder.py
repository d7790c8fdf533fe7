"""The run folder: the settings of a run, its checkpoints, and what it measured, in plain files.

    config.json  command.txt  versions.json  run.json        written when the run is created; a resume may change
                                                              settings and robot, which changes.csv notes
    metrics.csv  evaluations.csv  forecasts.csv  readouts.csv  episodes.csv  tensorboard/
                                                              grow; cut back when a run is resumed
    checkpoints/  replay/  videos/  explanations/  summary.json  run.lock

A folder may come from another person. Nothing in it is executed, links in it are not followed (the folder itself
may be a link), and sizes are bounded. A module that its environment names is imported only when this user made the
run or names the module as trusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from agent.configurator.config_json import to_json
from agent.configurator.settings import Config
from joule.storage import run_entries
from joule.storage.checkpoint import sweep
from joule.storage.errors import RunError
from joule.storage.files import why
from joule.storage.json_files import read_object, write_object
from joule.storage.links import CONFIG, RUN_FILE, check_inside
from joule.storage.provenance import versions
from joule.storage.run_entries import CHANGES, SUMMARY
from joule.storage.run_lock import RunLock
from joule.storage.run_logs import RunLogs
from joule.storage.run_paths import folder_identity
from joule.storage.run_record import read_run, write_run
from joule.storage.setting_changes import append_changes, append_robot
from joule.storage.shipped import outputs_of
from joule.storage.trust import register, trusted
from joule_schema.physics_change import PHYSICS, recorded_physics

SHARED = "shared"
"""The entry of run.json that marks a shared form."""


class Run:
    """The folder of one run, made by `Run.create` or `Run.open`; a context manager that closes it."""

    def __init__(self, folder: Path, config: Config, record: Mapping[str, Any]) -> None:
        self.folder = folder
        self.made_folder = False
        """Whether the folder was made with the run, and not by the user before."""
        self.config = config
        self.id: str = record["id"]
        self.env_spec: dict[str, Any] = record["env_spec"]
        """Sizes and names of the environment as JSON values; see `env_spec.spec_of_run`."""
        self.shared: bool = record.get(SHARED) is True
        """Whether it is in the shared form: it can act, and it cannot be resumed; see `joule.sharing`."""
        self.counters: dict[str, int] = {"log_failures": 0, "log_rows_lost": 0}
        """Faults that did not end the run, by name."""
        self._identity = folder_identity(folder)
        self._logs = RunLogs(folder, self.counters, self.check_place)
        self._lock: RunLock | None = None

    @classmethod
    def create(
        cls,
        out: Path | None,
        config: Config,
        command: Sequence[str],
        env_spec: Mapping[str, Any],
    ) -> Run:
        """Makes the folder of a new run.

        Args:
            out: the folder; None chooses runs/<env>-<agent>-seed<k>-<time>.
            config: the settings.
            command: the words of the shell command that makes the run; empty for a run that is made from
                Python, which gets no command.txt.
            env_spec: sizes and names of the environment, as JSON values.

        Raises:
            RunError: when `out` holds something, is a file, lacks its parent folder, or cannot be written.
                Then nothing stays.
        """
        folder, record, made = write_run(out, config, command, env_spec)
        register(record["id"], config)
        run = cls(folder, config, record)
        run.made_folder = made
        return run

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        trust_modules: Sequence[str] = (),
        trust_env_kwargs: bool = False,
        changes: Mapping[str, Any] | None = None,
    ) -> Run:
        """Opens the run in a folder and validates its settings.

        Args:
            path: the run folder.
            trust_modules: modules that the run's environment may import although another user made the run.
            trust_env_kwargs: whether its environment may get the keyword arguments in its settings, likewise.
            changes: settings of the user's own by dotted name. No trust is needed for what they take the place of:
                the module of another planner, and keyword arguments such as the path of a model file.

        Raises:
            RunError: for a folder that is not a run, is of another format, holds a damaged or oversized file
                or a setting out of range, or needs trust that is not given; see `trust`.
        """
        folder = Path(path)
        record, config = read_run(folder)
        identifier = record["id"]
        config = trusted(folder, config, identifier, trust_modules, trust_env_kwargs, changes or {})
        return cls(folder, config, record)

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self._inside(run_entries.CHECKPOINTS)

    @property
    def replay(self) -> Path:
        """The folder of the replay log."""
        return self._inside(run_entries.REPLAY)

    @property
    def outputs(self) -> Path:
        """Where commands write what they make of this run: its folder, or `runs/<name>` for a shipped agent."""
        return outputs_of(self.folder)

    @property
    def videos(self) -> Path:
        """The folder of videos."""
        return self._inside(run_entries.VIDEOS, self.outputs)

    @property
    def explanations(self) -> Path:
        """The folder of explained decisions."""
        return self._inside(run_entries.EXPLANATIONS, self.outputs)

    def identity(self, **more: Any) -> dict[str, Any]:
        """What a checkpoint of this run belongs to; `more` adds dimensions and the like."""
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
        """Locks the folder for this process until `close`, and removes partial files of killed processes.

        Raises:
            RunError: when another process has the folder (the message names it), when the folder holds a link in
                place of a file or folder of the run, and when the disk refuses.
        """
        try:
            run_entries.check_entries(self.folder)
        except OSError as error:
            raise RunError(f"{self.folder}: {why(error)}") from error
        lock = RunLock(self.folder)
        try:
            run_entries.sweep(self.folder)
            sweep(self.checkpoints)
        except (OSError, ValueError) as error:
            lock.release()
            raise RunError(f"{self.folder}: cannot be locked: {why(error)}") from error
        self._lock = lock
        return self

    def reconfigure(self, config: Config, frames: int) -> list[str]:
        """Stores changed settings, for every resume and load from now on, and notes them in changes.csv.

        Args:
            config: the settings.
            frames: of training, from which on they hold.

        Returns:
            A sentence for each change but that of the budget.

        Raises:
            RunError: when the folder is gone or the disk refuses.
        """
        self.check_place()
        try:
            sentences = append_changes(self.folder / CHANGES, self.config, config, frames)
        except OSError as error:
            raise RunError(f"{self.folder / CHANGES}: {why(error)}") from error
        write_object(self.folder / CONFIG, to_json(config))
        register(self.id, config, before=self.config)
        self.config = config
        return sentences

    def has_other_robot(self, groups: Sequence[str], physics: Mapping[str, str], frames: int) -> list[str]:
        """Notes in changes.csv that the robot has changed, and records the one of now in run.json.

        Args:
            groups: what of its physics is another.
            physics: the hashes of now, by group.
            frames: of training, from which on the agent learns with it; before the first, none is noted.

        Returns:
            A sentence for each group.

        Raises:
            RunError: when the folder is gone, a file cannot be read, or the disk refuses.
        """
        self.check_place()
        before = recorded_physics(self.env_spec.get(PHYSICS))
        sentences = []
        if frames:
            try:
                sentences = append_robot(self.folder / CHANGES, groups, before, physics, frames)
            except OSError as error:
                raise RunError(f"{self.folder / CHANGES}: {why(error)}") from error
        self.env_spec = {**self.env_spec, PHYSICS: dict(physics)}
        record = read_object(self.folder / RUN_FILE)
        write_object(self.folder / RUN_FILE, {**record, "env_spec": self.env_spec})
        return sentences

    def log(self, metrics: Mapping[str, float], frames: int) -> None:
        """Adds a row to metrics.csv. A new name adds a column.

        A log that fails switches itself off and is counted.

        Raises:
            RunError: when the folder is gone.
        """
        self.check_place()
        self._logs.add_metrics({"frames": frames, **metrics})

    def log_to_board(self, values: Mapping[str, Any], frames: int) -> None:
        """Adds values to TensorBoard: numbers by tag, and `Summary.Value`s. Raises as `log`."""
        self.check_place()
        self._logs.add_to_board({**values, "frames": frames})

    def episode_ended(
        self, frames: int, total_return: float, decisions: int, drawn: Mapping[str, float]
    ) -> None:
        """Adds a row to episodes.csv, with a column for each value that was drawn. Raises as `log`."""
        self.check_place()
        self._logs.add_episode({**drawn, "frames": frames, "return": total_return, "length": decisions})

    def episodes(self) -> list[tuple[int, float, int]]:
        """Frames, return and length of the newest training episodes, at most 100,000."""
        return self._logs.episodes()

    def count(self, name: str, by: int = 1) -> int:
        """Adds to a counter of faults that the run survives. Returns what it was before."""
        before = self.counters.get(name, 0)
        self.counters[name] = before + by
        return before

    def logged_frames(self) -> int:
        """The largest number of frames in its tables. Raises RunError when one cannot be read."""
        return self._logs.frames()

    def evaluated(self, row: Mapping[str, Any]) -> None:
        """Adds a row to evaluations.csv, with the columns `logs.EVALUATION_COLUMNS`, and `success_rate`.

        Raises:
            RunError: for other columns, and as `log`.
        """
        self.check_place()
        self._logs.add_evaluation(row)

    def forecasts(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds rows to forecasts.csv, with the columns `logs.FORECAST_COLUMNS`. Raises as `log`."""
        self.check_place()
        self._logs.add_forecasts(rows)

    def readouts(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds rows to readouts.csv, with the columns `logs.READOUT_COLUMNS`. Raises as `log`."""
        self.check_place()
        self._logs.add_readouts(rows)

    def truncate_logs(self, frames: int, episode_frames: int | None = None) -> None:
        """Drops log rows after `frames`, so that a resumed run writes them again.

        A checkpoint at `frames` must be saved after the rows of `frames` were logged.

        Args:
            frames: of the newest row that stays.
            episode_frames: the same for episodes.csv, where it differs.

        Raises:
            RunError: when the folder is gone, or a log cannot be read or written.
        """
        self.check_place()
        self._logs.truncate(frames, episode_frames)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Writes summary.json, with the run's counters added to the summary's.

        Raises:
            RunError: when the folder is gone or the disk refuses.
        """
        self.check_place()
        counters = {**summary.get("counters", {}), **self.counters}
        write_object(self.folder / SUMMARY, {**summary, "counters": counters})

    def finished_at(self) -> int | None:
        """The frames in summary.json; None when there is no readable summary."""
        try:
            frames = read_object(self.folder / SUMMARY).get("frames")
        except RunError:
            return None
        return frames if isinstance(frames, int) else None

    def close(self) -> None:
        """Releases the lock and the open files."""
        self._logs.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check_place(self) -> None:
        """Checks that the folder is still the one that was opened.

        Raises:
            RunError: when it was removed, moved or replaced.
        """
        if self._identity is None or folder_identity(self.folder) != self._identity:
            raise RunError(f"{self.folder}: was removed or moved while the run was using it")

    def _inside(self, name: str, folder: Path | None = None) -> Path:
        path = (folder or self.folder) / name
        try:
            check_inside(path)
        except OSError as error:
            raise RunError(f"{self.folder}: {why(error)}") from error
        return path
