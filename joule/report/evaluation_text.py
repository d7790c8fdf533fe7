"""An evaluation as text: one row per episode, and a line that sums up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joule.escaping import terminal
from joule.report import drawn_values, legibility
from joule.report.amounts import count
from joule.report.decimals import decimals
from joule.report.forecasts import LEAST_PAIRS
from joule.report.goals_text import by_energy

_HEADER = f"{'seed':>10}{'return':>14}{'decisions':>12}"


def shown(record: Mapping[str, Any]) -> str:
    """The text of an evaluation.

    Args:
        record: its JSON values, as the command `evaluate` writes them.
    """
    rows = zip(record["seeds"], record["returns"], record["lengths"], record["drawn"], strict=True)
    names = header(any(record["drawn"]))
    return "\n".join([heading(record), "", names, *(row(*of) for of in rows), "", summary(record)])


def header(drawn: bool) -> str:
    """The names of the columns; `drawn` says whether perturbations draw values, which are the last one."""
    return f"{_HEADER}  drawn" if drawn else _HEADER


def row(seed: int, total_return: float, decisions: int, drawn: Mapping[str, float] | None = None) -> str:
    """The line of an episode, below `header`; `drawn` has the values that its perturbations drew, by name."""
    values = f"  {terminal(drawn_values.text(drawn))}" if drawn else ""
    return f"{seed:>10}{decimals(total_return, 2):>14}{decisions:>12,}{values}"


def heading(subject: Mapping[str, Any]) -> str:
    """The line that says what is evaluated.

    Args:
        subject: the JSON values of what is evaluated.
    """
    return terminal(_heading(subject))


def summary(record: Mapping[str, Any]) -> str:
    """The lines that sum up, one for each thing that was measured."""
    return "\n".join(map(terminal, _summary(record)))


def change_text(event: Mapping[str, Any]) -> str:
    """A change of the environment that an agent detected: when, and what it has made of it since."""
    follows = "a new model" if event["new"] else f"model {event['model']} again"
    if event["signal"] == "delay":
        late = "1 decision" if event["delay"] == 1 else f"{event['delay']} decisions"
        follows = (
            f"actions take effect {late} late" if event["delay"] else "actions take effect at once again"
        )
    return f"a change detected at decision {event['decision']:,} by {event['signal']}: {follows}"


def _heading(record: Mapping[str, Any]) -> str:
    """What was evaluated."""
    planner = "" if record["planner"] is None else f", planner {record['planner']['kind']}"
    changes = f", with {' '.join(record['perturb'])}" if record["perturb"] else ""
    perceiving = ", perceiving by energy" if record["perceive"] == "energy" else ""
    task = f", for {record['task']}" if record["task"] else ""
    paid = f"the reward of {record['task']}" if record["task"] else "the environment's own reward"
    if record.get("goal"):  # what is played for is not what the return counts
        task = f", for the goal {record['goal']} {by_energy(record)}, with {paid}"
    elif record.get("planned_for"):
        task = f", planning for {record['planned_for']}, with {paid}"
    within = f", within {' and '.join(record['constraint'])}" if record["constraint"] else ""
    trained = f"{record['agent']} after {record['frames']:,} {record['unit']}"
    return f"{record['env']}, {trained}{planner}{changes}{perceiving}{task}{within}"


def _deadline(timing: Mapping[str, Any]) -> str:
    """How the decisions kept their deadline."""
    return (
        "a decision took {median_ms:.1f} ms (median) and {p99_ms:.1f} ms (99th percentile), {missed_share:.2%} "
        "missed the deadline of {ms:g} ms, {fell_back_share:.2%} were made without a search, {iterations:.1f} "
        "iterations on average"
    ).format(**timing)


def _violations(record: Mapping[str, Any]) -> list[str]:
    """How often and by how much constraints were violated: a line for each, because each has a unit of its own."""
    each: Mapping[str, Mapping[str, float]] = record["violations"]
    return [
        f"{f'{limit}: ' if len(each) > 1 else ''}{of['per_1000']:.1f} violations in 1,000 decisions, the worst by "
        f"{of['worst']:.2g}"
        for limit, of in each.items()
    ]


def _summary(record: Mapping[str, Any]) -> list[str]:
    """The lines that sum up."""
    mean, std, iqm = (decimals(record[key], 2) for key in ("mean", "std", "iqm"))
    parts = [f"mean {mean}, std {std}, IQM {iqm}"]
    if record.get("success_rate") is not None:
        parts.append(f"{sum(map(bool, record['successes']))} of {record['episodes']} episodes succeeded")
    if record["surprise"] is not None:
        parts.append(f"surprise {record['surprise']:.2f}")
    returns = (record["forecast"] or {}).get("returns", {})
    if returns.get("slope") is not None:
        parts.append(
            "returns predicted with correlation {correlation:.2f}, slope {slope:.2f}".format(**returns)
        )
    elif returns and returns["decisions"] < LEAST_PAIRS:
        parts.append(
            f"how well returns are predicted is not known: {count(returns['decisions'], 'decision')} far enough "
            f"from the time limit, {LEAST_PAIRS} are needed"
        )
    if record["deadline"]:
        parts.append(_deadline(record["deadline"]))
    elif record["planning_ms"] is not None:
        parts.append(f"{record['planning_ms']:.1f} ms a decision")
    if record["constraint"]:
        parts += _violations(record)
        parts += [f"safety margin {margin:.2g} from {limit}" for limit, margin in record["margin"].items()]
    parts += [change_text(event) for event in record["changes_detected"] or ()]
    if record["readouts"]:
        parts.append(legibility.sentence(record["readouts"]))
    if record["diverged"]:
        parts.append(f"{record['diverged']} of {record['episodes']} episodes ended in diverged physics")
    return parts
