"""Runs compared bit for bit, in all that they leave but the seconds they took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from run_files import TABLES, table
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

import joule

SECONDS = {"cpu_seconds", "wall_seconds"}


def rows_without_seconds(path: Path) -> list[dict[str, str]]:
    """The rows of a log, without the columns that no two runs share."""
    return [{name: cell for name, cell in row.items() if name not in SECONDS} for row in table(path)]


def assert_same_state(one: Any, other: Any) -> None:
    """Two agents have the same weights, optimisers, random generators, counters, metrics and replay rows."""
    (arrays, meta), (other_arrays, other_meta) = one.state_dict(), other.state_dict()
    assert arrays.keys() == other_arrays.keys()
    assert [n for n in arrays if not np.array_equal(arrays[n], other_arrays[n], equal_nan=True)] == []
    assert meta == other_meta
    for rows, other_rows in zip(one.replay, other.replay, strict=True):
        assert rows.total == other_rows.total
        held, other_held = rows.since(rows.first), other_rows.since(other_rows.first)
        assert [n for n in held if not np.array_equal(held[n], other_held[n])] == []


def assert_same_run(one: Path, other: Path) -> None:
    """Two run folders hold the same logs, the same agent, and the newest checkpoint of the same frame."""
    for name in (*TABLES, "episodes.csv"):
        if (
            not (one / name).exists() and not (other / name).exists()
        ):  # a run without interaction has no episodes
            continue
        assert rows_without_seconds(one / name) == rows_without_seconds(other / name), name
    assert_same_state(joule.load(one), joule.load(other))
    newest = max(checkpoint_frames(one))
    assert newest == max(checkpoint_frames(other))


def board_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of every scalar in TensorBoard by tag, without those that measure time."""
    board = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    board.Reload()
    tags = [tag for tag in board.Tags()["scalars"] if not tag.startswith("time/")]
    return {tag: [(event.step, event.value) for event in board.Scalars(tag)] for tag in tags}


def checkpoint_frames(folder: Path) -> list[int]:
    """The frames of a run's checkpoints."""
    return sorted(int(path.name.removeprefix("step-")) for path in (folder / "checkpoints").iterdir())
