"""What a run tells its callbacks, what they can end, and what is left when one raises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_env
from run_comparison import checkpoint_frames

import joule
from agent.errors import StopRun

BRIEF: dict[str, Any] = {
    "env": tiny_env.ID,
    "agent": "random",
    "steps": 60,
    "eval_every_frames": 30,
    "eval_episodes": 2,
    "checkpoint_every_frames": 30,
    "video": False,
    "progress": False,
}
"""Episodes of training end at 25 and 50."""


class Heard(joule.Callback):
    """Remembers what it is told, in order."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.heard: list[Any] = []
        self.stop_at = stop_at
        self.activities: list[Any] = []

    def on_start(self, start: Any) -> None:
        self.heard.append(("start", start.frames, start.resumed, len(start.episodes)))

    def on_step(self, agent: Any) -> bool | None:
        return False if agent.frames == self.stop_at else None

    def on_episode(self, episode: Any) -> None:
        self.heard.append(("episode", episode.frames, episode.decisions))

    def on_evaluation(self, evaluation: Any) -> None:
        self.heard.append(("evaluation", evaluation.frames, evaluation.lengths.tolist()))

    def on_checkpoint(self, frames: int) -> None:
        self.heard.append(("checkpoint", frames))

    def on_activity(self, activity: Any) -> None:
        self.activities.append((activity.name, activity.done, activity.episodes_ended, activity.episodes))

    def on_end(self, end: Any) -> None:
        self.heard.append(("end", end.frames, end.outcome))


def test_a_run_that_a_callback_ends_is_complete_and_continues(tmp_path: Path) -> None:
    first, second = Heard(stop_at=40), Heard()
    assert joule.train(out=tmp_path / "run", callbacks=[first], **BRIEF).agent.frames == 40
    assert first.heard == [
        ("start", 0, False, 0), ("episode", 25, 25), ("evaluation", 30, [25, 25]), ("checkpoint", 30),
        ("evaluation", 40, [25, 25]), ("checkpoint", 40), ("end", 40, "interrupted"),
    ]  # fmt: skip
    assert first.activities[:2] == [("evaluating", pytest.approx(share), 0, 2) for share in (0.04, 0.08)]
    assert first.activities[24:26] == [("evaluating", 0.999, 2, 2), ("evaluating", 1.0, 2, 2)]
    assert first.activities[26:] == first.activities[:26]
    joule.train(resume=tmp_path / "run", callbacks=[second], progress=False)
    assert second.heard == [
        ("start", 40, True, 1), ("episode", 50, 25), ("evaluation", 60, [25, 25]), ("checkpoint", 60),
        ("end", 60, "finished"),
    ]  # fmt: skip


def test_an_answer_that_is_neither_true_nor_false_names_the_callback(tmp_path: Path) -> None:
    class Unclear(joule.Callback):
        def on_step(self, agent: Any) -> Any:
            return np.array([True, False]) if agent.frames == 20 else None

    with pytest.raises(StopRun, match="the callback Unclear raised ValueError in on_step"):
        joule.train(out=tmp_path / "run", callbacks=[Unclear()], **BRIEF)
    assert checkpoint_frames(tmp_path / "run") == [20]


def test_a_new_run_whose_callback_cannot_start_leaves_no_folder(tmp_path: Path) -> None:
    class NobodyLoggedIn(joule.Callback):
        def on_start(self, start: Any) -> None:
            (tmp_path / "mine").write_text(str(start.folder))
            raise OSError("log in first")

    heard, run = Heard(), tmp_path / "run"
    refused = pytest.raises(
        StopRun, match="the callback NobodyLoggedIn raised OSError in on_start: log in first"
    )
    with refused:
        joule.train(out=run, callbacks=[NobodyLoggedIn(), heard], **BRIEF)
    assert heard.heard == [("end", 0, "failed")]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    joule.train(out=run, callbacks=[Heard(stop_at=40)], **BRIEF)
    with pytest.raises(StopRun, match="log in first"):
        joule.train(resume=run, callbacks=[NobodyLoggedIn()], progress=False)
    assert checkpoint_frames(run)[-1] == 40, "a run that was there stays"
    assert "log in first" in (run / "failure.txt").read_text()
    assert joule.train(resume=run, progress=False).agent.frames == 60


def test_what_was_learned_is_saved_when_a_callback_raises(tmp_path: Path) -> None:
    class Broken(joule.Callback):
        def on_episode(self, episode: Any) -> None:
            raise ValueError("no space")

    heard = Heard()
    with pytest.raises(
        StopRun, match=r"frame 25: the callback Broken raised ValueError in on_episode: no spa"
    ):
        joule.train(out=tmp_path / "run", callbacks=[Broken(), heard], **BRIEF)
    assert checkpoint_frames(tmp_path / "run") == [25]
    assert heard.heard[-1] == ("end", 25, "failed")
    assert joule.train(resume=tmp_path / "run", progress=False).agent.frames == 60
    lines = (tmp_path / "run" / "episodes.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["frames", "25", "50"], "the episode is there once"


class Silent(Heard):
    """Takes no note of what follows a run, and none of a traceback."""

    def on_note(self, sentence: str) -> None:
        if sentence.startswith(("resume:", "the traceback")):
            raise RuntimeError("no paper left")


def test_a_callback_that_takes_no_notes_hears_of_the_failure_which_goes_with_a_resume(
    tmp_path: Path,
) -> None:
    silent, failure = Silent(), tmp_path / "run" / "failure.txt"
    with pytest.raises(StopRun, match="no paper left"):
        joule.train(out=tmp_path / "run", callbacks=[silent], **BRIEF)
    assert silent.heard[-1] == ("end", 60, "failed")
    assert "no paper left" in failure.read_text()
    joule.train(resume=tmp_path / "run", progress=False)
    assert not failure.exists()


@pytest.mark.parametrize("several", [{}, {"agent": "sac"}, {"num_envs": 2}])
def test_a_callback_sees_the_info_of_the_newest_step(tmp_path: Path, several: dict[str, Any]) -> None:
    class Speed(joule.Callback):
        def on_step(self, agent: Any) -> None:
            infos = agent.env.attribute("info") if "num_envs" in several else [agent.env.info]
            agent.metrics["own/speed"] = np.mean([info["x_velocity"] for info in infos])
            assert all(info["frames"] == 1 for info in infos)

    # Stable-baselines3 resets its environment within the last step of an episode.
    run = joule.train(
        env="HalfCheetah-v5", steps=8, out=tmp_path / "run", callbacks=[Speed()], settings=several,
        max_episode_frames=4, eval_episodes=1, video=False, progress=False,
    )  # fmt: skip
    assert run.agent.metrics["own/speed"] != 0.0
