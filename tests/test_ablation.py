"""The table of ablations: every variant is a configuration that runs, and figures stand where they belong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from agent.configurator import Config, replace, validate

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import ablation


@pytest.mark.parametrize("variant", ablation.VARIANTS)
def test_every_variant_is_a_configuration_that_differs_from_the_default(variant: str) -> None:
    config = validate(replace(Config(), ablation.VARIANTS[variant]))
    assert (config == Config()) == (variant == "default")


def test_the_table_takes_the_last_evaluations_of_all_seeds() -> None:
    def row(variant: str, env: str, seed: int, frames: int, mean: float, cpu: float) -> dict[str, Any]:
        figures = {"frames": frames, "return_mean": mean, "cpu_seconds": cpu}
        return {"variant": variant, "env": env, "seed": seed, **figures}

    rows = [
        row("default", "a", 1, 50, 10.0, 3.0),
        row("default", "a", 1, 100, 400.0, 6.0),
        row("default", "a", 2, 100, 500.0, 10.0),
        row("one-step returns", "a", 1, 100, 300.4, 4.0),
        row("one-step returns", "b", 1, 50, 1.0, 1.0),
    ]
    lines = ablation.table(rows, 100).splitlines()
    assert lines[0] == "| variant | a | b | CPU time |"
    assert lines[2:] == [
        "| default | 450 (400, 500) | — | 1.00 |",
        "| one-step returns | 300 (300) | — | 0.50 |",
    ]
