"""Labels of runs: only runs that differ in nothing but the seed share a label and a task."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from joule.report.env_names import with_env_names
from joule.report.evaluations import NUMBERS, ResultsError, Run
from joule.report.given_defaults import without_given_defaults

TASK_SETTINGS = ("env_kwargs", "action_repeat", "max_episode_frames", "perturb", "task")
"""Settings that change the task."""
NEITHER = (
    "env",
    "agent",
    "seed",
    "steps",
    "eval_every_frames",
    "eval_episodes",
    "eval_process",
    "checkpoint_every_frames",
    "video",
    "device",
    "threads",
    "step_timeout_seconds",
    "on_collapse",
    "memory_budget_gb",
    "vector_mode",
)
"""Settings that change neither the task nor what is learned."""
_WORLD_MODEL = (
    "model.",
    "regularizer.",
    "cost.",
    "actor.",
    "planner.",
    "explore.",
    "learning.",
    "constraint",
    "perceive",
)
"""Beginnings of the settings that apply only to an agent with a world model, but for `_WITH_REPLAY`."""
_WITH_REPLAY = "learning.utd"
"""The setting of learning that every agent with a replay buffer has."""
CHANGED = "changed"
"""Beside the settings of a run that a resume changed: which of them, and from which frames on."""
_OF_ACTORS = ("actor_chunk_decisions", "actors_lockstep")
"""Settings that change nothing where no actors are."""
_CHANGES = " ("
"""Between an agent or an environment and the settings that its label or task names."""


def labelled(runs: Sequence[Run]) -> list[Run]:
    """The runs with `label` and `task` set.

    Settings in which runs of one agent differ become part of its label. Where runs of several suites still share
    label and task, those of this label get their suite as well, because rows do not say what a suite changes. So
    do runs that share label, task and seed, such as the same settings before and after a change of the code; runs
    without a suite get their folder.

    Raises:
        ResultsError: for two runs that hold the same numbers, or that cannot be told apart.
    """
    runs = without_given_defaults(with_env_names(runs))
    of_agent: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        of_agent[run.agent].append(run)
    named = []
    for run in runs:
        kept = {name: run.settings[name] for name in differing(of_agent[run.agent]) if name in run.settings}
        changed = {name: run.settings[name] for name in TASK_SETTINGS if run.settings.get(name)}
        named.append(replace(run, label=_with(run.agent, kept), task=_with(run.env, changed)))
    repeated, of_suites = _repeated(named), _of_several_suites(named)
    final = [
        replace(run, label=f"{run.label} · {run.suite or run.source.resolve().name}")
        if (run.label, run.task) in repeated or (run.suite and run.label in of_suites)
        else run
        for run in named
    ]
    first: dict[tuple[str, str, int], Run] = {}
    for run in final:
        other = first.setdefault((run.label, run.task, run.seed), run)
        if other is not run:
            raise ResultsError(
                f"{other.source} and {run.source} cannot be told apart: rename one of the folders"
            )
    return final


def differing(runs: Iterable[Run]) -> list[str]:
    """Names of the settings that affect what is learned and differ between these runs of one agent."""
    runs = [run for run in runs if run.settings]
    known = [run.settings for run in runs]
    names = sorted(
        {name for settings in known for name in settings if name not in (*NEITHER, *TASK_SETTINGS)}
    )
    if any(run.agent != "joule" for run in runs):
        names = [name for name in names if not _of_world_model(name)]
    if not any(settings.get("actors") for settings in known):
        names = [name for name in names if name not in _OF_ACTORS]
    return [name for name in names if len({plain(settings.get(name)) for settings in known}) > 1]


def _repeated(runs: Sequence[Run]) -> set[tuple[str, str]]:
    """Labels and tasks under which several runs have one seed."""
    first: dict[tuple[str, str, int], Run] = {}
    repeated = set()
    for run in runs:
        other = first.setdefault((run.label, run.task, run.seed), run)
        if other is run:
            continue
        repeated.add((run.label, run.task))
        if all(np.array_equal(other.columns[name], run.columns[name]) for name in NUMBERS):
            raise ResultsError(f"{other.source} and {run.source} hold the same run; give only one of them")
    return repeated


def _of_several_suites(runs: Sequence[Run]) -> set[str]:
    """Labels under which runs of one task come from more than one suite."""
    suites: dict[tuple[str, str], set[str]] = defaultdict(set)
    for run in runs:
        if run.suite:
            suites[run.label, run.task].add(run.suite)
    return {label for (label, _), found in suites.items() if len(found) > 1}


def unchanged(task: str) -> bool:
    """Whether a task that `labelled` named is an environment without a change."""
    return _CHANGES not in task


def _with(name: str, settings: dict[str, Any]) -> str:
    if not settings:
        return name
    return f"{name}{_CHANGES}{', '.join(f'{key}={plain(value)}' for key, value in settings.items())})"


def applies(run: Run, name: str) -> bool:
    """Whether the agent of a run has a setting: only an agent with a world model has those of a world model."""
    return run.agent == "joule" or not _of_world_model(name)


def _of_world_model(name: str) -> bool:
    return name.startswith(_WORLD_MODEL) and name != _WITH_REPLAY


def plain(value: Any) -> str:
    """A setting as text: a list's entries side by side, other values as JSON."""
    if isinstance(value, list):
        return " ".join(plain(entry) for entry in value)
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
