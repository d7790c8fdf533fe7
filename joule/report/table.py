"""The comparison as numbers: a row per task and agent, pairs of agents, pooled scores, and notes.

The score of a run is its last evaluation at the budget, never its best.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from joule import escaping
from joule.report import labels, statistics
from joule.report.amounts import count
from joule.report.evaluations import Run
from joule.report.robots import notes_on_robots
from joule.report.run_notes import notes_on_settings
from joule.report.statistics import Floats, Interval
from joule.storage.log_files import SUCCESS_COLUMN

HEADINGS = ("environment", "agent", "frames", "mean", "IQM", "95 % interval", "seeds", "CPU-min")
DM_CONTROL = ("dmc:", "dm_control/")
DM_CONTROL_BEST = 1_000.0
"""The largest return of an episode of any dm_control task. So their returns may be pooled as they are."""
LEAST_SEEDS = 2
"""Seeds that each of two agents needs on a task for a probability of improvement."""
_TOO_FEW = (
    "one seed of an agent does not say how much its runs differ, so that the probability would be 0 or 1 by "
    f"chance; train {LEAST_SEEDS} seeds or more of each agent on the same task"
)


@dataclass(frozen=True)
class Row:
    """One agent on one task: the last evaluation of each seed at the budget."""

    task: str
    label: str
    trivial: bool
    frames: tuple[int, int]
    """Fewest and most frames at which a run was evaluated."""
    scores: Floats
    """[seeds], mean return over the episodes."""
    mean: float
    iqm: Interval
    cpu_minutes: float
    """Mean over seeds."""
    episodes: tuple[int, int]
    """Fewest and most episodes of an evaluation."""
    success: float | None
    """Mean share of episodes that succeeded; None where it is not known of every run."""

    @property
    def seeds(self) -> int:
        """Number of runs in the row."""
        return len(self.scores)

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of HEADINGS."""
        low, high = self.frames
        frames = "any" if self.trivial else f"{low:,}" if low == high else f"{low:,} to {high:,}"
        ends = f"{number(self.iqm.low)} to {number(self.iqm.high)}" if self.iqm.known else "—"
        cpu = "—" if self.trivial else number(self.cpu_minutes)
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
    """Probability that a run of `ours` scores above a run of `theirs`, over the tasks that both have."""

    ours: str
    theirs: str
    tasks: int
    """Number of tasks on which both have LEAST_SEEDS or more."""
    left_out: int
    """Number of tasks that both have, but one of them with fewer seeds."""
    seeds: tuple[int, int]
    """Fewest seeds of a task that counts, on either side."""
    probability: Interval | None
    """None where no task counts."""

    def sentence(self) -> str:
        """The pair in words, with the numbers of tasks and seeds."""
        p = self.probability
        if p is None:
            return f"P({self.ours} > {self.theirs}) is not given: {_TOO_FEW}"
        ends = f" (95 % interval {p.low:.2f} to {p.high:.2f})" if p.known and p.low < p.high else ""
        left_out = f"; {count(self.left_out, 'task')} with a single seed left out" if self.left_out else ""
        return (
            f"P({self.ours} > {self.theirs}) = {p.estimate:.2f}{ends} over {count(self.tasks, 'task')}, "
            f"at least {count(self.seeds[0], 'seed')} against {self.seeds[1]} per task{left_out}"
        )


@dataclass(frozen=True)
class Pooled:
    """One agent over several dm_control tasks."""

    label: str
    tasks: int
    seeds: int
    """Fewest seeds of a task."""
    iqm: Interval
    median: float
    mean: float
    gap: float
    """Optimality gap to DM_CONTROL_BEST."""

    def sentence(self) -> str:
        """The pooled score in words, with the numbers of tasks and seeds."""
        ends = f" (95 % interval {number(self.iqm.low)} to {number(self.iqm.high)})" if self.iqm.known else ""
        return (
            f"{self.label}: IQM {number(self.iqm.estimate)}{ends}, median {number(self.median)}, "
            f"mean {number(self.mean)}, optimality gap {number(self.gap)} "
            f"over {count(self.tasks, 'dm_control task')}, at least {count(self.seeds, 'seed')} per task"
        )


