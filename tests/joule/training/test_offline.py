"""A run that learns from recorded episodes, without interaction, by the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import picture_env
import pytest
import tiny_env
from recorded_episodes import record
from run_comparison import assert_same_run
from run_files import table

import joule
from agent.agent import WorldModelAgent
from agent.errors import ConfigError
from joule.cli.command_line import setting_words
from joule.commands import evaluate, train
from joule_errors import Refused

pytestmark = pytest.mark.usefixtures("unchecked")

AtFrame = Callable[[int | None, Callable[[], Any]], None]
COLLECTING = ("explore.", "learning.utd", "learning.initial", "learning.pretrain", "env")


class Killed(BaseException):
    """Stands for the end of the process."""


def die() -> None:
    raise Killed


@pytest.fixture
def offline(small: dict[str, Any], tmp_path: Path) -> Callable[..., list[str]]:
    """`offline(data, folder, *more)`: the options of a run of 60 gradient steps on these data."""
    usual = {name: value for name, value in small.items() if not name.startswith(COLLECTING)}
    brief = {"steps": 60, "eval_every_frames": 25, "eval_episodes": 2, "checkpoint_every_frames": 20}
    settings = setting_words({**usual, **brief, "learning.batch_size": 16})

    def make(data: Path, folder: Path, *more: str) -> list[str]:
        return ["--data", str(data), *settings, *more, "--out", str(folder)]

    return make


@pytest.mark.slow
def test_it_takes_no_step_and_can_be_killed(
    offline: Callable[..., list[str]], at_frame: AtFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, env = record(tmp_path / "data"), ("--env", tiny_env.ID)
    assert train.main(offline(data, tmp_path / "whole", *env)) == 0
    told = capsys.readouterr().out
    assert "data: 12 episodes, 300 transitions, return" in told
    assert "60 gradient steps  evaluated" in told
    agent = joule.load(tmp_path / "whole")
    assert isinstance(agent, WorldModelAgent)
    assert (agent.frames, agent.decisions, agent.modules.learner.updates) == (60, 0, 60)
    assert agent.modules.surprise.count > 0
    assert agent.modules.surprise.usual > 0.0
    assert [row["frames"] for row in table(tmp_path / "whole" / "evaluations.csv")] == ["25", "50", "60"]
    kept = json.loads((tmp_path / "whole" / "run.json").read_text())["env_spec"]["data"]
    assert (kept["episodes"], kept["transitions"], kept["readouts"]) == (12, 300, True)
    data.rename(tmp_path / "gone")  # a resume has the experience in its replay log
    for frame in (5, 47):
        at_frame(frame, die)
        with pytest.raises(Killed):
            train.main(offline(tmp_path / "gone", tmp_path / f"{frame}", *env))
        at_frame(None, die)
        assert train.main(["--resume", str(tmp_path / f"{frame}")]) == 0
        assert_same_run(tmp_path / "whole", tmp_path / f"{frame}")


def test_without_an_environment_nothing_is_evaluated(
    offline: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train.main(offline(record(tmp_path / "data", 3), run)) == 0
    assert "evaluations, the learning curve and the film are left out" in capsys.readouterr().out
    assert not (run / "evaluations.csv").exists()
    agent = joule.load(run)
    action, _ = agent.predict(np.zeros(3, np.float32))
    assert action.shape == (1,)
    assert train.main(["--resume", str(run), "--steps", "70"]) == 0
    with pytest.raises(ConfigError, match="learned from data without an environment"):
        joule.evaluate(run)
    capsys.readouterr()
    with pytest.raises(ConfigError, match="learned from data without an environment"):
        evaluate.main([str(run)])
    assert capsys.readouterr().out == "", "no table is begun"


@pytest.mark.parametrize("env", [[], pytest.param(["--env", tiny_env.ID], marks=pytest.mark.slow)])
def test_rewards_may_be_left_out(
    offline: Callable[..., list[str]], tmp_path: Path, env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train.main(offline(record(tmp_path / "data", 3), run, "--reward", "none", *env)) == 0
    assert ("60 gradient steps  explored: coverage" in capsys.readouterr().out) is bool(env)
    agent = joule.load(run)
    assert isinstance(agent, WorldModelAgent)
    assert (agent.modules.rewardless, agent.modules.learner.updates) == (True, agent.frames)
    assert agent.modules.replay_buffer.cost.any()  # they are recorded, and serve a later task
    assert not (run / "curve.png").exists()


@pytest.mark.slow
def test_the_data_of_a_run_are_its_replay(
    offline: Callable[..., list[str]], whole: Path, tmp_path: Path
) -> None:
    assert train.main(offline(whole, tmp_path / "run")) == 0
    earlier, agent = joule.load(whole), joule.load(tmp_path / "run")
    assert isinstance(earlier, WorldModelAgent)
    assert isinstance(agent, WorldModelAgent)
    assert agent.config.env == tiny_env.RECORDED
    ours, theirs = agent.modules.replay_buffer, earlier.modules.replay_buffer
    assert ours.held == theirs.held == 90
    with pytest.raises(ConfigError, match=f"obs_camera: found 'side', and {whole} was recorded with ''"):
        train.main(offline(whole, tmp_path / "seen", "--obs-camera", "side"))
    other = ("--env", "InvertedPendulum-v5")
    with pytest.raises(ConfigError, match="obs_camera: found 'side'"):
        train.main(offline(whole, tmp_path / "seen", *other, "--obs-camera", "side"))
    with pytest.raises(
        ConfigError, match=r"^data: .* has observations of state \[3\], and .* has state \[4\]$"
    ):
        train.main(offline(whole, tmp_path / "seen", *other))
    for name in ("action", "cost", "readout"):
        columns = [buffer.columns[name][buffer.place(buffer.transitions())] for buffer in (ours, theirs)]
        np.testing.assert_array_equal(*columns)
    # What was learned offline goes on in the environment.
    on = tmp_path / "online"
    assert train.main(["--init-from", str(tmp_path / "run"), "--steps", "10", "--out", str(on)]) == 0
    config = json.loads((on / "config.json").read_text())
    assert (config["data"], config["learning"]["behaviour_cloning"]) == ("", 0.0)
    assert (agent.config.learning.rate_at_end, config["learning"]["rate_at_end"]) == (0.05, 1.0)
    assert joule.load(on).decisions == 10


@pytest.mark.slow
def test_data_without_readouts_serve_no_task(offline: Callable[..., list[str]], tmp_path: Path) -> None:
    data = record(tmp_path / "data", 3, without=("readouts",))
    assert train.main(offline(data, tmp_path / "run", "--env", tiny_env.ID)) == 0
    agent = joule.load(tmp_path / "run")
    assert isinstance(agent, WorldModelAgent)
    with pytest.raises(ConfigError, match="the data that this agent learned from have none"):
        agent.plan_for("less:distance")
    explained = joule.explain(tmp_path / "run", 2)
    assert explained["readouts"] == {"names": [], "usual_change": []}
    assert not any(explained["alternatives"][0]["predicted_readouts"])
    with pytest.raises(ConfigError, match="constraint: a constraint is a limit on readouts"):
        train.main(offline(data, tmp_path / "limited", "--env", tiny_env.ID, "--constraint", "distance<1"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--agent", "sac"], "data: sac learns by acting"),
        (["--num-envs", "2"], "num_envs: found 2"),
        (["--actors", "1"], "actors: found 1"),
        (["--explore.warmup-decisions", "5"], "explore.warmup_decisions: learning from data takes no step"),
        (["--learning.utd", "2"], "learning.utd: learning from data takes no step"),
        (["--obs", "pixels"], "obs: .* holds states"),
        (["--perturb", "gravity=0.5"], "perturb: found .*, and there is no environment"),
        (["--env", "InvertedPendulum-v5"], "episode-000.npz, episode 0: observations has shape"),
        (
            ["--env", f"picture_env:{picture_env.ID}"],
            "have a picture; pictures are learned from a run folder",
        ),
        (["--task", "less:wings", "--env", tiny_env.ID], "wings"),
        (["--learning.replay-capacity-transitions", "70"], "the data take 78 rows"),
        (["--ray"], "--ray: it is for actors"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    more: list[str], message: str, offline: Callable[..., list[str]], tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=message) as refusal:
        train.main(offline(record(tmp_path / "data", 3), tmp_path / "run", *more))
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_it_learns_more_than_the_data_show(small: dict[str, Any], tmp_path: Path) -> None:
    data = record(tmp_path / "data", 60)
    settings = {name: value for name, value in small.items() if not name.startswith(COLLECTING)}
    settings |= {"steps": 1_500, "eval_every_frames": 1_500, "eval_episodes": 10, "video": False}
    trained = joule.train(
        data=str(data), env=tiny_env.ID, out=tmp_path / "run", settings=settings, progress=False
    )
    kept = json.loads((tmp_path / "run" / "run.json").read_text())["env_spec"]["data"]
    assert trained.evaluation["return_mean"] > kept["return_mean"]
