"""Injects every fault of the table and records the outcome, failures included.

    python benchmarks/reliability/faults.py                    all faults -> benchmarks/results/faults.csv
    python benchmarks/reliability/faults.py --rows 19 43 61    some of them; the other rows of the file stay

Columns: id, fault, expected, outcome, and verdict: "ok" or "short", where the outcome is not the expected one. The exit
code is 1 where a row of the file is short. It needs the extra `dev`.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from pathlib import Path

from benchmarks import raw_rows
from benchmarks.reliability import (
    faults_api,
    faults_checkpoints,
    faults_disk,
    faults_env_failures,
    faults_environments,
    faults_forged,
    faults_functions,
    faults_hostile_files,
    faults_injection,
    faults_learning,
    faults_links,
    faults_machine,
    faults_oversized,
    faults_physics,
    faults_process,
    faults_reading,
    faults_rough_env,
    faults_rough_results,
    faults_settings,
    faults_signals,
    faults_terminal,
)
from benchmarks.reliability.fault_table import FAULTS, Outcome
from benchmarks.reliability.sandbox import ROOT, Sandbox, preload

RESULT = ROOT / "benchmarks" / "results" / "faults.csv"
COLUMNS = ("id", "fault", "expected", "outcome", "verdict")
MODULES = (
    faults_environments, faults_env_failures, faults_physics, faults_learning, faults_settings, faults_disk,
    faults_checkpoints, faults_hostile_files, faults_links, faults_reading, faults_injection, faults_signals, faults_machine,
    faults_rough_env, faults_rough_results,
    faults_process, faults_terminal, faults_api, faults_functions, faults_forged, faults_oversized,
)  # fmt: skip
"""The modules whose import fills the table."""


def tried(number: int) -> dict[str, str]:
    """The row of one fault. An attempt that raises counts as short."""
    fault, sandbox = FAULTS[number], Sandbox()
    try:
        found = fault.attempt(sandbox)
    except Exception as error:  # noqa: BLE001  the table records it, and the next fault is tried
        traceback.print_exc()
        found = Outcome(False, f"the attempt failed: {type(error).__name__}: {error}")
    finally:
        sandbox.close()
    text = " ".join(found.text.replace(str(sandbox.place), "...").replace(str(ROOT), ".").split())
    verdict = "ok" if found.ok else "short"
    return dict(zip(COLUMNS, (str(number), fault.name, fault.expected, text, verdict), strict=True))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", nargs="+", type=int, choices=sorted(FAULTS), default=sorted(FAULTS), metavar="N",
        help="numbers of faults (default: all)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=RESULT, help="the table (default: the committed one)")
    given = parser.parse_args(arguments)
    rows = {int(row["id"]): row for row in raw_rows.read(given.out)}
    # A shell ignores them for what runs under `nohup` or in the background, and so would what is tried here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    preload()
    for number in given.rows:
        start = time.monotonic()
        row = rows[number] = tried(number)
        seconds = time.monotonic() - start
        print(f"{number:>3} {row['verdict']:<6}{seconds:6.1f} s  {row['outcome']}", flush=True)
        raw_rows.write(given.out, COLUMNS, (rows[key] for key in sorted(rows)))
    short = sorted(number for number, row in rows.items() if row["verdict"] != "ok")
    ok = len(rows) - len(short)
    print(f"{len(rows)} of {len(FAULTS)} tried, {ok} ok; short: {short or 'none'}")
    return int(bool(short))


if __name__ == "__main__":
    sys.exit(main())
