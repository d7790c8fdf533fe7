"""The table of ablations: every variant is a configuration that runs, and figures stand where they belong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import joule
from agent.configurator.settings import Config
from agent.configurator.validation import replace, validate
from benchmarks.learning import ablation
from joule.environment import make_env
from joule.training.evaluation import evaluate


@pytest.mark.parametrize("variant", [*ablation.VARIANTS, *ablation.SEARCHES])
def test_every_variant_is_a_configuration_that_differs_from_the_default(variant: str) -> None:
    config = validate(replace(Config(), {**ablation.VARIANTS, **ablation.SEARCHES}[variant]))
    assert (config == Config()) == (variant == "default")
    assert variant not in ablation.SEARCHES or config.learning == Config().learner
    assert not ablation.VARIANTS.keys() & ablation.SEARCHES.keys()


def test_another_search_is_measured_on_the_agent_as_it_was_trained(trained_run: Path) -> None:
    default = {
        "variant": "default",
        "env": "e",
        "seed": "1",
        "frames": "400",
        "episodes": "3",
        "cpu_seconds": "7",
    }
    row = ablation.searched(trained_run, "no search: the policy acts", {**default, "return_mean": "1e9"})
    by_habit = joule.load(trained_run, settings={"planner.kind": "policy"})
    same = evaluate(by_habit, lambda: make_env(by_habit.config), 3)
    assert (row["variant"], row["return_mean"]) == ("no search: the policy acts", same.mean)
    assert row | {"variant": "default", "return_mean": 0, "return_std": 0} == default | {
        "return_mean": 0,
        "return_std": 0,
    }


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
        "| one-step returns | 300 (300) | — | 0.67 |",  # beside the default's run of the same seed
    ]
