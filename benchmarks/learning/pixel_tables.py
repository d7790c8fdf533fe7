"""The tables of the report on pixels, from the raw rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.markdown_tables import markdown

Rows = Sequence[Mapping[str, Any]]

SUITES = {
    "pixels": "the default",
    "pixels-half-updates": "half the updates, the earlier encoder",
    "pixels-without-inverse": "no inverse dynamics, the earlier encoder",
}
"""Folder of results -> what the table calls its settings."""


def learned(rows: Rows) -> str:
    """The last evaluation of each run, and the one at half of its frames.

    Args:
        rows: evaluations, each with the folder below `benchmarks/results_pixels` that its file is in.
    """
    cells = []
    for folder in dict.fromkeys(row["folder"] for row in rows):
        of = [row for row in rows if row["folder"] == folder]
        suite, agent, _ = folder.split("/")
        last = of[-1]
        half = [row for row in of if 2 * int(row["frames"]) == int(last["frames"])]
        cells.append([
            last["env"], agent, SUITES[suite], f"{int(last['frames']):,}",
            f"{float(half[0]['return_mean']):.0f}" if half else "—", f"{float(last['return_mean']):.0f}",
            f"{float(last['cpu_seconds']) / 60.0:.0f}",
        ])  # fmt: skip
    cells.sort(key=lambda row: (row[0], row[1], list(SUITES.values()).index(row[2])))
    return markdown(
        ("environment", "agent", "settings", "frames", "return at half of them", "return", "CPU-min"), cells
    )


def perceived(rows: Rows) -> str:
    """R² of a linear probe of the latents after 2,000 gradient steps; rows of pixel_perception.csv."""
    of = [row for row in rows if row["gradient_steps"] == "2000"]
    kinds = dict.fromkeys(row["settings"] for row in of)
    by = {(row["settings"], row["readout"]): float(row["r_squared"]) for row in of}
    cells = (
        [name.replace("_", " "), *(f"{by[kind, name]:.2f}" for kind in kinds)]
        for name in dict.fromkeys(row["readout"] for row in of)
    )
    return markdown(("readout", *(f"`{kind}`" for kind in kinds)), cells)
