"""Data sets of Minari, made on this machine by its own API."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import tiny_env
from recorded_episodes import episode

import joule
from agent.errors import ConfigError
from envs.wrappers import Flat
from joule.commands import train
from joule.datasets.minari_dataset import observed_space
from joule.datasets.source import with_settings_of_data

minari: Any = pytest.importorskip("minari")
ID = "tests/point-v0"


def recorded(identifier: str, env: Any) -> str:
    """The source of a data set with three episodes, said to be of an environment."""
    buffers = []
    for number in range(3):
        arrays = episode(number)
        buffers.append(
            minari.data_collector.EpisodeBuffer(
                id=number,
                observations=arrays["observations"],
                actions=arrays["actions"],
                rewards=list(arrays["rewards"]),
                terminations=list(arrays["terminations"]),
                truncations=list(arrays["truncations"]),
                infos={},
            )
        )
    minari.create_dataset_from_buffers(identifier, buffer=buffers, env=env)
    return f"minari:{identifier}"


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The source of a data set with three episodes."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return recorded(ID, gymnasium.make(tiny_env.ID))


@pytest.mark.slow
def test_it_is_learned_from_in_its_own_environment(dataset: str, tmp_path: Path, unchecked: None) -> None:
    small = {"model.latent_dim": 16, "model.hidden_dim": 32, "learning.batch_size": 16, "planner.samples": 16,
             "planner.elites": 4, "planner.iterations": 1}  # fmt: skip
    trained = joule.train(
        data=dataset,
        out=tmp_path / "run",
        steps=8,
        eval_episodes=1,
        video=False,
        settings=small,
        progress=False,
    )
    agent: Any = trained.agent
    assert agent.config.env == tiny_env.RECORDED
    buffer = agent.modules.replay_buffer
    expected = np.concatenate([episode(number)["actions"] for number in range(3)])
    np.testing.assert_array_equal(buffer.action[buffer.place(buffer.transitions())], expected)


def test_one_that_is_damaged_is_one_sentence(dataset: str, tmp_path: Path) -> None:
    (path,) = (tmp_path / "minari").rglob("*.hdf5")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(
        ConfigError, match=r"data: .*minari:tests/point-v0|data: the Minari data set tests/point"
    ):
        train.main(["--data", dataset, "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


def test_one_that_is_not_here_is_not_downloaded(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="download it with: minari download mujoco/hopper/medium-v0"):
        train.main(["--data", "minari:mujoco/hopper/medium-v0", "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


def test_what_it_was_recorded_in_is_kept_or_refused(dataset: str, tmp_path: Path) -> None:
    short = recorded("tests/short-v0", gymnasium.make(tiny_env.ID, max_episode_steps=30))
    assert with_settings_of_data({"data": short}, {}) == {
        "data": short,
        "env": tiny_env.ID,
        "max_episode_frames": 30,
    }
    assert "max_episode_frames" not in with_settings_of_data({"data": dataset}, {})
    scaled = gymnasium.wrappers.RescaleAction(gymnasium.make(tiny_env.ID), -3.0, 3.0)  # type: ignore[arg-type]
    wrapped = recorded("tests/wrapped-v0", scaled)
    with pytest.raises(ConfigError, match=r"recorded in .* within RescaleAction; give --env yourself"):
        train.main(["--data", wrapped, "--out", str(tmp_path / "run")])
    with pytest.raises(ConfigError, match=r"have the bounds \[-3.0.* and those of .* \[-1.0"):
        train.main(["--data", wrapped, "--env", tiny_env.ID, "--out", str(tmp_path / "run")])


def test_an_environment_that_is_not_here_is_said_to_be_of_the_data(
    dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(gymnasium.registry, tiny_env.ID)
    of_data = rf"^data: {dataset} was recorded in {tiny_env.ID}: .*"
    with pytest.raises(ConfigError, match=rf"{of_data}, as in --env my_module:{tiny_env.ID}$"):
        train.main(["--data", dataset, "--out", str(tmp_path / "run")])


def test_parts_have_the_order_in_which_the_environment_gives_them(tmp_path: Path) -> None:
    number = gymnasium.spaces.Box(-np.inf, np.inf, (1,))
    own = gymnasium.spaces.Dict([("zeta", number), ("alpha", number)])
    env = gymnasium.make(tiny_env.ID)
    changed = gymnasium.wrappers.TransformObservation(env, lambda obs: obs, own)
    dataset = SimpleNamespace(observation_space=gymnasium.spaces.Dict({"alpha": number, "zeta": number}))
    space = observed_space(dataset, Flat(changed))
    assert isinstance(space, gymnasium.spaces.Dict)
    assert list(space) == ["zeta", "alpha"]
    with pytest.raises(ConfigError, match="parts alpha, zeta, and those of the environment are one array"):
        observed_space(dataset, Flat(env))
