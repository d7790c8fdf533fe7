"""Violation of expectation from pictures: matching bounds the raw change, and the command writes what it finds."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import joule
from agent.agent import WorldModelAgent
from benchmarks import pixel_results, raw_rows
from benchmarks.comprehension import intuition, pixel_intuition
from benchmarks.comprehension.seen_matching import (
    LARGEST_RATIO,
    LEAST_PIXELS,
    Matched,
    even,
    matched_seen_pairs,
    ordinary_change,
    raw_change,
    visible_pixels,
)
from benchmarks.comprehension.seen_pairs import ONSET, RepeatedEpisode, SeenEpisode, seen_episode
from benchmarks.comprehension.seen_surprise import FrameDifference, score
from envs.rendering.pixels import Camera, PixelSettings
from envs.safe_env import SafeEnv
from joule_errors import Refused, Stopped

ENV, REPEAT, SIZE = "joule/Push-v0", 3, 48
Stand = tuple[SafeEnv, Camera, list[SeenEpisode]]


@pytest.fixture(scope="module")
def stand() -> Stand:
    env = joule.make_env(ENV, action_repeat=REPEAT)
    camera = Camera(env, ENV, PixelSettings(SIZE))
    return env, camera, [seen_episode(env, camera, seed, 40) for seed in range(4)]


@pytest.mark.parametrize("kind", ["vanish", "teleport"])
def test_matching_bounds_the_raw_change(stand: Stand, kind: str) -> None:
    env, camera, episodes = stand
    largest = ordinary_change(episodes)
    pairs = matched_seen_pairs(env, camera, episodes, kind, 4, largest)
    assert pairs
    for pair in pairs:
        real, edited = raw_change(pair.real), raw_change(pair.edited)
        assert real / LARGEST_RATIO <= edited <= min(LARGEST_RATIO * real, largest)
        assert visible_pixels(pair) >= LEAST_PIXELS
        before = slice(ONSET + 1)
        np.testing.assert_array_equal(pair.edited.pictures[before], pair.real.pictures[before])
    scores = np.array([[score(FrameDifference(), c) for c in (p.real, p.edited)] for p in pairs])
    assert np.sign(scores[:, 1] - scores[:, 0]).sum() == 0, (
        "the change of pixels is right in half of the pairs"
    )


def test_an_episode_goes_on_as_if_nothing_had_been_violated(stand: Stand) -> None:
    env, camera, episodes = stand
    repeated = RepeatedEpisode(env, camera, episodes[0])
    repeated.go_to(10)
    pair = repeated.violated("vanish", 1.0)
    assert pair is not None
    assert visible_pixels(pair) >= LEAST_PIXELS
    assert repeated.violated("vanish", 1.0, largest=0.0) is None, "too conspicuous"
    repeated.go_to(20)
    np.testing.assert_array_equal(camera.frame(), episodes[0].clip.pictures[20])


def test_as_many_pairs_change_more_as_change_less(stand: Stand) -> None:
    env, camera, episodes = stand
    repeated = RepeatedEpisode(env, camera, episodes[0])
    repeated.go_to(10)
    pair = repeated.violated("vanish", 1.0)
    assert pair is not None
    found = [Matched(pair, 1.0, edited) for edited in (1.05, 1.0, 1.02, 0.97, 1.01, 1.0)]
    assert [one.edited for one in even(found, 9)] == [1.05, 0.97, 1.0, 1.0]
    assert [one.edited for one in even(found, 3)] == [1.05, 0.97, 1.0]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned very little from pictures, without rewards."""
    folder = tmp_path_factory.mktemp("runs") / "pixels"
    agent = joule.make(
        "joule", env=ENV, action_repeat=REPEAT, obs="pixels", obs_size=SIZE, obs_frames=2, reward="none",
        settings={"explore.kind": "smooth", "explore.warmup_decisions": 20, "learning.pretrain_updates": 2,
                  "learning.batch_size": 8, "learning.initial_utd": 0.2, "learning.utd": 0.2,
                  "regularizer.kind": "vicreg", "learning.picture_shift": 0, "learning.inverse_weight": 0.0},
    )  # fmt: skip
    agent.learn(40 * REPEAT)
    agent.save(folder)
    return folder


