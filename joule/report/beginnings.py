"""Runs that begin with agents of other runs: where those differ in the seed alone, it is one beginning."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from joule.report.evaluations import Run
from joule.report.labels import NEITHER
from joule.storage.errors import RunError
from joule.storage.plain_settings import plain_settings
from joule.storage.run_entries import CHECKPOINTS

INIT_FROM = "init_from"
"""The name, beside the settings of a run, of the run or checkpoint whose agent it began with."""
_COUNTS = ("env", "agent", "steps")
"""Settings that change what an agent has learned, although runs of a comparison may differ in them."""


def with_common_beginnings(runs: Sequence[Run]) -> list[Run]:
    """The runs, where agents of the same settings are one beginning, which is named by all of their paths."""
    paths = {str(run.settings[INIT_FROM]) for run in runs if INIT_FROM in run.settings}
    settings = {path: _settings_of(path) for path in paths}
    same = defaultdict[str, list[str]](list)
    for path in sorted(paths):
        same[settings[path]].append(path)
    return [
        replace(run, settings={**run.settings, INIT_FROM: same[settings[str(run.settings[INIT_FROM])]]})
        if INIT_FROM in run.settings
        else run
        for run in runs
    ]


def _settings_of(path: str) -> str:
    """What the agent of a path was trained with, but for its seed; the path where its settings cannot be read."""
    try:
        found = plain_settings(path)
    except (RunError, OSError):
        return path
    checkpoint = Path(path).name if Path(path).parent.name == CHECKPOINTS else ""
    counts = {name: value for name, value in found.items() if name in _COUNTS or name not in NEITHER}
    return json.dumps([checkpoint, counts], sort_keys=True)
