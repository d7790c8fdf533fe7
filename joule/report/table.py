"""The comparison as numbers: a row per task and agent, pairs of agents, and what a reader must know."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from joule.report import statistics
from joule.report.results import Run
from joule.report.statistics import Floats, Interval

HEADINGS = ("environment", "agent", "frames", "mean", "IQM", "95 % interval", "seeds", "CPU-min")
DM_CONTROL = ("dmc:", "dm_control/")
DM_CONTROL_BEST = 1_000.0
"""No dm_control task returns more than this in an episode, so their returns may be pooled as they are."""


@dataclass(frozen=True)
class Row:
    """One agent on one task: the last evaluation of each seed at the budget."""

    task: str
    label: str
    floor: bool
    frames: tuple[int, int]
    scores: Floats
    mean: float
    iqm: Interval
    cpu_minutes: float
    episodes: tuple[int, int]

    @property
    def seeds(self) -> int:
        """Number of runs behind the row."""
        return len(self.scores)

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of HEADINGS."""
        low, high = self.frames
        frames = "any" if self.floor else f"{low:,}" if low == high else f"{low:,} to {high:,}"
        ends = f"{number(self.iqm.low)} to {number(self.iqm.high)}" if self.iqm.known else "—"
        cpu = "—" if self.floor else number(self.cpu_minutes)
        return (
            self.task,
            self.label,
            frames,
            number(self.mean),
            number(self.iqm.estimate),
            ends,
            str(self.seeds),
            cpu,
        )


@dataclass(frozen=True)
class Pair:
    """How often a run of `ours` beats a run of `theirs` on the tasks both were run on."""

    ours: str
    theirs: str
    tasks: int
    seeds: tuple[int, int]
    probability: Interval

    def sentence(self) -> str:
        """The pair in words, with the counts behind it."""
        p = self.probability
        ends = f" (95 % interval {p.low:.2f} to {p.high:.2f})" if p.known and p.low < p.high else ""
        return (
            f"P({self.ours} > {self.theirs}) = {p.estimate:.2f}{ends} over {_count(self.tasks, 'task')}, "
            f"at least {_count(self.seeds[0], 'seed')} against {self.seeds[1]} per task"
        )


@dataclass(frozen=True)
class Pooled:
    """One agent over several dm_control tasks."""

    label: str
    tasks: int
    seeds: int
    iqm: Interval
    median: float
    mean: float
    gap: float

    def sentence(self) -> str:
        """The pooled score in words, with the counts behind it."""
        ends = f" (95 % interval {number(self.iqm.low)} to {number(self.iqm.high)})" if self.iqm.known else ""
        return (
            f"{self.label}: IQM {number(self.iqm.estimate)}{ends}, median {number(self.median)}, "
            f"mean {number(self.mean)}, optimality gap {number(self.gap)} "
            f"over {_count(self.tasks, 'dm_control task')}, at least {_count(self.seeds, 'seed')} per task"
        )


def rows(runs: Sequence[Run], at: int | None = None) -> list[Row]:
    """One row per task and label: tasks by name, learners by falling IQM, floors last."""
    grouped: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        grouped.setdefault((run.task, run.label), []).append(run)
    made = [_row(task, label, members, at) for (task, label), members in grouped.items()]
    return sorted(made, key=lambda row: (row.task, row.floor, -row.iqm.estimate, row.label))


def _row(task: str, label: str, runs: Sequence[Run], at: int | None) -> Row:
    last = [(run, run.at(at)) for run in runs]
    scores = np.array([run.returns[i] for run, i in last])
    frames = [int(run.frames[i]) for run, i in last]
    episodes = [int(run.columns["episodes"][i]) for run, i in last]
    return Row(
        task=task,
        label=label,
        floor=runs[0].floor,
        frames=(min(frames), max(frames)),
        scores=scores,
        mean=float(scores.mean()),
        iqm=statistics.interval([scores]),
        cpu_minutes=float(np.mean([run.cpu_minutes[i] for run, i in last])),
        episodes=(min(episodes), max(episodes)),
    )


def pairs(table: Sequence[Row]) -> list[Pair]:
    """Probability of improvement of every two learning agents that share a task, Joule named first."""
    labels = sorted(
        {row.label for row in table if not row.floor}, key=lambda name: (not name.startswith("joule"), name)
    )
    found = []
    for ours, theirs in combinations(labels, 2):
        mine = {row.task: row.scores for row in table if row.label == ours}
        other = {row.task: row.scores for row in table if row.label == theirs}
        shared = [task for task in mine if task in other]
        if not shared:
            continue
        x, y = [mine[task] for task in shared], [other[task] for task in shared]
        seeds = (min(map(len, x)), min(map(len, y)))
        found.append(Pair(ours, theirs, len(shared), seeds, statistics.improvement_interval(x, y)))
    return found


