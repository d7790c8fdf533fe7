"""Run folders made for tests, and their tables."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from agent.configurator.settings import Config
from joule.storage.log_files import EVALUATION_COLUMNS
from joule.storage.run_folder import Run

ENV_SPEC = {"env": "HalfCheetah-v5", "observation_size": 17}
TABLES = ("metrics.csv", "evaluations.csv", "forecasts.csv")


def make_run(folder: Path, **settings: Any) -> Run:
    """A new run with these settings."""
    return Run.create(folder, Config(**settings), ["train.py", "--env", "a b"], ENV_SPEC)


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by column name."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def evaluation(frames: int) -> dict[str, Any]:
    """A row of evaluations.csv."""
    return {**dict.fromkeys(EVALUATION_COLUMNS, 0), "frames": frames, "return_mean": 0.1 + frames}
