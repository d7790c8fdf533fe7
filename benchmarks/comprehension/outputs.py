"""Where a benchmark's table goes: beside your runs, or to the published results where that is asked for."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.training import RESULTS, RUNS

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


def table(options: argparse.Namespace, name: str, published: bool = False) -> Path:
    """The table that a benchmark writes to; its folder exists.

    Args:
        options: with those of `add_options`.
        name: of the file.
        published: without `--out`, the published table is meant anyway.
    """
    given: Path | None = options.out
    path = given or (RESULTS if published or options.published else OWN) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


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
