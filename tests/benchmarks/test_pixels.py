"""Benchmarks of pixels: returns at the budget, reasons for what is missing, and two commands with one file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from result_files import write_evaluations

from benchmarks import pixel_results
from benchmarks.learning import pixels
from benchmarks.speed import render


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty tree of results."""
    monkeypatch.setattr(pixels, "TREE", tmp_path)
    monkeypatch.setattr(pixels, "RESULT", tmp_path / "pixels.json")
    return tmp_path


def test_returns_are_those_at_the_budget_and_what_is_missing_has_a_reason(results: Path) -> None:
    for seed, returns in ((1, [1.0, 2.0]), (2, [3.0, 4.5, 7.0]), (3, [9.0])):
        (job,) = pixels.jobs("pixels", ["sac"], ["joule/Reach-v0"], [seed], 100_000, [])
        write_evaluations(job.result, returns, agent="sac", env=job.env, seed=seed, every=50_000)
    pixel_results.update({"render_fps": {"Hopper-v5": 500.0}}, results / "pixels.json")
    assert pixels.main([]) == 0
    record = json.loads((results / "pixels.json").read_text())
    assert record["sac_reach"] == {"1": 2.0, "2": 4.5}, (
        "seed 3 has not reached the budget, and seed 2 went on"
    )
    assert record["render_fps"] == {"Hopper-v5": 500.0}
    missing = ("reach", "cartpole_swingup", "reacher_easy", "sac_cartpole_swingup", "sac_reacher_easy")
    assert [record[key] for key in missing] == [None] * 5
    assert record["reasons"].keys() == set(missing)
    assert (
        record["reasons"]["reach"]
        == "no evaluation of joule in joule/Reach-v0 with pixels at 100,000 frames yet"
    )


def test_the_runs_are_commands_that_train_from_pixels() -> None:
    from joule.cli.options import given_settings
    from joule.commands.train import parser
    from joule.settings import config_from

    for job in pixels.jobs("pixels", pixels.AGENTS, [*pixels.ENVS], [1], 100_000, ["--obs-size", "36"]):
        words = ["--agent", job.agent, "--env", job.env, "--steps", str(job.steps), *job.settings]
        config = config_from("default", given_settings(parser(words).parse(words)))
        assert (config.obs, config.obs_size, config.agent) == ("pixels", 36, job.agent)


def test_other_runs_need_another_suite(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        pixels.main(["--steps", "1500"])
    assert "--suite pixels holds runs of 100,000 frames with default settings" in capsys.readouterr().err


def test_frames_a_second_are_those_of_the_median_frame() -> None:
    rows = [{"env": "joule/Cup-v0", "cpu_ms": ms} for ms in ("10.0", "20.0", "500.0")]
    assert render.frames_per_second(rows) == {"joule/Cup-v0": 50.0}
    assert render.table({"joule/Cup-v0": 50.0}).endswith("below 100 frames a second: joule/Cup-v0")
