"""Actors as processes of this machine and on Ray: runs are resumed, and outlive their actors."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_env
from run_comparison import assert_same_run
from run_files import table

import joule
from agent.errors import ConfigError
from joule.actors.local import LocalChannel
from joule.commands import train

ENV = f"tiny_env:{tiny_env.ID}"
"""With its module: the other processes must find it too."""
SUPPORT = Path(__file__).parents[2] / "support"


def options(small: dict[str, Any], folder: Path, *others: str) -> list[str]:
    given = {**small, "env": ENV, "steps": 320, "eval_every_frames": 160, "checkpoint_every_frames": 80}
    given |= {"learning.pretrain_updates": 20, "out": folder, "explore.warmup_decisions": 160}
    del given["video"]
    words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    return [*words, "--no-video", "--actor-chunk-decisions=16", *others]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--agent", "sac", "--actors", "2"],
            "actors: found 2, and sac acts where it learns; joule has actors",
        ),
        (["--actors", "2", "--num-envs", "3"], "actors: each of them has one environment, and num_envs is 3"),
        (["--ray"], "--ray: it is for actors, and this run has none; give --actors N"),
    ],
)
def test_what_says_nothing_together_is_refused(words: list[str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        train.main([*words, "--out", str(tmp_path / "run"), "--env", ENV])
    assert sentence in str(refused.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_killed_run_in_lockstep_is_resumed_exactly(
    small: dict[str, Any], tmp_path: Path, at_frame: Callable[..., None]
) -> None:
    class Killed(BaseException):
        """Stands for the end of the process."""

    def die() -> None:
        raise Killed

    lockstep = ["--actors=2", "--actors-lockstep"]
    assert train.main(options(small, tmp_path / "whole", *lockstep)) == 0
    at_frame(224, die)
    with pytest.raises(Killed):
        train.main(options(small, tmp_path / "killed", *lockstep))
    at_frame(None, die)
    assert train.main(["--resume", str(tmp_path / "killed")]) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    assert joule.load(tmp_path / "whole").episodes > 3
    with pytest.raises(
        ConfigError, match="actors: the replay of this run has a stream for each of 2 environments"
    ):
        train.main(["--resume", str(tmp_path / "whole"), "--actors=3", "--override"])


@pytest.mark.slow
def test_a_run_outlives_an_actor_that_is_killed(
    small: dict[str, Any], tmp_path: Path, at_frame: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    channels: list[LocalChannel] = []
    start = LocalChannel.__init__

    def remembered(self: LocalChannel) -> None:
        start(self)
        channels.append(self)

    monkeypatch.setattr(LocalChannel, "__init__", remembered)
    at_frame(176, lambda: os.kill(channels[0].pid, signal.SIGKILL))
    folder = tmp_path / "run"
    assert train.main(options(small, folder, "--actors=2")) == 0
    rows = table(folder / "metrics.csv")
    assert float(rows[-1]["actors/lost"]) == 1
    assert (len(channels), int(rows[-1]["frames"])) == (3, 320)
    assert all(channel._process.poll() is not None for channel in channels), "none outlives the run"


@pytest.mark.slow
def test_a_run_on_ray_outlives_its_nodes(
    small: dict[str, Any], tmp_path: Path, at_frame: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: the extra `cluster`")
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]

    def lose_the_nodes() -> None:
        # Both: the other actor alone could end so short a run before Ray has noticed the loss of one.
        for _ in nodes:
            cluster.add_node(num_cpus=1)
        for node in nodes:
            cluster.remove_node(node, allow_graceful=False)

    at_frame(176, lose_the_nodes)
    folder = tmp_path / "run"
    try:
        assert train.main(options(small, folder, "--actors=2", f"--ray={cluster.address}")) == 0
    finally:
        ray.shutdown()
        cluster.shutdown()
    rows = table(folder / "metrics.csv")
    assert float(rows[-1]["actors/lost"]) >= 1
    assert int(rows[-1]["frames"]) == 320
