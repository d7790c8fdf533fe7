"""The tables of the reports, each made from its raw rows.

    python benchmarks/report_tables.py            lists the tables that are not those of the raw rows
    python benchmarks/report_tables.py --write    writes them into the reports

A test compares every table with its raw rows. Those of results.md and unseen.md are written by `compare.py`, and that of
the frontier by `frontier.py`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import markdown_tables, raw_rows
from benchmarks.comprehension import (
    adaptation_summary,
    change_detection_summary,
    collapse,
    constraints_summary,
    intuition_tables,
    pixel_intuition,
    sensor_summary,
    tasks_summary,
)
from benchmarks.learning import ablation, goal_tables, pixel_tables
from benchmarks.speed import render
from benchmarks.training import RESULTS, ROOT
from joule.report.markdown_page import with_table

REPORTS = ROOT / "docs" / "reports"
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Table:
    """A table between two markers of a report."""

    name: str
    """Of its markers; see `markdown_tables.markers_of`."""
    report: str
    raw: str
    """The file of its rows, or a tree of evaluations, each file in the folder of its settings, agent and environment."""
    text: Callable[[Rows], str]

    @property
    def page(self) -> Path:
        """The report."""
        return REPORTS / self.report

    def made(self) -> str:
        """Its Markdown, from the raw rows."""
        path = RESULTS / self.raw
        return self.text(raw_rows.read_tree(path) if path.is_dir() else raw_rows.read(path))

    def differs(self) -> bool:
        """Whether the report has another one."""
        return (
            with_table(self.page, self.made(), markdown_tables.markers_of(self.name)) != self.page.read_text()
        )


TABLES = (
    Table("ablation", "ablation.md", "ablation.csv", lambda rows: ablation.table(rows, 20_000)),
    Table("collapse", "collapse.md", "collapse.csv", collapse.report),
    Table("intuition", "violation-of-expectation.md", "intuition.csv", intuition_tables.tables),
    Table("intuition-pixels", "violation-of-expectation.md", "intuition_pixels.csv", pixel_intuition.tables),
    Table("tasks", "tasks-and-constraints.md", "tasks.csv", tasks_summary.table),
    Table(
        "constraints",
        "tasks-and-constraints.md",
        "constraints.csv",
        lambda rows: constraints_summary.table(rows, 3),
    ),
    Table("change-detection", "adaptation.md", "change_detection.csv", change_detection_summary.table),
    Table("adaptation", "adaptation.md", "adaptation.csv", adaptation_summary.tables),
    Table("goals", "goals.md", "goals.csv", goal_tables.own_tasks),
    Table("goals-baseline", "goals.md", "goals.csv", goal_tables.baseline),
    Table("goals-long-maze", "goals.md", "hierarchy.csv", goal_tables.two_time_scales),
    Table("goals-recorded", "goals.md", "swm_goals.csv", goal_tables.recorded),
    Table("pixels", "pixels.md", "../results_pixels", pixel_tables.learned),
    Table("pixels-perception", "pixels.md", "pixel_perception.csv", pixel_tables.perceived),
    Table(
        "pixels-drawn",
        "pixels.md",
        "render.csv",
        lambda rows: render.table(render.frames_per_second(rows)),
    ),
    Table("sensors", "sensors.md", "sensors.csv", sensor_summary.table),
)


def main() -> int:
    """Lists, or writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write the tables into the reports")
    options = parser.parse_args()
    differing = [table for table in TABLES if table.differs()]
    for table in differing:
        print(f"{table.report}: {table.name}")
        if options.write:
            markdown_tables.write(table.page, table.made(), markdown_tables.markers_of(table.name))
    return int(bool(differing) and not options.write)


if __name__ == "__main__":
    sys.exit(main())