def rows(runs: Sequence[Run], at: int | None = None) -> list[Row]:
    """One row per task and label: tasks by name, learning agents by falling IQM, trivial agents last.

    Args:
        runs: labelled runs.
        at: budget in frames; None takes the last evaluation of each run.

    Raises:
        ResultsError: where a learning run has no evaluation at or below the budget.
    """
    grouped: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        grouped.setdefault((run.task, run.label), []).append(run)
    made = [_row(task, label, members, at) for (task, label), members in grouped.items()]
    return sorted(made, key=lambda row: (row.task, row.trivial, -row.iqm.estimate, row.label))


def _row(task: str, label: str, runs: Sequence[Run], at: int | None) -> Row:
    last = [(run, run.at(at)) for run in runs]
    scores = np.array([run.returns[i] for run, i in last])
    frames = [int(run.frames[i]) for run, i in last]
    episodes = [int(run.columns["episodes"][i]) for run, i in last]
    shares = [math.nan if run.success is None else float(run.success[i]) for run, i in last]
    return Row(
        task=task,
        label=label,
        trivial=runs[0].trivial,
        frames=(min(frames), max(frames)),
        scores=scores,
        mean=float(scores.mean()),
        iqm=statistics.interval([scores]),
        cpu_minutes=float(np.mean([run.cpu_minutes[i] for run, i in last])),
        episodes=(min(episodes), max(episodes)),
        success=None if math.isnan(sum(shares)) else float(np.mean(shares)),
    )


def pairs(table: Sequence[Row]) -> list[Pair]:
    """Every two learning agents that share a task, Joule first. A task with a single seed does not count."""
    labels = sorted(
        {row.label for row in table if not row.trivial}, key=lambda name: (not name.startswith("joule"), name)
    )
    found = []
    for ours, theirs in combinations(labels, 2):
        our_scores = {row.task: row.scores for row in table if row.label == ours}
        their_scores = {row.task: row.scores for row in table if row.label == theirs}
        shared = [(x, their_scores[task]) for task, x in our_scores.items() if task in their_scores]
        if not shared:
            continue
        counting = [(x, y) for x, y in shared if min(len(x), len(y)) >= LEAST_SEEDS]
        of_ours, of_theirs = [x for x, _ in counting], [y for _, y in counting]
        probability = statistics.improvement_interval(of_ours, of_theirs) if counting else None
        seeds = (min(len(x) for x, _ in counting or shared), min(len(y) for _, y in counting or shared))
        found.append(Pair(ours, theirs, len(counting), len(shared) - len(counting), seeds, probability))
    return found


def pair_sentences(found: Sequence[Pair]) -> list[str]:
    """The pairs in words; several of which nothing is known are one sentence."""
    known = [pair.sentence() for pair in found if pair.probability is not None]
    unknown = [pair for pair in found if pair.probability is None]
    if len(unknown) < 2:
        return [*known, *(pair.sentence() for pair in unknown)]
    return [*known, f"No probability of improvement is given for {len(unknown)} pairs of agents: {_TOO_FEW}"]