def pooled(table: Sequence[Row]) -> list[Pooled]:
    """Scores over dm_control tasks, of the agents that were run on all of them, the most tasks first.

    A set of tasks is what two agents share, two tasks at least; so an agent that was run on few does not keep
    the others from being compared on many.
    """
    ours = [row for row in table if row.task.startswith(DM_CONTROL) and not row.floor]
    labels = sorted({row.label for row in ours}, key=lambda name: (not name.startswith("joule"), name))
    met = {label: {row.task for row in ours if row.label == label} for label in labels}
    pairs_of = combinations(labels, 2) if len(labels) > 1 else [(label, label) for label in labels]
    sets = {frozenset(met[one] & met[other]) for one, other in pairs_of}
    made = []
    for shared in sorted(sets, key=lambda tasks: (-len(tasks), sorted(tasks))):
        if len(shared) > 1:
            made += [_pooled(label, ours, shared) for label in labels if met[label] >= shared]
    return made


def _pooled(label: str, rows: Sequence[Row], tasks: Set[str]) -> Pooled:
    scores = [row.scores for row in rows if row.label == label and row.task in tasks]
    return Pooled(
        label=label,
        tasks=len(tasks),
        seeds=min(map(len, scores)),
        iqm=statistics.interval(scores),
        median=float(statistics.median(scores)),
        mean=float(statistics.mean(scores)),
        gap=float(statistics.optimality_gap(DM_CONTROL_BEST)(scores)),
    )


def notes(table: Sequence[Row], runs: Sequence[Run]) -> list[str]:
    """What a reader must know to read the table rightly, each a sentence."""
    learners = [row for row in table if not row.floor]
    low, high = min(r.episodes[0] for r in table), max(r.episodes[1] for r in table)
    episodes = str(low) if low == high else f"{low} to {high}"
    said = [
        f"A score is the last evaluation at the budget, never the best: {episodes} episodes on seeds not "
        "trained on. The interval is a bootstrap of the IQM over seeds; CPU-min is the CPU time of training."
    ]
    for task in dict.fromkeys(row.task for row in learners):
        ends = [row.frames for row in learners if row.task == task]
        if len({*ends}) > 1 or any(a != b for a, b in ends):
            said.append(
                f"On {task} the budgets differ; compare at equal frames with --at {min(a for a, _ in ends)}."
            )
    seeds = sorted({row.seeds for row in learners})
    if seeds and seeds[0] < 10:
        worth = dict.fromkeys(statistics.coverage_note(count) for count in seeds if count < 10)
        said.append(f"Fewest seeds in a row: {seeds[0]}. {' '.join(worth)}")
    machines = {(run.device, run.threads) for run in runs if not run.floor}
    if len(machines) > 1:
        kinds = ", ".join(f"{device} with {threads} thread(s)" for device, threads in sorted(machines))
        said.append(f"CPU times were taken on different footings: {kinds}.")
    return said


def markdown(table: Sequence[Row], sentences: Sequence[str] = ()) -> str:
    """The table as GitHub markdown, the sentences as a list below it; ends with a newline."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---|" + "---:|" * (len(HEADINGS) - 2)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row.cells()) + " |" for row in table]
    if sentences:
        lines += ["", *(f"- {sentence}" for sentence in sentences)]
    return "\n".join(lines) + "\n"


def comma_separated(table: Sequence[Row]) -> str:
    """The table as CSV with full precision, one row per task and agent."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        (
            *("env", "agent", "frames_low", "frames_high", "mean", "iqm", "interval_low", "interval_high"),
            *("seeds", "episodes", "cpu_minutes"),
        )
    )
    for row in table:
        ends = (row.iqm.low, row.iqm.high) if row.iqm.known else ("", "")
        values = (row.mean, row.iqm.estimate, *ends, row.seeds, row.episodes[0], row.cpu_minutes)
        writer.writerow((row.task, row.label, *row.frames, *values))
    return out.getvalue()


def number(value: float) -> str:
    """A number with about three figures, as a table shows it."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _count(amount: int, noun: str) -> str:
    return f"{amount} {noun}{'s' * (amount != 1)}"
