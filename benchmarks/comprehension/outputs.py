"""Where a benchmark's table goes: beside your runs, or to the published results where that is asked for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks import raw_rows
from benchmarks.training import RESULTS, RUNS
from joule_errors import Refused

OWN = RUNS / "comprehension"
"""The folder of tables by default: what a run of yours shows is no published result."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--out` and `--published`; `table` reads them."""
    parser.add_argument(
        "--out", type=Path, help="the table; the summary is beside it (default: in runs/comprehension/)"
    )
    parser.add_argument(
        "--published",
        action="store_true",
        help="write to the table of the published results, in benchmarks/results/",
    )


def table(options: argparse.Namespace, name: str) -> Path:
    """The table that a benchmark writes to; its folder exists.

    Args:
        options: with those of `add_options`.
        name: of the file.

    Raises:
        Refused: for a folder.
    """
    given: Path | None = options.out
    if given is not None and given.is_dir():
        raise Refused(f"--out: {given} is a folder; name a file, such as {given / name}")
    path = given or (RESULTS if options.published else OWN) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def rows_to_show(path: Path, env: str | None = None) -> list[dict[str, Any]]:
    """The rows of a table that a summary or a figure is made of.

    Args:
        path: of the table.
        env: takes the rows of this environment alone.

    Raises:
        Refused: where there are none.
    """
    rows = [row for row in raw_rows.read(path) if env in (None, row["env"])]
    if not rows:
        of_env = f" of {env}" if env else ""
        raise Refused(f"{path}: no rows{of_env}; measure runs first, or give --published or --out")
    return rows


def add_picture(parser: argparse.ArgumentParser) -> None:
    """Adds `--picture`; `picture` reads it."""
    parser.add_argument(
        "--picture", type=Path, help="default: beside the table; of the published one in docs/pictures/"
    )


def picture(options: argparse.Namespace, table: Path, published: Path) -> Path:
    """The figure of a table.

    Args:
        options: with that of `add_picture`.
        table: what it shows.
        published: the figure of the published table.
    """
    given: Path | None = options.picture
    return given or (published if table.parent == RESULTS else table.with_suffix(".png"))
