"""Whether runs of one task have the same robot: a model file may be edited between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from joule.report.amounts import listed
from joule.report.evaluations import Run
from joule_schema.physics_change import PHYSICS, RELEASE, changed_groups, recorded_physics

MOST = 4
"""Robots, and runs of one robot, that a sentence names."""


def notes_on_robots(runs: Sequence[Run]) -> list[str]:
    """A sentence for each task whose runs have robots that differ, with the runs and with what differs.

    Their settings are the same, so that rows of the table do not tell them apart. Runs that recorded no physics, or
    that of another release of MuJoCo, are not compared.

    Args:
        runs: labelled, with what was found out of their environments.
    """
    tasks: dict[str, list[Run]] = {}
    for run in runs:
        tasks.setdefault(run.task, []).append(run)
    return [said for task, of_task in tasks.items() for said in _note(task, of_task)]


def _note(task: str, runs: Sequence[Run]) -> list[str]:
    """The sentence of one task, or none."""
    robots: list[tuple[dict[str, str], list[Run]]] = []
    for run in runs:
        record = recorded_physics(run.env_spec.get(PHYSICS))
        same = [of for other, of in robots if _is_same(other, record)]
        if same:
            same[0].append(run)
        elif record:
            robots.append((record, [run]))
    changed: dict[str, None] = {}
    named: list[str] = []
    for record, of in robots:
        groups = [group for other, _ in robots for group in changed_groups(other, record)]
        changed |= dict.fromkeys(groups)
        if groups:
            named.append(f"({len(named) + 1}) {_some([str(run.source) for run in of])}")
    if not named:
        return []
    return [
        f"The runs on {task} have {len(named)} robots, which differ in their {listed(list(changed))}: "
        f"{_some(named)}. Rows do not tell them apart: where a model was edited in between, compare the runs of "
        "one robot alone."
    ]


def of_one_robot(runs: Sequence[Run]) -> bool:
    """Whether all runs recorded their physics, and it is that of one robot."""
    records = [recorded_physics(run.env_spec.get(PHYSICS)) for run in runs]
    return all(record and _is_same(records[0], record) for record in records)


def _is_same(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two records are of one robot; those of two releases of MuJoCo do not say."""
    return one.get(RELEASE) == other.get(RELEASE) and not changed_groups(one, other)


def _some(texts: Sequence[str]) -> str:
    """The first of some texts, and how many more there are."""
    more = [f"{len(texts) - MOST:,} more"] if len(texts) > MOST else []
    return listed([*texts[:MOST], *more])
