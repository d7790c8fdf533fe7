"""The table of ablations: every variant is a valid configuration, and figures are in the right cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import joule
from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from agent.configurator.validation import validate
from benchmarks.learning import ablation
from joule.environment import make_env
from joule.storage.provenance import version
from joule.training.evaluation import evaluate

ALL_VARIANTS = {**ablation.VARIANTS, **ablation.PLANNING_VARIANTS}


@pytest.mark.parametrize("variant", ALL_VARIANTS)
def test_every_variant_is_a_configuration_that_differs_from_the_default(variant: str) -> None:
    config = validate(replace(Config(), ALL_VARIANTS[variant]))
    assert (config == Config()) == (variant == "default")
    assert variant not in ablation.PLANNING_VARIANTS or config.learning == Config().learning


def test_no_two_variants_have_one_name() -> None:
    assert not ablation.VARIANTS.keys() & ablation.PLANNING_VARIANTS.keys()


@pytest.mark.parametrize("variant", [name for name in ablation.VARIANTS if name != "default"])
def test_every_variant_is_a_command_that_train_accepts(variant: str) -> None:
    from joule.commands.train import parser

    words = list(ablation.job_of(variant, "HalfCheetah-v5", 1, 100).settings)
    parser(words).parse(words)


def test_a_planning_variant_is_measured_on_the_trained_agent_of_the_default(trained_run: Path) -> None:
    default = {
        "variant": "default", "env": "e", "seed": "1", "frames": "400", "episodes": "3", "cpu_seconds": "7",
        "version": "old",
    }  # fmt: skip
    name = "no planner: the policy acts"
    row = ablation.evaluate_variant(trained_run, name, {**default, "return_mean": "1e9"})
    policy = joule.load(trained_run, settings={"planner.kind": "policy"})
    same = evaluate(policy, lambda: make_env(policy.config), 3)
    assert (row["variant"], row["return_mean"]) == (name, same.mean)
    assert row["version"] == version(), "it is measured now, whenever the default was"
    unchanged = {"variant": "default", "return_mean": 0, "return_std": 0, "version": "old"}
    assert row | unchanged == default | unchanged


@pytest.mark.parametrize("only", ["no curiosity", "planning one decision ahead"])
def test_only_the_variants_that_are_asked_for_are_trained_or_evaluated(
    monkeypatch: pytest.MonkeyPatch, only: str
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(ablation.sweep, "execute", lambda jobs, *given: asked.extend(jobs))
    monkeypatch.setattr(ablation, "evaluate_variants", lambda variants, *given: asked.extend(variants))
    assert ablation.main(["--only", only, "--seeds", "9", "--envs", "Hopper-v5"]) == 0
    job = [ablation.job_of(only, "Hopper-v5", 9, 50_000)] if only in ablation.VARIANTS else [only]
    assert asked == job


def test_the_table_takes_the_last_evaluations_of_all_seeds() -> None:
    def row(
        variant: str, env: str, seed: int, frames: int, mean: float, cpu: float, version: str = "a"
    ) -> dict[str, Any]:
        figures = {"frames": frames, "return_mean": mean, "cpu_seconds": cpu, "version": version}
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
        "| one-step returns | 300 (300) | — | 0.67 |",  # relative to the default's run of the same seed
    ]
    lines = ablation.table([*rows, row("no curiosity", "a", 2, 100, 1.0, 1.0, "b")], 100).splitlines()
    assert [line for line in lines if "†" in line] == [
        "| no curiosity † | 1 (1) | — | 0.10 |",
        f"† {ablation.NOTE}",
    ]
