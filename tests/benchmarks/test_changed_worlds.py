"""The commands that change the environment of a trained agent: what they write, and what they refuse."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import raw_rows
from benchmarks.comprehension import adaptation, change_detection, outputs, sensors
from benchmarks.comprehension.adaptation_phases import ADAPTING_SEED, Phases, Settings
from benchmarks.comprehension.change_detection_summary import COLUMNS
from benchmarks.refusals import exit_code
from benchmarks.training import RESULTS

PLANS = SimpleNamespace(kind="mppi")
AGENT = SimpleNamespace(config=SimpleNamespace(env="A", seed=1, agent="joule", planner=PLANS), frames=9)


@pytest.mark.parametrize(
    ("benchmark", "words"),
    [
        (change_detection, ("missing",)),
        (change_detection, ("--summary",)),
        (adaptation, ("--redraw",)),
        (adaptation, ("--runs", "missing")),
        (sensors, ("missing", "--redraw")),
    ],
)
def test_a_missing_run_and_a_missing_table_are_one_sentence_and_write_nothing(
    benchmark: ModuleType, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "rows.csv"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["it.py", *words, "--out", str(out)])
    assert exit_code(benchmark.main) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_figure_of_ones_own_rows_is_not_that_of_the_docs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Path] = []
    monkeypatch.setattr(outputs, "OWN", tmp_path)
    monkeypatch.setattr(adaptation, "draw", lambda rows, path: drawn.append(path))
    raw_rows.write(tmp_path / "adaptation.csv", ("env",), [{"env": "A"}])
    for words in ((), ("--published",)):
        monkeypatch.setattr(sys, "argv", ["adaptation.py", "--redraw", *words])
        assert adaptation.main() == 0
    assert drawn == [tmp_path / "adaptation.png", adaptation.PICTURE]
    assert (RESULTS / "adaptation.csv").is_file()


def test_an_agent_that_was_interrupted_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, last = tmp_path / "rows.csv", 1

    def rows_of(agent: Any, acts: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
        for number in range(3):
            if number == last:
                raise KeyboardInterrupt
            known = dict.fromkeys(COLUMNS, "0") | {"env": "A", "seed": 1, "run_frames": 9, "acts": acts}
            yield known | {"world": ("home", "a", "a")[number], "first_seed": number, "decisions": 10}

    monkeypatch.setattr(change_detection, "rows_of", rows_of)
    monkeypatch.setattr(change_detection, "loaded", lambda folder, acts: AGENT)
    monkeypatch.setattr(sys, "argv", ["change_detection.py", "run", "--out", str(out)])
    with pytest.raises(KeyboardInterrupt):
        change_detection.main()
    assert raw_rows.read(out) == []
    last = 9
    for _ in range(2):
        assert change_detection.main() == 0
        assert len(raw_rows.read(out)) == 3


def test_no_two_sequences_begin_with_the_same_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Recorder:
        def __init__(self, agent: Any) -> None:
            pass

        def env(self) -> None:
            return None

        def play(self, perturbations: Any, decisions: int, seed: int) -> list[Any]:
            steps, episode = range(decisions), np.zeros(decisions, int)
            return [SimpleNamespace(steps=steps, episode=episode) for _ in perturbations]

    for name, value in (
        ("Recorder", Recorder), ("play_home_episodes", lambda *of: None), ("alarms_of", lambda *of: []),
        ("Signals", lambda *of: SimpleNamespace(thresholds={})), ("worlds_for", lambda *of: ("a", "b")),
    ):  # fmt: skip
        monkeypatch.setattr(change_detection, name, value)
    options = change_detection.parser().parse_args(["run", "--test", "4000"])
    spec = SimpleNamespace(episode_limit=100, action_repeat=1)
    agent: Any = SimpleNamespace(config=AGENT.config, frames=9, env_spec=spec, modules=None)
    seeds = [row["first_seed"] for row in change_detection.rows_of(agent, "plan", options)]
    assert len(set(seeds)) == len(seeds) == 20 + 2 * 3
    assert set(np.diff(sorted(seeds))) == {1, change_detection.WORLD_SEED - change_detection.TEST_SEED - 19}


def test_a_change_comes_in_the_first_half_of_an_episode() -> None:
    assert change_detection.onsets_of(3, 500) == [60, 80, 100]
    assert change_detection.onsets_of(3, 50) == [15, 20, 25]
    assert change_detection.onsets_of(3, 2) == [1, 1, 1]


def test_rows_of_adaptation_name_the_frames_at_load_and_what_counts_for_the_method() -> None:
    agent, settings = SimpleNamespace(config=AGENT.config, frames=9), Settings(5, 10, 1_000, 300, 7)
    phases = Phases(agent, "sac learns on", "gravity=2", settings, lambda: None, 2)
    agent.frames = 99
    phases.add("changed", 1.0, 10)
    (row,) = phases.rows
    assert phases.first_seed == ADAPTING_SEED + 2_000
    assert (row["run_frames"], row["settings"]) == (9, "episodes=5 decisions=1000 changed_episodes=10")
    measured = adaptation.measured(AGENT, "gravity=2", "sac learns on", settings)
    assert adaptation.key_of(row, adaptation.MEASURED) == measured
    other = Settings(5, 10, 1_000, 300, 8)
    assert adaptation.measured(AGENT, "gravity=2", "sac learns on", other) == measured
    assert settings.text("joule taught") != other.text("joule taught")


def test_a_first_look_has_a_table_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"env": "A", "perturbation": "gravity=2", "method": "joule frozen", "seed": 1, "return": 1.0}
    monkeypatch.setattr(outputs, "OWN", tmp_path)
    monkeypatch.setattr(adaptation, "all_rows", lambda *of: iter([[row]]))
    monkeypatch.setattr(adaptation, "write_summary", lambda rows, path: path.touch())
    monkeypatch.setattr(adaptation, "draw", lambda rows, path: None)
    monkeypatch.setattr(sys, "argv", ["adaptation.py", "--runs", "run", "--quick"])
    for _ in range(2):  # the rows of the same seed are replaced
        assert adaptation.main() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapt-quick.json", "adaptation-quick.csv"]
    assert len(raw_rows.read(tmp_path / "adaptation-quick.csv")) == 1


def test_sensors_are_played_again_in_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def play(agent: Any, condition: str, seeds: list[int], decisions: int) -> list[dict[str, Any]]:
        known = {"env": "A", "planner": "mppi", "run_seed": "1", "run_frames": "9", "condition": "healthy"}
        own = known | {"perceive": agent.way, "return": 0.0, "most_decisions": decisions, "commit": commit}
        return [own | {"episode_seed": seed} for seed in seeds]

    def loaded(run: Path, way: str) -> Any:
        config = SimpleNamespace(env="A", seed=1, planner=SimpleNamespace(kind="mppi"))
        return SimpleNamespace(way=way, config=config, frames=9, env_spec=SimpleNamespace(episode_limit=50))

    commit = "new"
    monkeypatch.setattr(sensors, "version", lambda: commit)
    monkeypatch.setattr(sensors, "loaded", loaded)
    monkeypatch.setattr(sensors, "play_episodes", play)
    monkeypatch.setattr(sensors, "conditions_for", lambda run, options: {"": 1.0})
    options = sensors.parser().parse_args(["run", "--episodes", "2", "--out", str(tmp_path / "rows.csv")])
    other_run = {"env": "A", "planner": "mppi", "run_seed": "2", "run_frames": "9", "condition": "healthy"}
    rows: list[dict[str, Any]] = [other_run]
    rows += play(SimpleNamespace(way="energy"), "", [10_000, 10_001, 10_002], 50)
    for row in rows[1:]:
        row["commit"] = "old"
    own = sensors.play_run(tmp_path, options, rows)
    assert [row["commit"] for row in own] == ["new"] * 4
    assert rows == [other_run, *own]
    assert sensors.play_run(tmp_path, options, rows) == own