@pytest.mark.slow
def test_the_command_writes_rows_and_figures(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "rows.csv"
    options = ["--pixels", "--violations", "vanish", "--matched-pairs", "2", "--real-steps", "140"]
    monkeypatch.setattr(
        sys, "argv", ["intuition.py", str(run), *options, "--out", str(out), "--videos", str(tmp_path)]
    )
    assert intuition.main() == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    matched = {row["detector"]: row for row in rows if (row["set"], row["violation"]) == ("matched", "all")}
    assert float(matched["frame difference"]["pairwise_accuracy"]) == 0.5
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["matched_trained"] == float(matched["world model"]["pairwise_accuracy"])
    assert record["matched_untrained_by_env"][ENV]["pairs"] == int(matched["world model"]["pairs"]) > 0
    assert "--violations vanish" in record["matched_command"][ENV]
    assert (tmp_path / "joule-Push-v0-pixels.png").stat().st_size > 10_000
    table = pixel_intuition.tables(rows)
    assert "| `vanish` | 2 |" in table
    assert "#### joule/Push-v0 in pictures" in table


def test_the_figures_follow_from_the_rows() -> None:
    record = json.loads(pixel_results.RESULT.read_text())
    found = pixel_intuition.figures(raw_rows.read(pixel_intuition.RESULT), record["matched_command"])
    assert found == {key: record[key] for key in found}
    assert found["matched_trained"] is not None


def test_runs_of_one_environment_count_alike_and_each_environment_has_its_command() -> None:
    def row(seed: int, share: float, detector: str = "world model") -> dict[str, str]:
        known = {"env": "A", "seed": str(seed), "set": "matched", "violation": "all", "detector": detector}
        shares = {"pairwise_accuracy": str(share), "low": str(share - 0.1), "high": str(share + 0.1)}
        return known | shares | {"pairs": "10", "agent_updates": "5"}

    rows = [row(1, 0.8), row(2, 0.6)]
    found = pixel_intuition.figures(rows, {"A": "python it.py"})
    assert found["matched_trained"] == 0.7
    assert found["matched_trained_by_env"]["A"] == {"accuracy": 0.7, "low": 0.6, "high": 0.8, "pairs": 20}
    assert found["matched_command"] == {"A": "python it.py"}
    assert "| all | 20 | 70.0 % (60 to 80) |" in pixel_intuition.tables(rows)


def test_an_episode_that_does_not_repeat_itself_is_refused(stand: Stand) -> None:
    env, camera, episodes = stand
    observations = episodes[0].observations.copy()
    observations[3] += 1.0
    repeated = RepeatedEpisode(env, camera, replace(episodes[0], observations=observations))
    repeated.go_to(3)
    with pytest.raises(Stopped, match="does not repeat itself at decision 3"):
        repeated.go_to(5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--pixels", "--pairs", "3"), "are not for --pixels"),
        (("--pixels", "--choices", "robots.json"), "are not for --pixels"),
        (("RUN", "--envs", "A"), "give them without RUN"),
        (("RUN", "--pixels", "--steps", "9"), "give them without RUN"),
    ],
)
def test_options_that_would_be_ignored_are_refused(
    words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["intuition.py", *words])
    with pytest.raises(SystemExit, match="2"):
        intuition.main()
    assert message in capsys.readouterr().err


def test_violations_are_tried_in_the_environment_of_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def make_env(config: Any) -> Any:
        made.append(config)
        raise Stopped("enough")

    config = SimpleNamespace(env="A", obs="state")
    monkeypatch.setattr(intuition, "make_env", make_env)
    monkeypatch.setattr(intuition, "loaded", lambda run: SimpleNamespace(config=config))
    with pytest.raises(Stopped):
        intuition.examine(tmp_path, argparse.Namespace())
    assert made == [config]
    config.obs = "pixels"
    with pytest.raises(Refused, match="observes pixels; --pixels tests agents"):
        intuition.examine(tmp_path, argparse.Namespace())


def test_a_live_agent_is_surprised_by_a_picture_that_cannot_follow(run: Path) -> None:
    agent = joule.load(run)
    assert isinstance(agent, WorldModelAgent)
    env = joule.make_env(agent.config)
    obs, _ = env.reset(seed=3)
    surprises, state = [], None
    for decision in range(8):
        action, state = agent.predict(255 - obs if decision == 7 else obs, state)
        surprises.append(state.surprise[0])
        obs, *_ = env.step(action)
    assert np.isnan(surprises[0]), "nothing was predicted of the first picture"
    assert np.isfinite(surprises[1:]).all()
    assert surprises[-1] > max(surprises[1:-1])
