"""Notes on what the settings and the ends of runs say of their rows in a table."""

from __future__ import annotations

from collections.abc import Sequence

from joule.report.evaluations import Run
from joule.report.labels import CHANGED
from joule.storage.run_entries import FAILURE

WITH_REPLAY = ("sac", "td3", "tqc", "crossq", "sac_her")
"""Baselines that begin with random actions, for a share of the budget: those of `joule.baselines.settings`."""


def notes_on_settings(runs: Sequence[Run]) -> list[str]:
    """Sentences on budgets of baselines, changed settings, errors, and processes whose CPU time is left out.

    Args:
        runs: labelled; those without settings are passed over.
    """
    found = []
    budgets: dict[tuple[str, str], set[int]] = {}
    for run in runs:
        if run.agent in WITH_REPLAY and isinstance(steps := run.settings.get("steps"), int):
            budgets.setdefault((run.task, run.label), set()).add(steps)
    for (task, label), of_row in budgets.items():
        if len(of_row) > 1:
            numbers = " and ".join(f"{steps:,}" for steps in sorted(of_row))
            found.append(
                f"Runs of {label} on {task} were given {numbers} frames (`steps`): the phase of random actions "
                "at their beginning depends on it."
            )
    found += [
        f"A resume changed {run.source} ({run.settings[CHANGED]}): its evaluations before that "
        "are with the earlier ones."
        for run in runs
        if CHANGED in run.settings
    ]
    found += [
        f"{run.source} was ended by an error, which its {FAILURE} has: its score is that of its last evaluation, "
        f"at {int(run.frames[-1]):,} frames or earlier."
        for run in runs
        if run.failed
    ]
    if any(run.settings.get("actors") or run.settings.get("vector_mode") == "async" for run in runs):
        found.append(
            "CPU-min of runs with `actors`, or with `vector_mode` async, is that of the learning process alone."
        )
    return found
