"""The tables of the reports are those of their raw rows."""

from __future__ import annotations

import pytest

from benchmarks import raw_rows, report_tables
from benchmarks.comprehension import adaptation_summary
from benchmarks.training import RESULTS


@pytest.mark.parametrize("table", report_tables.TABLES, ids=lambda table: table.name)
def test_a_table_is_that_of_its_raw_rows(table: report_tables.Table) -> None:
    assert not table.differs(), "python benchmarks/report_tables.py --write renews it"


def test_another_row_makes_another_table() -> None:
    rows = raw_rows.read(RESULTS / "adaptation.csv")
    before = adaptation_summary.tables(rows)
    wanted = ("dmc:quadruped-walk", "joule adapts", "change")  # one agent, so that a cell is no median
    changed = next(row for row in rows if (row["env"], row["method"], row["phase"]) == wanted)
    changed["detected_after"] = "299"
    assert adaptation_summary.tables(rows).count("| 299 |") == before.count("| 299 |") + 1
