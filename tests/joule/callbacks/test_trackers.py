"""Trackers get the numbers of a run under Joule's names and stable-baselines3's, also after a resume."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from run_files import make_run
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)
from tensorboard.plugins.hparams import plugin_data_pb2  # type: ignore[import-untyped]

from agent.errors import ConfigError
from envs.rendering.video import write_mp4
from joule.callbacks import wandb_tracker
from joule.callbacks.callback import Episode, EvaluationResult, Measurement, RunEnd, RunStart
from joule.callbacks.tensorboard_tracker import TensorBoardTracker
from joule.callbacks.tracker import Tracker
from joule.callbacks.trackers import trackers
from joule.callbacks.wandb_tracker import WandbTracker

SETTINGS = {
    "env": "HalfCheetah-v5",
    "steps": 300,
    "video": True,
    "perturb": ("mass=2", "gain=0.5"),
    "task": None,
}
EVALUATION = EvaluationResult(100, np.array([1.0, 3.0]), np.array([10, 30]), {})


class Kept(Tracker):
    """Keeps what it would send."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[int, dict[str, float]]] = []

    def log(self, values: Mapping[str, float], frames: int) -> None:
        self.sent.append((frames, dict(values)))


def start(
    folder: Path = Path("runs/x"), frames: int = 0, seconds: float = 0.0, episodes: int = 0
) -> RunStart:
    earlier = [Episode(i, float(i), 2 * i) for i in range(episodes)]
    return RunStart(folder, "ab" * 16, SETTINGS, "cpu", frames, seconds, frames > 0, earlier)


def test_numbers_have_the_names_of_stable_baselines3_beside_joules() -> None:
    tracker = Kept()
    tracker.on_start(start(frames=200, seconds=10.0, episodes=150))
    tracker.on_metrics(Measurement(300, {"surprise": 0.5}, 20.0))
    tracker.on_episode(Episode(310, 1_000.0, 0))
    tracker.on_metrics(Measurement(400, {"surprise": 0.7}, 60.0))
    tracker.on_evaluation(EVALUATION)
    first, second, evaluated = tracker.sent
    newest = np.arange(50, 150)  # of the 150 episodes before the resume
    assert first == (300, {
        "surprise": 0.5, "rollout/ep_rew_mean": newest.mean(), "rollout/ep_len_mean": 2 * newest.mean(),
        "time/fps": 10.0, "time/frames_per_second": 10.0,
    })  # fmt: skip
    assert second[1]["rollout/ep_rew_mean"] == pytest.approx((newest[1:].sum() + 1_000) / 100)
    assert (second[1]["time/fps"], second[1]["time/frames_per_second"]) == (4.0, 2.5)
    assert evaluated == (100, {
        "eval/mean_reward": 2.0, "eval/mean_ep_length": 20.0, "evaluation/return_mean": 2.0,
        "evaluation/return_std": 1.0, "evaluation/length_mean": 20.0,
    })  # fmt: skip
    tracker.on_evaluation(replace(EVALUATION, row={"success_rate": 0.25}))
    assert tracker.sent[-1][1]["eval/success_rate"] == 0.25


def test_a_tracker_of_a_second_run_begins_anew() -> None:
    tracker = Kept()
    for run in range(2):
        tracker.on_start(start())
        tracker.on_episode(Episode(10, 500.0 * run, 0))
        tracker.on_metrics(Measurement(20, {}, 1.0))
    assert [values["rollout/ep_rew_mean"] for _, values in tracker.sent] == [0.0, 500.0]


