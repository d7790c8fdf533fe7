"""The candidates of a search: settings drawn from the grid, trained with every seed, and scored."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import random
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.configurator.settings import NO_ENV
from agent.errors import ConfigError
from joule.cli.command_line import setting_words
from joule.escaping import csv_cell
from joule.report.amounts import count
from joule.report.labels import TASK_SETTINGS
from joule.storage.errors import RunInUse
from joule.storage.files import DISK, replace_file, why
from joule.storage.run_lock import RunLock
from joule.sweeping.grid import Range
from joule.sweeping.plan import Plan
from joule.sweeping.results import finished, last_return
from joule.sweeping.trials import COUNTED_IN_CORES, StoredTrial, digest, lasting, slug, trial
from joule.used_settings import uses_setting

SEARCH = "search"
"""The folder in the storage."""
UTD = "learning.utd"
"""A fraction of agents with a world model, and a whole number of the others."""
_OTHER_TASKS = tuple(name for name in TASK_SETTINGS if name != "action_repeat")
"""Settings with which returns are of another task: an action repeat changes how it is done."""


@dataclass(frozen=True)
class Task:
    """What one search is for: an agent in an environment."""

    plan: Plan
    storage: Path
    agent: str
    env: str

    @property
    def name(self) -> str:
        """The same for the same settings, ranges and seeds, however many candidates are asked for."""
        plan = self.plan
        space = {
            name: [entry.low, entry.high, entry.whole, entry.log] if isinstance(entry, Range) else entry
            for name, entry in plan.grid.items()
        }
        said = [self.agent, self.env, plan.preset, lasting(plan.settings), space, plan.seeds]
        return f"{self.agent}-{slug(self.env)}-{digest(said, 8)}"

    @property
    def table(self) -> Path:
        """The CSV of its candidates."""
        return self.storage / SEARCH / f"{self.name}.csv"

    @property
    def space(self) -> dict[str, tuple[Any, ...] | Range]:
        """What the agent's settings vary over."""
        entries = {name: entry for name, entry in self.plan.grid.items() if uses_setting(self.agent, name)}
        utd = entries.get(UTD)
        if self.agent != "joule" and isinstance(utd, Range):
            low, high = int(utd.low), int(utd.high)
            if (low, high) == (utd.low, utd.high):
                entries[UTD] = Range(low, high, True, utd.log)
        return entries

    def decoded(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a candidate: a number of each range, and of each list the value with the drawn index.

        An index stands for a value of any kind: Optuna keeps numbers and texts alone.
        """
        return {
            name: drawn[name] if isinstance(entry, Range) else entry[drawn[name]]
            for name, entry in self.space.items()
        }

    def trials(self, settings: Mapping[str, Any]) -> list[StoredTrial]:
        """The trials of a candidate, one for each seed."""
        return [
            trial(self.plan, self.storage, self.agent, self.env, seed, settings) for seed in self.plan.seeds
        ]

    def ends(self, end: str) -> dict[str, Any]:
        """Settings at the `low` or `high` end of each range, with the first value of each list."""
        return {
            name: getattr(entry, end) if isinstance(entry, Range) else entry[0]
            for name, entry in self.space.items()
        }

    @property
    def cores(self) -> int:
        """The most that a trial of a candidate keeps busy."""
        counted = {
            name: (entry.low, entry.high) if isinstance(entry, Range) else entry
            for name, entry in self.space.items()
            if name in COUNTED_IN_CORES
        }
        choices = [dict(zip(counted, values, strict=True)) for values in itertools.product(*counted.values())]
        return max(self.trials({**self.ends("low"), **choice})[0].job().cores for choice in choices)

    @property
    def gpus(self) -> int:
        """What a trial of a candidate uses."""
        return self.trials(self.ends("low"))[0].job().gpus

    def score(self, settings: Mapping[str, Any]) -> float | None:
        """Mean over seeds of the last evaluation's return; None before all seeds have their budget."""
        trials = self.trials(settings)
        scores = [last_return(one.folder) for one in trials if finished(one.folder, one.steps)]
        known = [score for score in scores if score is not None]
        return sum(known) / len(known) if len(known) == len(trials) else None


@contextmanager
def searching_alone(tasks: Sequence[Task]) -> Iterator[None]:
    """Inside, no other process makes the same search: it would take candidates in training for interrupted ones.

    Raises:
        ConfigError: where another process does.
        RunError: where the disk refuses.
    """
    with ExitStack() as stack:
        for task in tasks:
            folder = task.storage / SEARCH
            try:
                DISK.make(folder)
                lock = RunLock(folder, f"{task.name}.lock")
            except RunInUse as error:
                raise ConfigError(
                    f"--search: the same search for {task.agent} in {task.env} goes on already ({error}); wait for "
                    "its end, or give another --storage"
                ) from error
            except OSError as error:
                raise ConfigError(f"--storage: {folder} cannot be made: {why(error)}") from error
            stack.callback(lock.release)
        yield


def draws(task: Task, seed: int) -> list[dict[str, Any]]:
    """As many random draws as the plan asks for, as `Task.decoded` takes them; those that come twice are left out.

    With the same seed a larger number adds draws at the end.
    """
    generator, space = random.Random(seed), task.space
    found: dict[tuple[int | float, ...], None] = {}
    for _ in range(task.plan.search or 1):
        found.setdefault(tuple(_drawn(entry, generator) for entry in space.values()))
    return [dict(zip(space, drawn, strict=True)) for drawn in found]


def _drawn(entry: tuple[Any, ...] | Range, generator: random.Random) -> int | float:
    """A number of the range, or the index of a value."""
    if not isinstance(entry, Range):
        return generator.randrange(len(entry))
    low, high = entry.low, entry.high + 1 if entry.whole else entry.high
    if entry.log:
        value = math.exp(generator.uniform(math.log(low), math.log(high)))
    else:
        value = generator.uniform(low, high)
    return min(max(math.floor(value) if entry.whole else value, entry.low), entry.high)


def tasks_of(plan: Plan, storage: Path) -> list[Task]:
    """What is to be found: settings of each agent in each environment.

    Raises:
        ConfigError: where a range ends beyond what its setting takes, or has nothing that an agent uses, and where
            trials have no return to be compared by.
    """
    tasks = [Task(plan, storage, agent, env) for agent in plan.agents for env in plan.envs]
    for task in tasks:
        if not any(isinstance(entry, Range) or len(entry) > 1 for entry in task.space.values()):
            raise ConfigError(f"--search: {task.agent} uses none of the settings that vary; leave it out")
        utd = task.space.get(UTD)
        if task.agent != "joule" and isinstance(utd, Range) and not utd.whole:
            raise ConfigError(
                f"--grid: {UTD}: {task.agent} takes whole numbers alone; give a range such as 1..4"
            )
        for end in ("low", "high"):
            if error := task.trials(task.ends(end))[0].error:
                raise ConfigError(f"--grid: {error}")
        _check_scored(task)
    return tasks


def _check_scored(task: Task) -> None:
    """Raises ConfigError where trials record no return, and where those of candidates are of different tasks."""
    if other := [name for name in _OTHER_TASKS if name in task.space]:
        raise ConfigError(
            f"--search: {other[0]} changes the task, and returns of different tasks are not compared; leave it out "
            "of --grid"
        )
    rewards = task.space.get("reward", (task.plan.settings.get("reward"),))
    for reason, found in (
        ("reward none", isinstance(rewards, tuple) and "none" in rewards),
        ("learning from data without an environment", task.env == NO_ENV),
    ):
        if found:
            raise ConfigError(
                f"--search: {reason} records no return, by which candidates are compared; leave one of the two out"
            )


def ranked(
    task: Task, candidates: Iterable[Mapping[str, Any]]
) -> list[tuple[float | None, Mapping[str, Any]]]:
    """Scores and settings of the candidates, the best first; those without a score come last."""
    found = {task.trials(settings)[0].name: settings for settings in candidates}
    scored = [(task.score(settings), settings) for settings in found.values()]
    return sorted(scored, key=lambda one: (one[0] is None, -(one[0] or 0.0)))


def write_table(task: Task, rows: Sequence[tuple[float | None, Mapping[str, Any]]]) -> None:
    """Writes the candidates as a CSV: their score, the number of seeds, and their settings.

    Raises:
        OSError: where it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(task.space)
    writer.writerow(["return_mean", "seeds", *names])
    for score, settings in rows:
        cells = [settings[name] for name in names]
        plain = [cell if isinstance(cell, int | float | str) else json.dumps(cell) for cell in cells]
        writer.writerow(["" if score is None else score, len(task.plan.seeds), *map(csv_cell, plain)])
    DISK.make(task.table.parent)
    replace_file(task.table, text.getvalue().encode(errors="backslashreplace"))


def report(task: Task, candidates: Iterable[Mapping[str, Any]]) -> str:
    """Writes the table of the candidates. Returns a sentence that names the best of them, and the table."""
    rows = ranked(task, candidates)
    try:
        write_table(task, rows)
        where = f"table: {task.table}"
    except OSError as error:
        where = f"the table cannot be written: {why(error)}"
    known = [row for row in rows if row[0] is not None]
    subject = f"search: {task.agent} in {task.env}"
    if not known:
        return f"{subject}: no candidate has been trained to its budget yet; {where}"
    score, settings = known[0]
    words = shlex.join(setting_words(settings))
    seeds = len(task.plan.seeds)
    best = f"the best of {count(len(known), 'candidate')}"
    return (
        f"{subject}: {best} has a return of {score:,.1f} (mean of {count(seeds, 'seed')}): {words}; {where}"
    )
