"""Recordings of stable-worldmodel: what becomes of their rows, and which ones are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import picture_env
import pytest
from gymnasium import spaces

import joule
from agent.errors import ConfigError
from joule.commands import train
from joule.datasets import swm_recording
from joule.datasets.checked_episode import EpisodeShape
from joule.datasets.reading import read_data
from joule.environment import make_env

ROWS, SIDE = 6, 16
SPACE = spaces.Box(-9.0, 9.0, (3,), np.float32)
STATES = EpisodeShape(3, 3, lambda own: own.astype(np.float32), reads_observation=True)
PICTURES = EpisodeShape(0, 3, STATES.to_unit, pictures=(3, SIDE, SIDE))


def rows_of(number: int, rows: int = ROWS) -> dict[str, np.ndarray]:
    """An episode as the library gives it: the action of the last row belongs to no transition."""
    rng = np.random.default_rng(number)
    action = rng.uniform(-1.0, 1.0, (rows, 2)).astype(np.float32)
    action[-1] = np.nan
    ended = (np.arange(rows) == rows - 1)[:, None].astype(np.float32)
    return {
        "observation": rng.normal(size=(rows, 3)).astype(np.float32), "action": action,
        "reward": np.arange(rows, dtype=np.float32)[:, None], "terminated": ended, "truncated": 0 * ended,
        "pixels": rng.integers(0, 255, (rows, 3, 2 * SIDE, 2 * SIDE), np.uint8),
    }  # fmt: skip


class Rows(swm_recording.Recording):
    """A recording that is in memory."""

    def __init__(self, *episodes: dict[str, np.ndarray]) -> None:
        self.source, self.found = "swm:memory", episodes

    def __len__(self) -> int:
        return len(self.found)

    @property
    def columns(self) -> list[str]:
        return sorted(self.found[0])

    def length(self, number: int) -> int:
        return len(self.found[number]["action"])

    def episode(self, number: int) -> dict[str, np.ndarray]:
        return self.found[number]


def test_a_row_has_the_action_that_was_taken_next_and_the_reward_of_the_one_before() -> None:
    found = rows_of(1)
    (rows,), has_readouts = swm_recording.read_episodes(
        Rows(found, rows_of(2, 1)), SPACE, STATES, rewards=True
    )
    assert has_readouts
    np.testing.assert_array_equal(rows["obs"], found["observation"])
    np.testing.assert_array_equal(rows["readout"], found["observation"])
    np.testing.assert_array_equal(rows["action"][:-1], found["action"][:-1])
    assert rows["cost"].tolist() == [-1.0, -2.0, -3.0, -4.0, -5.0, 0.0]
    assert rows["terminated"].tolist() == [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def test_an_observation_of_the_size_of_the_readouts_is_not_taken_for_them() -> None:
    shape = replace(STATES, reads_observation=False)
    (rows,), has_readouts = swm_recording.read_episodes(Rows(rows_of(1)), SPACE, shape, rewards=True)
    assert not has_readouts
    assert np.isnan(rows["readout"]).all()


def test_pictures_are_scaled_to_what_the_agent_sees() -> None:
    found = rows_of(1)
    found["pixels"][2] = 77
    (rows,), _ = swm_recording.read_episodes(Rows(found), SPACE, PICTURES, rewards=False)
    assert rows["obs"].shape == (ROWS, 3, SIDE, SIDE)
    assert rows["obs"].dtype == np.uint8
    assert (rows["obs"][2] == 77).all()
    assert not rows["cost"].any()


def refused(*episodes: dict[str, np.ndarray], shape: EpisodeShape = STATES, rewards: bool = True) -> str:
    with pytest.raises(ConfigError) as refusal:
        swm_recording.read_episodes(Rows(*episodes), SPACE, shape, rewards)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def without(name: str) -> dict[str, np.ndarray]:
    return {key: value for key, value in rows_of(1).items() if key != name}


def test_what_cannot_be_learned_from_is_named() -> None:
    bad = rows_of(2)
    bad["action"][3] = np.nan
    assert "swm:memory, episode 1: actions is nan at step 3" in refused(rows_of(1), bad)
    still = rows_of(1)
    still["observation"][:] = 1.0
    assert "observation is the same at every step" in refused(still)
    assert "has no column observation" in refused(without("observation"))
    assert "has no column pixels" in refused(without("pixels"), shape=PICTURES)
    assert "no column reward; --reward none" in refused(without("reward"))
    floats = {**rows_of(1), "pixels": rows_of(1)["pixels"].astype(np.float32)}
    assert "pixels is float32" in refused(floats, shape=PICTURES)
    assert "holds no episode" in refused(rows_of(1, 1))


@pytest.mark.parametrize("kind", picture_env.KINDS)
def test_a_picture_of_the_environments_own_is_refused(kind: str) -> None:
    settings: Any = {"env_kwargs": {"kind": kind}, "max_episode_frames": 25}
    config: Any = joule.Config(agent="joule", env=picture_env.ID, data="swm:memory", **settings)
    env = make_env(config)
    with pytest.raises(ConfigError, match=r"has a picture of its own.*--obs pixels") as refusal:
        read_data(config, env, {})
    assert "\n" not in str(refusal.value)


def test_the_numbers_beside_a_picture_are_read_apart() -> None:
    eye = spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
    assert swm_recording.numbers_of(eye) is None
    beside = swm_recording.numbers_of(spaces.Dict({"eye": eye, "observation": SPACE}))
    assert beside == spaces.Dict({"observation": SPACE})
    shape = replace(PICTURES, reads_observation=True)
    (rows,), has_readouts = swm_recording.read_episodes(Rows(rows_of(1)), beside, shape, rewards=True)
    assert has_readouts
    np.testing.assert_array_equal(rows["readout"], rows_of(1)["observation"])
    (rows,), has_readouts = swm_recording.read_episodes(Rows(rows_of(1)), None, PICTURES, rewards=True)
    assert not has_readouts


def test_one_that_is_not_here_is_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STABLEWM_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no recording some/set on this machine"):
        train.main(["--data", "swm:some/set", "--env", "swm/TwoRoom-v1", "--out", str(tmp_path / "run")])
    assert not any(tmp_path.iterdir())
    (tmp_path / "datasets" / "here.lance").mkdir(parents=True)
    assert swm_recording.located("swm:here.lance") == tmp_path / "datasets" / "here.lance"
    with pytest.raises(ConfigError, match=r"env: swm:here\.lance does not say its environment"):
        train.main(["--data", "swm:here.lance", "--out", str(tmp_path / "run")])


def test_it_is_learned_from_without_rewards(tmp_path: Path) -> None:
    pytest.importorskip("stable_worldmodel")
    h5py: Any = pytest.importorskip("h5py")
    rng = np.random.default_rng(1)
    steps = rng.uniform(-5.0, 5.0, (3, 9, 2)).astype(np.float32)
    places = np.cumsum(steps, 1) + np.array([50.0, 50.0], np.float32)
    columns = {
        "action": steps / 5.0, "state": places, "observation": np.pad(places, ((0, 0), (0, 0), (0, 8))),
        "pixels": rng.integers(0, 255, (3, 9, 16, 16, 3), np.uint8),
    }  # fmt: skip
    path = tmp_path / "walk.h5"
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file[name] = values.reshape(27, *values.shape[2:])
        file["ep_len"], file["ep_offset"] = np.full(3, 9), 9 * np.arange(3)
    small = {"model.latent_dim": 16, "model.hidden_dim": 32, "learning.batch_size": 16, "planner.samples": 16,
             "planner.elites": 4, "planner.iterations": 1}  # fmt: skip
    trained = joule.train(
        data=f"swm:{path}", env="swm/TwoRoom-v1", reward="none", obs="pixels", obs_size=16, obs_frames=1,
        max_episode_frames=8, steps=4, eval_episodes=1, video=False, out=tmp_path / "run", settings=small,
        progress=False,
    )  # fmt: skip
    agent: Any = trained.agent
    np.testing.assert_array_equal(
        agent.modules.replay_buffer.obs[:9], columns["pixels"][0].transpose(0, 3, 1, 2)
    )
    agent.learn_goals(2)
    found = joule.evaluate_goals(agent, 2, recording=f"swm:{path}", offset=4, decisions=3)
    assert (found["source"], found["decisions"], found["within"]) == ("recording", 3, {})
    assert set(found["results"]) == {"plan", "policy", "random"}
    assert joule.evaluate_goals(agent, 2, decisions=3)["source"] == "environment"