def pooled(table: Sequence[Row]) -> list[Pooled]:
    """Scores pooled over dm_control tasks, the largest set of tasks first.

    Tasks that settings change do not count: their returns are on other scales.
    A set is the tasks that two agents share, at least two. Every agent that has them all is pooled over it.
    So an agent with few tasks does not reduce the tasks on which the others are compared.
    """
    plain = [row for row in table if labels.unchanged(row.task) and not row.trivial]
    of_suite = [row for row in plain if row.task.startswith(DM_CONTROL)]
    agents = sorted({row.label for row in of_suite}, key=lambda name: (not name.startswith("joule"), name))
    tasks_of = {label: {row.task for row in of_suite if row.label == label} for label in agents}
    pairs_of = combinations(agents, 2) if len(agents) > 1 else [(label, label) for label in agents]
    sets = {frozenset(tasks_of[one] & tasks_of[other]) for one, other in pairs_of}
    made = []
    for shared in sorted(sets, key=lambda tasks: (-len(tasks), sorted(tasks))):
        if len(shared) > 1:
            made += [_pooled(label, of_suite, shared) for label in agents if tasks_of[label] >= shared]
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
    """Sentences that the table needs: how a score is made, unequal budgets, robots or machines, few seeds."""
    learners = [row for row in table if not row.trivial]
    low, high = min(r.episodes[0] for r in table), max(r.episodes[1] for r in table)
    episodes = count(low, "episode") if low == high else f"{low} to {high} episodes"
    found = [
        f"A score is the last evaluation at the budget, never the best: {episodes} on seeds not "
        "trained on. The interval is a bootstrap of the IQM over seeds; CPU-min is the CPU time of training."
    ]
    offline = {run.task for run in runs if run.settings.get("data")}
    if offline:
        found.append(
            "Runs with `data` learned from recorded episodes: their budget counts gradient steps, not frames."
        )
    for task in dict.fromkeys(row.task for row in table if row.success is not None):
        of_task = [(row.label, row.success) for row in table if row.task == task and row.success is not None]
        shares = ", ".join(f"{label} {100.0 * share:.0f} %" for label, share in of_task)
        found.append(f"Episodes of {task} that succeeded: {shares}.")
    for task in dict.fromkeys(row.task for row in learners if row.task not in offline):
        ends = [row.frames for row in learners if row.task == task]
        if len({*ends}) > 1 or any(a != b for a, b in ends):
            found.append(f"On {task} the budgets differ; {_equal_budget(task, runs)}.")
    found += notes_on_robots(runs)
    found += notes_on_settings(runs)
    seeds = sorted({row.seeds for row in learners})
    if seeds and seeds[0] < 10:
        coverage = dict.fromkeys(statistics.coverage_note(count) for count in seeds if count < 10)
        found.append(f"Fewest seeds in a row: {seeds[0]}. {' '.join(coverage)}")
    machines = {(run.device, run.threads) for run in runs if not run.trivial}
    if len(machines) > 1:
        kinds = ", ".join(f"{device} with {threads} thread(s)" for device, threads in sorted(machines))
        found.append(f"CPU times come from different machine settings and are not comparable: {kinds}.")
    return found


def _equal_budget(task: str, runs: Sequence[Run]) -> str:
    """How the runs of a task are compared at equal frames: at the largest number at which all were evaluated."""
    learners = [run for run in runs if not run.trivial]
    evaluated = [{int(frames) for frames in run.frames} for run in learners if run.task == task]
    common = set.intersection(*evaluated)
    if not common:
        return "there is no number of frames at which all of its runs were evaluated"
    # --at holds for all tasks, and needs an evaluation of each run.
    first = max(int(run.frames[0]) for run in learners)
    if first > max(common):
        return f"--at {max(common)} would make them equal, but the first evaluation of a run is at {first:,}"
    return f"compare at equal frames with --at {max(common)}"


def markdown(table: Sequence[Row], sentences: Sequence[str] = ()) -> str:
    """The table as GitHub markdown with the sentences as a list below it; it ends with a newline."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---|" + "---:|" * (len(HEADINGS) - 2)]
    for row in table:
        task, label, *numbers = row.cells()
        cells = (escaping.markdown(task), escaping.markdown(label), *numbers)
        lines.append(f"| {' | '.join(cells)} |")
    if sentences:
        lines += ["", *(f"- {escaping.markdown(sentence)}" for sentence in sentences)]
    return "\n".join(lines) + "\n"


def comma_separated(table: Sequence[Row]) -> str:
    """The table as CSV with full precision, one row per task and agent; no name is a formula in a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        (
            *("env", "agent", "frames_low", "frames_high", "mean", "iqm", "interval_low", "interval_high"),
            *("seeds", "episodes_low", "episodes_high", "cpu_minutes", SUCCESS_COLUMN),
        )
    )
    for row in table:
        ends = (row.iqm.low, row.iqm.high) if row.iqm.known else ("", "")
        success = "" if row.success is None else row.success
        values = (row.mean, row.iqm.estimate, *ends, row.seeds, *row.episodes, row.cpu_minutes, success)
        names = (escaping.csv_cell(row.task), escaping.csv_cell(row.label))
        writer.writerow((*names, *row.frames, *values))
    return out.getvalue()


def number(value: float) -> str:
    """A number with about three significant digits."""
    size = abs(value)
    if 0.0 < size < 0.01:
        return f"{value:.3g}"
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