def test_tensorboard_reads_scalars_hyperparameters_and_the_video(tmp_path: Path) -> None:
    run, video = make_run(tmp_path / "run"), tmp_path / "film.mp4"
    write_mp4(video, [np.full((48, 64, 3), 20 * i, np.uint8) for i in range(6)], 10.0)
    tracker = TensorBoardTracker(run)
    tracker.on_start(start(run.folder))
    tracker.on_metrics(Measurement(50, {"surprise": 0.5}, 2.0))
    tracker.on_evaluation(EVALUATION)
    tracker.on_video(video, 100)
    tracker.on_end(RunEnd(100, "finished"))
    run.close()
    board = EventAccumulator(str(run.folder / "tensorboard"))
    board.Reload()
    assert [(event.step, event.value) for event in board.Scalars("eval/mean_reward")] == [(100, 2.0)]
    assert [event.value for event in board.Scalars("time/fps")] == [25.0]
    (picture,) = board.Images("video")
    assert (picture.step, picture.encoded_image_string[:6], picture.width) == (100, b"GIF89a", 320)
    content = {
        tag: plugin_data_pb2.HParamsPluginData.FromString(board.SummaryMetadata(tag).plugin_data.content)
        for tag in board.PluginTagToContent("hparams")
    }
    settings = content["_hparams_/session_start_info"].session_start_info.hparams
    assert (settings["env"].string_value, settings["steps"].number_value) == ("HalfCheetah-v5", 300.0)
    assert (settings["video"].bool_value, settings["perturb"].string_value) == (True, "mass=2 gain=0.5")
    assert "task" not in settings
    metrics = content["_hparams_/experiment"].experiment.metric_infos
    assert "eval/mean_reward" in [info.name.tag for info in metrics]
    assert content["_hparams_/session_end_info"].session_end_info.status == 1  # success


class FakeWandb(ModuleType):
    """What the tracker uses of wandb; it keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.told: list[Any] = []
        self.Settings = dict
        self.Video = lambda path, format: ("video", path, format)

    def setup(self) -> Any:
        return SimpleNamespace(settings=SimpleNamespace(project=None))

    def init(self, **arguments: Any) -> Any:
        self.told.append(arguments)
        return SimpleNamespace(
            config=SimpleNamespace(update=lambda *_, **__: None),
            define_metric=lambda *names, **options: self.told.append((names, options)),
            log=self.told.append,
            summary={},
            finish=lambda exit_code: self.told.append(exit_code),
        )


def test_a_resumed_run_continues_the_same_run_of_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr(wandb_tracker, "find_spec", lambda name: name)
    for frames in (0, 200):
        tracker = WandbTracker(group="arms")
        tracker.on_start(start(Path("runs/arm"), frames))
        tracker.on_metrics(Measurement(frames + 50, {"surprise": 0.5}, 0.0))
        tracker.on_video(Path("film.mp4"), frames + 50)
        tracker.on_end(RunEnd(frames + 50, "failed" if frames else "interrupted"))
    begun = [told for told in fake.told if isinstance(told, dict) and "id" in told]
    assert [(told["id"], told["resume"]) for told in begun] == [("ab" * 16, "allow")] * 2
    assert {(told["project"], told["name"], told["group"]) for told in begun} == {("joule", "arm", "arms")}
    assert begun[0]["config"]["env"] == "HalfCheetah-v5"
    assert (("*",), {"step_metric": "frames"}) in fake.told
    assert {"surprise": 0.5, "frames": 250} in fake.told
    assert {"video": ("video", "film.mp4", "mp4"), "frames": 50} in fake.told
    assert [told for told in fake.told if isinstance(told, int)] == [0, 1]


def test_an_unknown_tracker_and_a_missing_library_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"--track: 'mlflow' is none of wandb$"):
        trackers(["mlflow"])
    monkeypatch.setattr(wandb_tracker, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"wandb is not installed; install it with `pip install wandb`$"):
        trackers(["wandb"])


@pytest.mark.slow
def test_wandb_itself_keeps_a_run_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.chdir(tmp_path)
    tracker = WandbTracker(mode="offline")
    tracker.on_start(start(tmp_path))
    tracker.on_metrics(Measurement(50, {"surprise": 0.5}, 2.0))
    tracker.on_evaluation(EVALUATION)
    tracker.on_end(RunEnd(100, "finished"))
    (kept,) = tmp_path.glob(f"wandb/offline-run-*-{'ab' * 16}/run-{'ab' * 16}.wandb")
    until = time.monotonic() + 60.0
    while b"eval/mean_reward" not in kept.read_bytes():  # a process of wandb's writes it, at its own pace
        assert time.monotonic() < until
        time.sleep(0.1)
