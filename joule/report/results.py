"""Finding and reading evaluations: run folders, and the committed trees of results.

One CSV is one run, one row one evaluation on held-out seeds. A run folder holds `evaluations.csv` beside
its `config.json`; a tree of results holds `<suite>/<agent>/<env>/seed<k>.csv`. The columns inside name the
agent, the environment and the seed; the path is only where the file was found.
"""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joule_errors import Refused

COLUMNS = (
    "agent",
    "env",
    "seed",
    "frames",
    "decisions",
    "return_mean",
    "return_std",
    "episodes",
    "cpu_seconds",
    "wall_seconds",
    "threads",
    "device",
    "version",
)
NUMBERS = ("frames", "decisions", "return_mean", "return_std", "episodes", "cpu_seconds", "wall_seconds")
FLOORS = ("random", "zero")
"""Agents that do not learn: their score is the same at every budget."""

# Settings that change the task itself, and settings that change neither the task nor what is learned.
_TASK = ("env_kwargs", "action_repeat", "max_episode_steps", "perturb", "task")
_ASIDE = (
    "env",
    "agent",
    "seed",
    "steps",
    "eval_every",
    "eval_episodes",
    "checkpoint_every",
    "video",
    "device",
    "threads",
    "step_timeout",
    "on_collapse",
)
# Settings that only the agent with a world model heeds.
_JOULE = ("learner.", "model.", "planner.", "regularizer", "perceive")


class ResultsError(Refused):
    """Results that cannot be read or compared; the message is one sentence naming the file."""


@dataclass(frozen=True)
class Run:
    """The evaluations of one run, in order of frames; every array is `[evaluations]`.

    `label` names the agent in tables (its settings added where runs of one agent differ), `task` the
    environment (with what was changed in it). `suite` is the folder of the results tree, or empty.
    """

    source: Path
    agent: str
    env: str
    seed: int
    columns: dict[str, NDArray[np.float64]] = field(repr=False)
    threads: str
    device: str
    version: str
    suite: str = ""
    settings: dict[str, Any] = field(default_factory=dict, repr=False)
    command: str = ""
    label: str = ""
    task: str = ""

    @property
    def frames(self) -> NDArray[np.float64]:
        """Simulator frames of experience at each evaluation."""
        return self.columns["frames"]

    @property
    def returns(self) -> NDArray[np.float64]:
        """Mean return over the episodes of each evaluation."""
        return self.columns["return_mean"]

    @property
    def deviations(self) -> NDArray[np.float64]:
        """Standard deviation of the return over the episodes of each evaluation."""
        return self.columns["return_std"]

    @property
    def cpu_minutes(self) -> NDArray[np.float64]:
        """CPU time of training, evaluation excluded, at each evaluation."""
        return self.columns["cpu_seconds"] / 60.0

    @property
    def floor(self) -> bool:
        """Whether the agent does not learn."""
        return self.agent in FLOORS

    def at(self, budget: int | None = None) -> int:
        """Index of the last evaluation at or below `budget` frames (of all, without one); never the best.

        Raises ResultsError where a learning run has no evaluation that early.
        """
        if budget is None or self.floor:
            return len(self.frames) - 1
        index = int(np.searchsorted(self.frames, budget, side="right")) - 1
        if index < 0:
            raise ResultsError(
                f"{self.source} has no evaluation at or below {budget:,} frames; "
                f"its first is at {int(self.frames[0]):,}."
            )
        return index


def read_evaluations(path: Path) -> Run:
    """The run in one CSV of evaluations. Raises ResultsError naming the file and what is wrong with it."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise ResultsError(f"{path} cannot be read: {_reason(fault)}.") from None
    if not header:
        raise ResultsError(f"{path} is empty.")
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ResultsError(f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}.")
    if not rows:
        raise ResultsError(f"{path} holds no evaluation yet, only the header.")
    for name in ("agent", "env", "seed"):
        found = sorted({str(row[name]) for row in rows})
        if len(found) > 1:
            raise ResultsError(f"{path} mixes several values of {name}: {', '.join(found)}.")
    columns = {
        name: np.array([_number(path, i, name, row) for i, row in enumerate(rows)]) for name in NUMBERS
    }
    if np.any(np.diff(columns["frames"]) <= 0):
        raise ResultsError(f"{path} is out of order: frames must increase from row to row.")
    last = rows[-1]
    try:
        seed = int(last["seed"])
    except ValueError:
        raise ResultsError(f"{path} has the seed {last['seed']!r}, which is not a whole number.") from None
    text = {name: str(last[name] or "") for name in ("agent", "env", "threads", "device", "version")}
    return Run(
        path, text["agent"], text["env"], seed, columns, text["threads"], text["device"], text["version"]
    )


def read_run(folder: Path | str) -> Run:
    """The run in a run folder, with its settings and command where it kept them.

    Raises ResultsError for a folder that is not a run, with the nearest way to name one.
    """
    folder = Path(folder)
    path = folder / "evaluations.csv"
    if not folder.exists():
        raise ResultsError(f"{folder} does not exist.")
    if not folder.is_dir():
        raise ResultsError(f"{folder} is a file; give the run's folder.")
    if not path.is_file():
        raise ResultsError(
            f"{folder} is not a run with evaluations: it holds no evaluations.csv{_hint(folder)}."
        )
    run = read_evaluations(path)
    command, settings = "", {}
    try:
        if (folder / "command.txt").is_file():
            command = (folder / "command.txt").read_text(encoding="utf-8").strip()
        if (folder / "config.json").is_file():
            settings = flatten(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as fault:
        raise ResultsError(
            f"{folder} has a config.json or command.txt that cannot be read: {_reason(fault)}."
        ) from None
    return replace(run, source=folder, command=command, settings=settings)


def read_tree(folder: Path | str) -> list[Run]:
    """Every `seed<k>.csv` under a tree, in order of path. Raises ResultsError where there is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ResultsError(f"{folder} is not a folder of results.")
    paths = sorted(folder.rglob("seed*.csv"), key=lambda path: (path.parent, len(path.name), path.name))
    if not paths:
        raise ResultsError(f"{folder} holds no results: no <agent>/<env>/seed<k>.csv under it.")
    runs = []
    for path in paths:
        run = read_evaluations(path)
        folders = [part.name for part in path.resolve().parents]
        # An env id may itself hold "/" and so take more than one folder, "joule/Push-v0" under "joule" say.
        levels = run.env.split("/")[::-1]
        depth = len(levels) if folders[: len(levels)] == levels else 1
        suite = folders[depth + 1] if folders[depth : depth + 1] == [run.agent] else ""
        runs.append(replace(run, suite=suite))
    return runs


