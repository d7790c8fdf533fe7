"""Which settings differ between the runs of a comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from joule.report.amounts import count
from joule.report.evaluations import Run
from joule.report.labels import applies, plain

LONGEST_VALUE = 200
"""Characters of a value."""
_NAMED = ("env", "agent", "seed")
"""Settings that the head of a column says."""


@dataclass(frozen=True)
class Differences:
    """A table with a row per setting, and a column per group of runs whose settings are the same."""

    columns: list[tuple[str, str]]
    """What a group of runs is called, and what of it is named in smaller letters."""
    rows: list[tuple[str, list[tuple[str, bool]]]]
    """The name of a setting, and per column its value and whether it differs from the usual one."""


def differences(runs: Sequence[Run]) -> Differences | None:
    """The settings in which runs differ; None where they are the same. Runs without settings are left out."""
    known = [run for run in runs if run.settings]
    names = sorted({name for run in known for name in run.settings if name not in _NAMED})
    names = [name for name in names if len({_value(run, name) for run in known if applies(run, name)}) > 1]
    if not names:
        return None
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in sorted(known, key=lambda run: (run.trivial, run.label, run.task, run.seed)):
        values = tuple(_value(run, name) if applies(run, name) else "—" for name in names)
        groups.setdefault((run.agent, *values), []).append(run)
    rows = []
    for index, name in enumerate(names, start=1):
        values = tuple(group[index] for group in groups)
        usual = Counter(values).most_common(1)[0][0]
        rows.append((name, [(_short(value), value not in (usual, "—")) for value in values]))
    return Differences([_title(members) for members in groups.values()], rows)


def _value(run: Run, name: str) -> str:
    return plain(run.settings[name]) if name in run.settings else "not set"


def _short(value: str) -> str:
    return value if len(value) <= LONGEST_VALUE else f"{value[: LONGEST_VALUE - 1]}…"


def _title(runs: Sequence[Run]) -> tuple[str, str]:
    """The agents of some runs, and what they ran on."""
    labels, tasks = list(dict.fromkeys(run.label for run in runs)), {run.task for run in runs}
    where = next(iter(tasks)) if len(tasks) == 1 else count(len(tasks), "task")
    return ", ".join(labels), f"{where}, {count(len(runs), 'run')}"
