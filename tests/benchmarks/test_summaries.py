"""The committed summaries follow from the committed rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import raw_rows
from benchmarks.comprehension import (
    adaptation_summary,
    change_detection_summary,
    collapse,
    constraints,
    intuition,
    sensor_episodes,
    sensor_summary,
    tasks,
)
from benchmarks.training import RESULTS

Rows = list[dict[str, Any]]
MEASURED = ("cpu_ms", "versions")
"""Keys of sensors.json that do not come from the rows."""
SUMMARIES: dict[str, tuple[str, Callable[[Rows], dict[str, Any]]]] = {
    "adapt.json": ("adaptation.csv", adaptation_summary.summary),
    "change_detection.json": ("change_detection.csv", change_detection_summary.summary),
    "guardrail.json": ("constraints.csv", lambda rows: constraints.summary(rows, horizon=3)),
    "intuition.json": ("intuition.csv", intuition.summary),
    "retask.json": ("tasks.csv", tasks.summary),
    "sensors.json": ("sensors.csv", lambda rows: sensor_summary.summary(rows, {})),
}
COLUMNS = {
    "adaptation.csv": adaptation_summary.COLUMNS,
    "change_detection.csv": change_detection_summary.COLUMNS,
    "collapse.csv": collapse.COLUMNS,
    "constraints.csv": constraints.COLUMNS,
    "intuition.csv": intuition.COLUMNS,
    "tasks.csv": tasks.COLUMNS,
    "sensors.csv": sensor_episodes.COLUMNS,
}


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_summary_follows_from_its_rows(name: str) -> None:
    table, summary = SUMMARIES[name]
    committed = json.loads((RESULTS / name).read_text())
    found = json.loads(json.dumps(summary(raw_rows.read(RESULTS / table))))
    for key in MEASURED:
        committed.pop(key, None)
        found.pop(key, None)
    assert found == committed


@pytest.mark.parametrize("name", COLUMNS)
def test_a_table_has_the_columns_that_its_benchmark_writes(name: str) -> None:
    rows = raw_rows.read(RESULTS / name)
    assert tuple(rows[0]) == COLUMNS[name]
