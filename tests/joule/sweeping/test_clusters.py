"""Ray and Slurm: what is refused before anything runs, and trials through submitit's own executors."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.errors import ConfigError
from joule import extras, ray_cluster
from joule.storage.json_files import write_object
from joule.storage.provenance import version
from joule.sweeping import ray_backend, slurm_backend
from joule.sweeping.job import Job, Outcome
from joule.sweeping.plan import Plan
from joule.sweeping.trials import StoredTrial, grid_trials, make_storage
from joule_errors import Stopped


def trials_of(storage: Path, *envs: str) -> list[StoredTrial]:
    return grid_trials(Plan(("zero",), envs, settings={"steps": 100}), make_storage(storage))[0]


def outcomes(backend: Any, jobs: list[Job]) -> dict[str, Outcome]:
    """How the jobs ended, by the name of their folder."""
    found: dict[str, Outcome] = {}
    deadline = time.monotonic() + 120
    with backend:
        for job in jobs:
            backend.submit(job)
        while len(found) < len(jobs) and time.monotonic() < deadline:
            found |= {Path(job.folder).name: outcome for job, outcome in backend.poll()}
            time.sleep(0.05)
    return found


def test_a_library_that_is_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r'--ray: needs ray.*pip install -e ".+\[cluster\]"$'):
        extras.needed("ray", "cluster", "--ray")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:1", "127.0.0.1:1 does not answer"),
        ("nowhere", "give HOST:PORT"),
        ("nowhere.invalid:6379", "nowhere.invalid:6379 does not answer"),
        ("a..b:6379", "a..b:6379 does not answer"),
    ],
)
def test_an_address_that_does_not_answer_is_one_sentence(address: str, sentence: str) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: the extra `cluster`")
    with pytest.raises(ConfigError) as refused:
        ray_cluster.connect(address)
    assert sentence in str(refused.value)


def test_a_process_that_is_in_a_cluster_stays_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = SimpleNamespace(
        is_initialized=lambda: True,
        get_runtime_context=lambda: SimpleNamespace(gcs_address="10.0.0.1:6379"),
    )
    monkeypatch.setattr(ray_cluster, "needed", lambda *names: ray)
    for address in ("", "auto", "10.0.0.1:6379"):
        assert ray_cluster.connect(address) is ray
    with pytest.raises(
        ConfigError, match=r"is in the cluster 10.0.0.1:6379, and cannot join 10.0.0.2:6379 as well"
    ):
        ray_cluster.connect("10.0.0.2:6379")


def test_a_cluster_is_joined_again_by_the_same_address(monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[str] = []
    ray = SimpleNamespace(
        is_initialized=lambda: bool(joined),
        init=lambda address, **how: joined.append(address),
        get_runtime_context=lambda: SimpleNamespace(gcs_address="10.0.0.1:6379"),  # Ray's name of localhost
    )
    monkeypatch.setattr(ray_cluster, "needed", lambda *names: ray)
    monkeypatch.setattr(ray_cluster, "_check_answers", lambda address: None)
    monkeypatch.setattr(ray_cluster, "_joined", ("", ""))
    for _ in range(2):
        assert ray_cluster.connect("localhost:6379") is ray
    assert joined == ["localhost:6379"]
    with pytest.raises(ConfigError, match=r"cannot join 10\.0\.0\.2:6379 as well"):
        ray_cluster.connect("10.0.0.2:6379")


class Nodes:
    """A Ray whose nodes have these cores, of which the last is dead."""

    def __init__(self, *cores: int) -> None:
        self._cores = cores

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"Alive": k < len(self._cores) - 1, "Resources": {"CPU": float(cores)}}
            for k, cores in enumerate(self._cores)
        ]


def test_what_no_node_can_hold_is_refused_and_not_waited_for() -> None:
    ray = Nodes(2, 4, 64)
    ray_cluster.check_fits_node(ray, 4, 0, "a trial")
    ray_cluster.check_fits_cluster(ray, 6, "6 actors")
    with pytest.raises(
        ConfigError, match="a trial needs 5 cores on one node of the cluster, and the largest has 4"
    ):
        ray_cluster.check_fits_node(ray, 5, 0, "a trial")
    with pytest.raises(
        ConfigError, match="needs 1 core and 1 GPU on one node of the cluster, and none has them"
    ):
        ray_cluster.check_fits_node(ray, 1, 1, "a trial")
    with pytest.raises(ConfigError, match="7 actors need 7 cores, and the cluster has 6; ask for fewer"):
        ray_cluster.check_fits_cluster(ray, 7, "7 actors")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((False, "1"), "--storage: node b does not see /s"),
        (
            RuntimeError("failed\n  ModuleNotFoundError: No module named 'joule'\n"),
            "node b has no complete Joule",
        ),
        (TimeoutError(), "node b does not answer: TimeoutError"),
    ],
)
def test_a_node_that_cannot_train_is_one_sentence(answer: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ray_backend.judged({"a": (True, version()), "b": answer}, Path("/s"))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_another_version_of_joule_on_a_node_is_a_warning() -> None:
    (warning,) = ray_backend.judged({"a": (True, version()), "b": (True, "other")}, Path("/s"))
    assert warning == f"warning: node b has Joule other, and not {version()}"


def test_parameters_of_slurm_need_no_prefix() -> None:
    found = slurm_backend.parameters(["partition=cpu", "timeout_min=60", "mem_gb=1.5", "slurm_qos=low"])
    assert found == {
        "cluster": "slurm", "name": "joule-sweep", "timeout_min": 60, "slurm_partition": "cpu", "mem_gb": 1.5,
        "slurm_qos": "low",
    }  # fmt: skip
    for text, sentence in (
        ("partition", "expected KEY=VALUE"),
        ("cluster=pbs", "none of slurm, local, debug"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            slurm_backend.parameters([text])


class TestSlurm:
    """Through submitit, which has executors for this machine."""

    @pytest.fixture(autouse=True)
    def _submitit(self) -> None:
        pytest.importorskip("submitit", reason="submitit is not installed: the extra `cluster`")

    def test_an_unknown_parameter_and_a_machine_without_slurm_are_one_sentence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = slurm_backend.parameters(["cluster=debug", "partitoin=cpu"])
        with pytest.raises(ConfigError, match="--slurm: Unknown argument 'partitoin'"):
            slurm_backend.executor_of(tmp_path, given, None, 1)
        monkeypatch.setenv("PATH", "")
        with pytest.raises(ConfigError, match="there is no sbatch on this machine"):
            slurm_backend.executor_of(tmp_path, slurm_backend.parameters([]), None, 1)

    @pytest.mark.usefixtures("fake_trials")
    def test_trials_run_and_fail_as_jobs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(slurm_backend, "POLL_SECONDS", 0.0)
        trials = trials_of(tmp_path, "A-v0", "refused-v0")
        executor = slurm_backend.executor_of(tmp_path, {"cluster": "debug"}, None, 1)
        found = outcomes(slurm_backend.SlurmJobs(executor, tmp_path), [trial.job() for trial in trials])
        assert found == {
            trials[0].name: Outcome(0), trials[1].name: Outcome(2, "unknown environment id 'refused-v0'"),
        }  # fmt: skip

    @pytest.mark.usefixtures("fake_trials")
    def test_a_job_that_is_still_in_the_queue_is_not_submitted_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import submitit

        class Queued:
            def __init__(self, folder: Path, job_id: str) -> None:
                self.job_id = job_id

            def done(self, force_check: bool = False) -> bool:
                return self.job_id == "7"

            def cancel(self, check: bool) -> None:
                cancelled.append(self.job_id)

        cancelled: list[str] = []
        monkeypatch.setattr(submitit, "SlurmJob", Queued)
        monkeypatch.setattr(slurm_backend, "POLL_SECONDS", 0.0)
        (queued, ended) = trials_of(tmp_path, "A-v0", "B-v0")
        executor = slurm_backend.executor_of(tmp_path, {"cluster": "debug"}, None, 1)
        executor.cluster = "slurm"
        known = {str(queued.folder): "5_0", str(ended.folder): "7"}
        (tmp_path / "slurm").mkdir(exist_ok=True)
        write_object(tmp_path / "slurm" / "jobs.json", known)
        with slurm_backend.SlurmJobs(executor, tmp_path) as backend:
            for trial in (queued, ended):
                backend.submit(trial.job())
            assert backend.poll() == [(ended.job(), Outcome(0))]
            assert not queued.log.exists()
        assert cancelled == ["5_0"], "at the end of a sweep that is broken off, no job goes on"

    @pytest.mark.usefixtures("fake_trials")
    def test_jobs_that_slurm_does_not_take_are_one_sentence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import submitit

        (first, second) = trials_of(tmp_path, "A-v0", "B-v0")
        executor = slurm_backend.executor_of(tmp_path, {"cluster": "debug"}, None, 1)
        submit, taken = executor.submit, [True, False]

        def limited(task: Any) -> Any:
            if not taken.pop(0):
                raise submitit.core.utils.FailedJobError(
                    "sbatch: error: too many jobs\nsbatch: error: failed"
                )
            return submit(task)

        monkeypatch.setattr(executor, "submit", limited)
        sentence = "--slurm: the jobs cannot be submitted: sbatch: error: too many jobs"
        with slurm_backend.SlurmJobs(executor, tmp_path) as backend:
            backend.submit(first.job())
            backend.submit(second.job())
            monkeypatch.setattr(slurm_backend, "LARGEST_ARRAY", 1)
            found = {Path(job.folder).name: outcome for job, outcome in backend.poll()}
            assert found == {first.name: Outcome(0), second.name: Outcome(1, sentence)}
        taken.append(False)
        with slurm_backend.SlurmJobs(executor, tmp_path) as backend:
            backend.submit(second.job())
            with pytest.raises(Stopped, match=f"^{sentence}$"):
                backend.poll()

    def test_slurm_without_srun_is_one_sentence(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "sbatch").write_text("#!/bin/sh\n")
        (tmp_path / "sbatch").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ConfigError, match='--slurm: Could not detect "srun"'):
            slurm_backend.executor_of(tmp_path, slurm_backend.parameters([]), None, 1)
