"""The frontier: runs are told apart, CPU time is SAC's times a paired ratio, and what is missing stays missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from result_files import write_evaluations

from agent.configurator.dotted_names import replace
from agent.configurator.settings import Config
from benchmarks import contenders
from benchmarks.contenders import BY_NAME, CONTENDERS, DMC
from benchmarks.learning import frontier, frontier_curves, sweep
from benchmarks.learning.frontier_figure import draw
from benchmarks.speed import whole_run
from benchmarks.speed.whole_run import Parts

HOPPER = "Hopper-v5"


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty trees of results, and a file of CPU times with SAC alone."""
    monkeypatch.setattr(contenders, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(contenders, "OTHER_RESULTS", tmp_path / "others")
    record = {
        "machine": {"cpu": "one"},
        "relative_to_sac": {str(n): n / 100_000 for n in range(10_000, 110_000, 10_000)},
    }
    monkeypatch.setattr(whole_run, "read", lambda: {"HalfCheetah-v5": {"sac": record}})
    return tmp_path


def write_run(name: str, env: str, seed: int, returns: list[float]) -> None:
    contender = BY_NAME[name]
    path = frontier.job_of(contender, env, seed).result
    write_evaluations(path, returns, agent=contender.agent, env=env, seed=seed, every=10_000)


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_every_contender_is_a_command_that_makes_its_configuration(contender: Any) -> None:
    from joule.cli.options import given_settings
    from joule.commands.train import parser
    from joule.settings import config_from

    job = frontier.job_of(contender, HOPPER, 3)
    words = ["--agent", job.agent, "--env", job.env, "--steps", str(job.steps), *job.settings]
    options = parser(words).parse(words)
    assert config_from(options.preset or "default", given_settings(options)) == contender.config(HOPPER)
    assert (contender.tree == contenders.RESULTS) == (not job.settings)


def test_contenders_and_rows_are_in_places_of_their_own() -> None:
    jobs = [frontier.job_of(c, env, seed) for c in CONTENDERS for env in (HOPPER, DMC[0]) for seed in (1, 2)]
    assert len({job.result for job in jobs}) == len({job.folder for job in jobs}) == len(jobs)


def test_a_run_is_summed_up_by_its_schedule() -> None:
    config = replace(
        Config(),
        {
            "steps": 20, "learning.utd": 2.0, "learning.initial_utd": 4.0, "learning.initial_utd_decisions": 8,
            "learning.pretrain_updates": 10, "explore.warmup_decisions": 4, "explore.plan_from_decisions": 6,
            "explore.plan_every_episodes": 2,
        },
    )  # fmt: skip
    ms = np.diff(whole_run.whole_run_ms(config, 2, Parts(1.0, 5.0, 2.0, 3.0)), prepend=0.0)
    # Random until the fourth decision, which has 10 updates in place of 2; then the ratio falls to 2.
    further = [(2 * (1 - n / 8)) * 2.0 for n in (5, 6, 7)]
    expected = [1, 1, 1, 5 + 8 * 2.0, 5 + further[0], 5 + further[1], 6.5 + further[2], 6.5, 6.5, 6.5]
    assert ms == pytest.approx(expected)


def test_a_baseline_costs_little_in_warm_up_and_is_divided_by_sac() -> None:
    configs = {name: replace(BY_NAME[name].config(HOPPER), {"steps": 100_000}) for name in ("sac", "tqc")}
    parts = {"sac": Parts(0.0, 1.0), "tqc": Parts(0.0, 3.0)}
    relative = whole_run.relative_to_sac(configs, 1, parts)
    assert relative["sac"][100_000] == 1.0
    assert relative["tqc"] == pytest.approx({n: 3 * (n - 10_000) / 90_000 for n in relative["tqc"]})


def test_minutes_are_those_of_sacs_rows_times_the_ratio(trees: Path) -> None:
    write_run("sac", HOPPER, 1, [float(n) for n in range(10)])  # ten minutes, as the rows record it
    write_run("tqc", HOPPER, 1, [float(n) for n in range(10)])
    rows = frontier.read_rows()
    panels = frontier.curves_of(rows, frontier_curves.CpuTime.read(rows))
    minutes = panels[HOPPER]["sac"].minutes
    assert minutes is not None
    assert minutes.tolist() == pytest.approx(range(1, 11))
    assert panels[HOPPER]["tqc"].minutes is None, "its ratio was not measured"
    (axes,) = [a for a in draw({HOPPER: panels[HOPPER]}, trees / "one.png").axes if a.get_title(loc="left")]
    lines = [np.asarray(line.get_xydata()) for line in axes.get_lines()]
    assert [line[:, 1].tolist() for line in lines if len(line) == 10] == [list(range(10))], "SAC alone"


def test_what_is_missing_has_no_number_and_a_reason(trees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontier, "draw", lambda panels, path: path.write_text(" ".join(panels)))
    for env in (*DMC, HOPPER):
        write_run("sac", env, 1, [5.0] * 10)
    for env, level in zip(DMC, range(6), strict=True):
        write_run("default", env, 1, [0.0] * 9 + [100.0 * level])
        write_run("default", env, 2, [0.0] * 9 + [100.0 * level + 60])
    write_run("default", DMC[0], 3, [0.0] * 4)  # still training: it does not count
    write_run("strong", HOPPER, 1, [1.0] * 4)
    page = trees / "page.md"
    page.write_text("\n".join(frontier.MARKERS))
    found = frontier.publish(trees / "picture.png", page, trees / "frontier.json")
    assert found == json.loads((trees / "frontier.json").read_text())
    assert (found["dmc6_default"], found["seeds"]["default"][DMC[0]]) == (280.0, 2)
    assert found["hopper_strong"] is found["cpu_ratio_default"] is None
    assert "no row" in found["reasons"]["hopper_strong"]
    assert found["reasons"]["dmc6_strong_50k"].startswith("no row at 50,000 frames: ")
    assert "not measured" in found["reasons"]["cpu_ratio_default"]
    assert "| SAC | — | 5 (1) | 5 (1) |" in page.read_text()
    left = frontier.missing([BY_NAME["default"], BY_NAME["strong"]], [DMC[0], HOPPER], [1, 3])
    assert [(job.suite, job.env, job.seed) for job in left] == [
        ("gymnasium", HOPPER, 1), ("strong", DMC[0], 1), ("strong", HOPPER, 1),
        ("dmc", DMC[0], 3), ("gymnasium", HOPPER, 3), ("strong", DMC[0], 3), ("strong", HOPPER, 3),
    ]  # fmt: skip


def test_a_longer_result_is_not_replaced_by_a_run_that_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "RUNS", tmp_path / "runs")
    job = sweep.Job("s", "sac", HOPPER, 1, 100_000, (), tmp_path / "results")
    write_evaluations(job.result, [1.0, 2.0, 3.0])
    kept = job.result.read_text()
    for count, replaced in ((1, False), (4, True)):
        write_evaluations(job.folder / "evaluations.csv", [7.0] * count)
        sweep.collected(job)
        assert (job.result.read_text() != kept) == replaced
