"""Data sets of Minari, made on this machine by its own API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import tiny_env
from recorded_episodes import episode

import joule
from agent.errors import ConfigError
from joule.commands import train

minari: Any = pytest.importorskip("minari")
ID = "tests/point-v0"


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The source of a data set with three episodes."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
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
    minari.create_dataset_from_buffers(ID, buffer=buffers, env=gymnasium.make(tiny_env.ID))
    return f"minari:{ID}"


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
    assert agent.config.env == tiny_env.ID
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
