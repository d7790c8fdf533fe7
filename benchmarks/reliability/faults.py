"""Tries every fault of the table and writes what came of it, failures left in.

    python benchmarks/faults.py                    all 72 rows -> benchmarks/results/faults.csv
    python benchmarks/faults.py --rows 19 43 61    some of them; the other rows of the file stay

Columns: id, fault, expected, outcome, verdict (ok, or short of what is expected). Needs the extra `dev`.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path

from benchmarks import tables
from benchmarks.reliability import faults_files, faults_learning, faults_processes, faults_worlds
from benchmarks.reliability.arena import Arena, warm_up
from benchmarks.reliability.fault_table import ROWS, Outcome

RESULT = Path(__file__).parents[1] / "results" / "faults.csv"
COLUMNS = ("id", "fault", "expected", "outcome", "verdict")
PARTS = (faults_worlds, faults_learning, faults_files, faults_processes)


def tried(number: int) -> dict[str, str]:
    """One line of the table. A defect of the attempt itself counts as short."""
    row, arena = ROWS[number], Arena()
    try:
        found = row.attempt(arena)
    except Exception as error:  # noqa: BLE001  whatever it is, the table says so and the next row is tried
        traceback.print_exc()
        found = Outcome(False, f"the attempt failed: {type(error).__name__}: {error}")
    finally:
        arena.close()
    text = found.text.replace(str(arena.place), "...").replace(str(Path(__file__).parents[2]), ".")
    text = " ".join(text.split())
    return dict(
        zip(COLUMNS, (str(number), row.fault, row.expected, text, "ok" if found.ok else "short"), strict=True)
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", type=int, default=sorted(ROWS), metavar="N")
    rows = parser.parse_args().rows
    lines = {int(line["id"]): line for line in tables.read(RESULT)}
    warm_up()
    for number in rows:
        began = time.monotonic()
        line = lines[number] = tried(number)
        print(
            f"{number:>3} {line['verdict']:<6}{time.monotonic() - began:6.1f} s  {line['outcome']}",
            flush=True,
        )
        tables.write(RESULT, COLUMNS, (lines[key] for key in sorted(lines)))
    short = [number for number in lines if lines[number]["verdict"] != "ok"]
    count = len(lines) - len(short)
    print(f"{len(lines)} of {len(ROWS)} tried, {count} as written; short: {sorted(short) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