def gather(folders: Sequence[Path | str], trees: Sequence[Path | str] = ()) -> list[Run]:
    """All runs asked for, labelled for comparison; a folder given twice counts once."""
    runs: dict[Path, Run] = {}
    for folder in folders:
        runs.setdefault(Path(folder).resolve(), read_run(folder))
    for tree in trees:
        for run in read_tree(tree):
            runs.setdefault(run.source.resolve(), run)
    if not runs:
        raise ResultsError("nothing to compare: give run folders, or --results with a folder of results.")
    return labelled(list(runs.values()))


def labelled(runs: Sequence[Run]) -> list[Run]:
    """The runs with `label` and `task` set so that only true repetitions (other seeds) share both.

    Settings that differ within one agent join its label. Two runs that still claim the same label, task and
    seed (the same settings before and after a change of code, say) are told apart by folder or suite; two
    that hold the very same numbers are one run given twice, and a ResultsError.
    """
    kinds: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        kinds[run.agent].append(run)
    named = []
    for run in runs:
        varying = differing(kinds[run.agent])
        kept = {key: run.settings[key] for key in varying if key in run.settings}
        changed = {key: run.settings[key] for key in _TASK if run.settings.get(key)}
        named.append(replace(run, label=_with(run.agent, kept), task=_with(run.env, changed)))
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in named:
        groups[run.label, run.task].append(run)
    crowded = set()
    for key, members in groups.items():
        seen: dict[int, Run] = {}
        for run in members:
            twin = seen.setdefault(run.seed, run)
            if twin is run:
                continue
            crowded.add(key)
            if all(np.array_equal(twin.columns[name], run.columns[name]) for name in NUMBERS):
                raise ResultsError(
                    f"{twin.source} and {run.source} hold the same run; give only one of them."
                )
    final = [
        replace(run, label=f"{run.label} · {_whereabouts(run)}") if (run.label, run.task) in crowded else run
        for run in named
    ]
    claimed: dict[tuple[str, str, int], Run] = {}
    for run in final:
        other = claimed.setdefault((run.label, run.task, run.seed), run)
        if other is not run:
            raise ResultsError(
                f"{other.source} and {run.source} cannot be told apart: rename one of the folders."
            )
    return final


def differing(runs: Iterable[Run]) -> list[str]:
    """Names of those settings that matter to what is learned and differ between these runs of one agent."""
    runs = [run for run in runs if run.settings]
    known = [run.settings for run in runs]
    names = sorted({name for settings in known for name in settings if name not in (*_ASIDE, *_TASK)})
    if any(run.agent != "joule" for run in runs):
        names = [name for name in names if not name.startswith(_JOULE)]
    return [name for name in names if len({_plain(settings.get(name)) for settings in known}) > 1]


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value of a config read from JSON; the env's own keyword arguments stay one value."""
    if not isinstance(tree, dict):
        raise ValueError("config.json is not an object of settings")
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and name != "env_kwargs":
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _number(path: Path, index: int, name: str, row: dict[str, Any]) -> float:
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        raise ResultsError(
            f"{path} row {index + 2}: {name} is {row[name]!r}, which is not a number."
        ) from None
    if not math.isfinite(value):
        raise ResultsError(f"{path} row {index + 2}: {name} is {row[name]}, which is not finite.")
    return value


def _with(name: str, settings: dict[str, Any]) -> str:
    if not settings:
        return name
    return f"{name} ({', '.join(f'{key}={_plain(value)}' for key, value in settings.items())})"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_plain(entry) for entry in value)
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _whereabouts(run: Run) -> str:
    return run.suite or run.source.resolve().name


def _hint(folder: Path) -> str:
    if next(folder.glob("*/evaluations.csv"), None):
        return f", but runs lie under it (give {folder}/*)"
    if next(folder.rglob("seed*.csv"), None):
        return f", but results lie under it (give --results {folder})"
    if (folder / "config.json").is_file():
        return "; it has not been evaluated yet"
    return ""


def _reason(fault: Exception) -> str:
    return (fault.strerror or str(fault)) if isinstance(fault, OSError) else str(fault).rstrip(".")
