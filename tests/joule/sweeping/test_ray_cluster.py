"""A real Ray cluster on this machine: a node dies during a sweep, and a search that ends poor candidates early."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray.tune", reason="Ray is not installed: the extra `cluster`")

from benchmarks.reliability.run_fingerprint import checkpoint_frames, fingerprint
from joule.ray_cluster import connect
from joule.sweeping.candidates import ranked, tasks_of
from joule.sweeping.display import Display
from joule.sweeping.grid import Range
from joule.sweeping.local import LocalProcesses
from joule.sweeping.plan import Plan
from joule.sweeping.progress import Standings
from joule.sweeping.ray_backend import RayTasks, check_nodes
from joule.sweeping.session import Listed, Sweep
from joule.sweeping.trials import StoredTrial, grid_trials, make_storage

pytestmark = pytest.mark.slow

SUPPORT = Path(__file__).parents[2] / "support"
SETTINGS = {"steps": 600, "video": False, "learning.precision": "float32", "checkpoint_every_frames": 100}
PLAN = Plan(("joule",), ("tiny_env:joule-tests/Point-v0",), (1, 2, 3, 4, 5, 6), "smoke", SETTINGS)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A head that trains nothing, and two nodes with a core each. With "fake", trials train nothing."""
    from ray.cluster_utils import Cluster

    paths = [str(SUPPORT), os.environ.get("PYTHONPATH", "")]
    if getattr(request, "param", "") == "fake":
        paths.insert(0, str(tmp_path))  # every process of Python that the nodes start reads it
        fake = str(SUPPORT / "fake_trial.py")
        (tmp_path / "sitecustomize.py").write_text(
            f"from joule.sweeping import trial_process\ntrial_process.__file__ = {fake!r}\n"
        )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            started.add_node(num_cpus=1)
        yield started
    finally:
        import ray

        ray.shutdown()
        started.shutdown()


class Watched(RayTasks):
    """Calls a function, in the main thread, each time the tasks are looked at."""

    def __init__(self, ray: Any, look: Callable[[], None]) -> None:
        super().__init__(ray)
        self.look = look

    def poll(self) -> list[Any]:
        self.look()
        return super().poll()


def test_a_node_dies_in_mid_run_and_the_runs_are_those_of_undisturbed_ones(
    cluster: Any, tmp_path: Path
) -> None:
    trials, _ = grid_trials(PLAN, make_storage(tmp_path / "ray"))
    undisturbed, _ = grid_trials(PLAN, make_storage(tmp_path / "here"))
    ray = connect(cluster.address)
    assert check_nodes(ray, tmp_path) == []
    victim: StoredTrial = trials[0]
    killed: list[int] = []

    def kill_its_node() -> None:
        """Once the trial has a checkpoint: the node that trains it dies, with its train process; another comes."""
        saved = checkpoint_frames(victim.folder)
        if killed or not saved or saved[-1] > 300:
            return
        process = int((victim.folder / "run.lock").read_text())
        node = node_of(cluster, process)
        killed.append(process)
        worker = parent_of(process)
        os.kill(process, signal.SIGSTOP)  # all that runs on a node ends in the same moment
        cluster.remove_node(node, allow_graceful=False)
        deadline = time.monotonic() + 30
        while lives(worker) and time.monotonic() < deadline:
            time.sleep(0.05)  # a worker that sees its process die would report that, and not its own end
        os.kill(process, signal.SIGKILL)
        cluster.add_node(num_cpus=1)

    standings = Standings()
    with Watched(ray, kill_its_node) as backend, Display(standings) as display:
        Sweep(Listed(trials), backend, display, standings).run()
    assert [standing.state for standing in standings.all()] == ["done"] * 6
    assert killed
    assert victim.log.read_text().count("--- ") > 1, "Ray has started it again"
    standings = Standings()
    with LocalProcesses(2) as local, Display(standings) as display:
        Sweep(Listed(undisturbed), local, display, standings).run()
    for trial, other in zip(trials, undisturbed, strict=True):
        assert fingerprint(trial.folder) == fingerprint(other.folder)
        assert trial.result.read_text().count("\n") == other.result.read_text().count("\n") > 1


def lives(process: int) -> bool:
    """Whether a process has not ended, reaped or not."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def parent_of(process: int) -> int:
    """The process that started a process."""
    status = Path(f"/proc/{process}/stat").read_text()
    return int(status.rpartition(")")[2].split()[1])


def node_of(cluster: Any, process: int) -> Any:
    """The node of the cluster under which a process runs."""
    ancestors = {process}
    while process > 1:
        process = parent_of(process)
        ancestors.add(process)
    return next(
        node
        for node in cluster.worker_nodes
        if any(info.process.pid in ancestors for infos in node.all_processes.values() for info in infos)
    )


@pytest.mark.parametrize("cluster", ["fake"], indirect=True)
def test_a_search_ends_poor_candidates_early_but_none_that_has_its_budget(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from joule.sweeping import ray_search

    monkeypatch.setattr(ray_search, "LOOK_SECONDS", 0.0)
    grid = {"learning.batch_size": Range(8, 4_096, whole=True, log=True)}
    connect(cluster.address)
    plan = Plan(("joule",), ("steady-v0", "late-v0"), (1,), settings={"steps": 90}, grid=grid, search=6)
    storage = make_storage(tmp_path / "search")
    standings = Standings()
    with Display(standings) as display:
        search = ray_search.TuneSearch(tasks_of(plan, storage), standings, display, workers=None)
        search.run()
    steady, late = ([one.state for one in standings.all() if env in one.trial.title] for env in plan.envs)
    assert len(steady) == len(late) == 6
    assert set(steady) == {"done", "ended early"}
    assert set(late) == {"done"}, "their first evaluation is their last"
    for task in search.tasks:
        settings = search.settings[task.name]
        (best, *_) = ranked(task, settings)
        assert best[1] == max(settings, key=lambda one: one["learning.batch_size"])
